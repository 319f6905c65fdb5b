/* SPDX-License-Identifier: MIT */
/* Filling the indirection table. */
#ifndef SC_LOADER_SPREAD_H
#define SC_LOADER_SPREAD_H

#include <sched.h>

#include <sidecore/steer.h>

/*
 * Deals the slots out to the CPUs of the set: their shares differ by one slot at most, and no slot leaves a CPU that
 * stays within its share, so a change of the set moves as few flows as evenness allows. Empty set: no slot has a CPU.
 */
void sc_spread(__u32 slots[SC_STEER_SLOTS], const cpu_set_t *set);

#endif

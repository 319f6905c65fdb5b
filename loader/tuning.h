/* SPDX-License-Identifier: MIT */
/* The knobs of a device, turned to the dedicated CPUs; how they were before is pinned with it, until they are put back. */
#ifndef SC_LOADER_TUNING_H
#define SC_LOADER_TUNING_H

#include <sched.h>

#include "knob.h"
#include "place.h"

/* Which parts (enum sc_tuned) of an attached interface are turned. 0 or -errno. */
int sc_tuning_get(const struct sc_place *place, unsigned int *ret_parts);

/*
 * Turns the knobs of these parts to the CPUs, and puts those of the others back. Says what it turned; warns, by kind of knob,
 * of what cannot be done on this device: that is no error. 0 or -errno, then said why.
 */
int sc_tuning_set(const struct sc_place *place, const cpu_set_t *cpus, unsigned int parts);

/* Turns the knobs that are turned to other CPUs. */
int sc_tuning_follow(const struct sc_place *place, const cpu_set_t *cpus, bool no_rt);

/* Puts all back: due before the pins go. */
int sc_tuning_restore(const struct sc_place *place);

#endif

/* SPDX-License-Identifier: MIT */
/* The dedicated CPUs of an interface: their entries in the CPU map and their slots in the indirection table. */
#ifndef SC_LOADER_STEERING_H
#define SC_LOADER_STEERING_H

#include <sched.h>
#include <stdbool.h>

#include "pins.h"

/* 0; -ESTALE: an older version's layout, which upgrade takes over; -EPROTO: another version's; else -errno. */
int sc_steering_check(int steering_fd);

/* Says that all maps are of this version's layout. 0 or -errno. */
int sc_steering_renew_schema(const struct sc_pins *pins);

/* First content of the table: seed drawn, no CPU active. 0 or -errno. */
int sc_steering_init(const struct sc_pins *pins);

/*
 * Makes the CPUs of the set the dedicated ones, all active: entries first, then slots, then entries of the others go, so
 * that no packet meets a slot without an entry. 0 or -errno.
 */
int sc_steering_set_cpus(const struct sc_pins *pins, const cpu_set_t *set);

/* Gives all entries pins->on_cpu; what waits in them is delivered first. 0 or -errno. */
int sc_steering_renew(const struct sc_pins *pins);

/* The CPUs that have an entry. 0 or -errno. */
int sc_steering_get_cpus(const struct sc_pins *pins, cpu_set_t *ret_set);

/* The table as it is now. 0 or -errno. */
int sc_steering_read(const struct sc_pins *pins, struct sc_steering *ret_table);

/* Packets look into this set of lists from now on; those under way may still look into the one before. 0 or -errno. */
int sc_steering_set_lists(const struct sc_pins *pins, __u32 set);

#endif

/* SPDX-License-Identifier: MIT */
/* A change that is taken back unless somebody confirms it: a pin beside the others says so. */
#ifndef SC_LOADER_PENDING_H
#define SC_LOADER_PENDING_H

#include "pins.h"
#include "place.h"

/* Pins the mark: `seconds` from now on the change is taken back. A descriptor for sc_pending_is_confirmed(), or -errno. */
int sc_pending_set(const struct sc_place *place, unsigned int seconds);

/* *ret_left_s until it is taken back; 0: that time is over, so whoever waited is dead. 0; -ENOENT: nothing is pending; or -errno. */
int sc_pending_get(const struct sc_place *place, unsigned int *ret_left_s);

/* Confirms it. 0; -ENOENT: nothing is pending; or -errno. */
int sc_pending_confirm(const struct sc_place *place);

bool sc_pending_is_confirmed(int pending);

/* Whether the mark is still there. Needs no lock. */
bool sc_pending_is_set(const struct sc_place *place);

void sc_pending_clear(const struct sc_place *place);

/*
 * -EBUSY, said why, while a change waits: another on top would be taken back with it. A mark that nobody waits for any more
 * is removed, with a warning. 0 or -errno.
 */
int sc_pending_refuse(const struct sc_place *place);

#endif

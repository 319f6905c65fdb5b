/* SPDX-License-Identifier: MIT */
/* The time in which a change must be confirmed. */
#ifndef SC_LOADER_PROBATION_H
#define SC_LOADER_PROBATION_H

#include <argp.h>

#include "undo.h"

/* --rollback-after, for every command that has it; input is an unsigned int: seconds, 0: no probation. */
extern const struct argp sc_probation_argp;

/*
 * Waits for `sidecore-loader confirm`, and goes back when it does not come in time, or when this process is asked to end
 * (sc_signals_hold() must have been called before the change). Lets go of lock and pins meanwhile; *pins, open at first, are
 * closed in the end. Says that it waits, and what happened. 0: confirmed; else -errno.
 */
int sc_probation(struct sc_place *place, struct sc_pins *pins, struct sc_undo *undo, unsigned int seconds, bool json);

#endif

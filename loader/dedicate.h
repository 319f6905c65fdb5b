/* SPDX-License-Identifier: MIT */
/* What CPUs need before and after they become dedicated ones, whichever command makes them so. */
#ifndef SC_LOADER_DEDICATE_H
#define SC_LOADER_DEDICATE_H

#include <sched.h>

#include "pins.h"

/* Whether all are online: packets sent to another would be lost. Says which is not. 0 or -errno. */
int sc_dedicate_check(const cpu_set_t *cpus);

/* Gives their kernel threads real-time priority; warns where that fails. */
void sc_dedicate_set_fifo(const struct sc_pins *pins, const cpu_set_t *cpus);

#endif

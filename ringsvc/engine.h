/* SPDX-License-Identifier: MIT */
/* The engine process: owns the rings of one trust domain. */
#ifndef RINGSVC_ENGINE_H
#define RINGSVC_ENGINE_H

#include "config.h"

/*
 * Serves sessions that the broker hands over through broker_fd until the broker closes it. Called in the jail: from here
 * on apps may be assumed to read and write all of this process's memory. Never returns.
 */
_Noreturn void sc_engine_run(const struct sc_config *config, int broker_fd);

#endif

/* SPDX-License-Identifier: MIT */
/* The broker: sends each app to the engine of its trust domain. */
#ifndef RINGSVC_BROKER_H
#define RINGSVC_BROKER_H

#include "config.h"
#include "jail.h"

/*
 * Serves until SIGTERM or SIGINT, which the caller has blocked, arrives through signal_fd; then ends all engines. Never
 * reads what apps send. 0, or -errno when it could not begin.
 */
int sc_broker_run(const struct sc_config *config, const struct sc_jail *jail, int listener, int signal_fd);

#endif

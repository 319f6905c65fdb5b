/* SPDX-License-Identifier: MIT */
/* The broker: sends each app to the engine of its trust domain. */
#ifndef RINGSVC_BROKER_H
#define RINGSVC_BROKER_H

#include "config.h"
#include "jail.h"

struct sc_broker_fds {
	int listener;
	int signal; /* signalfd of SIGTERM and SIGINT, which are blocked */
	int notify; /* of sc_notify_open, or negative */
};

/*
 * Serves until SIGTERM or SIGINT; then ends all engines. Never reads what apps send. 0, or -errno when it could not
 * begin.
 */
int sc_broker_run(const struct sc_config *config, const struct sc_jail *jail, const struct sc_broker_fds *fds);

#endif

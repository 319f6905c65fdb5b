/* SPDX-License-Identifier: MIT */
/* The dedicated cores as one engine uses them: a poller on each, begun when first needed. */
#ifndef RINGSVC_CORES_H
#define RINGSVC_CORES_H

#include "config.h"

struct sc_cores {
	const struct sc_config *config;
	int anchors[SC_LANES_MAX]; /* -1: no poller yet */
	unsigned int next; /* where a session with fewer lanes than cores begins */
};

void sc_cores_init(struct sc_cores *cores, const struct sc_config *config);

/* Index of the core for the first of lane_cnt lanes; the others follow in a ring. */
unsigned int sc_cores_first(struct sc_cores *cores, unsigned int lane_cnt);

/* The anchor ring of core idx (cores keeps it), or -errno as sc_anchor_open. */
int sc_cores_anchor(struct sc_cores *cores, unsigned int idx);

#endif

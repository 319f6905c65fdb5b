/* SPDX-License-Identifier: MIT */
/* One app's session: its control socket, its process, and once it has said HELLO its channel. */
#ifndef RINGSVC_SESSION_H
#define RINGSVC_SESSION_H

#include <stdbool.h>

#include "cores.h"
#include "segment.h"

struct sc_session {
	int ctl; /* control socket; -1: this place is free */
	int pidfd; /* of the app */
	__u32 id; /* what the broker calls it */
	char *base;
	__u64 len; /* 0: no HELLO yet */
	__u32 conn_cnt;
	__u32 slot_cnt; /* of each lane */
	unsigned int lane_cnt;
	int rings[SC_LANES_MAX];
	struct sc_segments segments;
};

/* Takes both descriptors. */
void sc_session_init(struct sc_session *session, __u32 id, int ctl, int pidfd);

/*
 * Handles one message of the app, if there is one. false: the session must end (the app has gone, broke the protocol, or
 * was refused).
 */
bool sc_session_serve(struct sc_session *session, struct sc_cores *cores);

/* Closes the app's sockets and rings, gives its memory back. */
void sc_session_exit(struct sc_session *session);
/* The same for the only session of an engine with SC_CHANNEL_DESCRIPTORS: closes all else but broker_fd. */
void sc_session_exit_last(struct sc_session *session, int broker_fd);

#endif

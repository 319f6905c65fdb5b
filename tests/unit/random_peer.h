/* SPDX-License-Identifier: MIT */
/*
 * The far end of the random test: a thread with many plain sockets, connected by it or by the application, that read, send, stall,
 * half-close, reset and leave.
 */
#ifndef TESTS_RANDOM_PEER_H
#define TESTS_RANDOM_PEER_H

#include <pthread.h>

#include "random_wire.h"

enum { CROWD_PORTS = 4, CROWD_LIVE_MAX = 64 };

/* One connection; its books outlive it. */
struct remote {
	int fd;
	uint32_t id; /* its place in the crowd + 1 */
	uint32_t app_id; /* what the first frame said, 0: none came */
	bool connected;
	bool half_closed;
	bool left; /* reset from here, or closed before the end of the stream */
	bool ended; /* the end of the application's stream was seen */
	bool reset; /* broken from there */
	unsigned int quiet; /* turns without reading */
	uint64_t sent, received;
	struct wire_frame frame;
	size_t frame_have; /* bytes of the header */
	uint32_t frame_seen; /* bytes after it */
};

struct crowd {
	struct rng rng;
	uint32_t addr; /* where the application listens, network order */
	unsigned int live_max, chunk_shift;
	unsigned int leave_rate; /* per thousand turns of a connection: half-close, reset or leave */
	int listener; /* where the application connects to, closed by the thread when it stops */
	uint16_t port; /* the listener's */
	uint16_t ports[CROWD_PORTS]; /* atomic; 0: none */
	bool stop; /* atomic: come to an end */
	bool done; /* atomic: nothing lives any more */
	uint64_t moves; /* atomic: of bytes and connections */
	const char *failure; /* atomic */
	pthread_t thread;

	/* the thread's own until it is joined */
	struct remote *remotes;
	unsigned int cnt, room;
	unsigned int live[CROWD_LIVE_MAX], live_cnt;
};

/* The fields above `listener` are set. */
void crowd_start(struct crowd *crowd);
/* After stop: waits for the thread; remotes stay until crowd_free. */
void crowd_join(struct crowd *crowd);
void crowd_free(struct crowd *crowd);

#endif

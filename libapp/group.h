/* SPDX-License-Identifier: MIT */
/* A group: the sessions opened together, one per thread, and what they have in common. */
#ifndef LIBAPP_GROUP_H
#define LIBAPP_GROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sidecore/abi.h>

#include "mailbox.h"
#include "segment.h"

struct engine_ops;

struct group {
	unsigned int session_cnt;
	unsigned int refs; /* atomic: of them, those not closed yet */
	char *mem; /* the channel, or this process's stand-in for it */
	size_t mem_len;
	struct mailbox mailboxes[SC_LANES_MAX]; /* of each session, by the number of its lane */
	int control; /* direct: socket to the engine */
	pthread_mutex_t control_lock; /* a question and its answer belong together */
	const struct engine_ops *ops; /* of all its sessions */
	bool stale; /* a parent's: see fork.c */
	pthread_mutex_t segments_lock; /* for who adds a segment or takes one away; never for who sends */
	unsigned int segments_version; /* atomic: changes with each, for rings that register them on their own */
	unsigned int segment_end; /* atomic: none was ever in a place beyond */
	struct sc_segment segments[SC_SEGMENTS_MAX];
	struct segment_uses uses[SC_LANES_MAX]; /* of each session */
};

/* Of session_cnt sessions, each of which has a reference. NULL: no memory. */
struct group *sc_group_create(unsigned int session_cnt);
void sc_group_free(struct group *group);

/* No other session of the group is open. */
bool sc_group_is_last(const struct group *group);

/* Gives a reference back. true: it was the last. */
bool sc_group_put(struct group *group);

/* sc_control_call, by one thread at a time. */
int sc_group_call(struct group *group, struct sc_ctl_msg *msg, int fd, int *fds, unsigned int *fd_cnt);

#endif

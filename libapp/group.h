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

struct group {
	unsigned int session_cnt;
	unsigned int refs; /* atomic: of them, those not closed yet */
	char *mem; /* the channel, or this process's stand-in for it */
	size_t mem_len;
	struct mailbox mailboxes[SC_LANES_MAX]; /* of each session, by the number of its lane */
	int control; /* direct: socket to the engine */
	pthread_mutex_t control_lock; /* a question and its answer belong together */
	uint64_t segment_slots; /* atomic: those in use */
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

/* A place for a segment that no session of the group has. SC_SEGMENTS_MAX: there is none. */
unsigned int sc_group_slot_get(struct group *group);
void sc_group_slot_put(struct group *group, unsigned int slot);

#endif

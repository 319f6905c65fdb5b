/* SPDX-License-Identifier: MIT */
/* Segments: memory to send from that is added to a group and taken away while it runs, by any of its sessions. */
#ifndef LIBAPP_SEGMENT_H
#define LIBAPP_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sidecore/abi.h>

#define SEGMENT_NONE 0xff /* memory of the channel itself */
_Static_assert(SC_SEGMENTS_MAX <= SEGMENT_NONE, "a segment's place fits a byte");

struct group;
struct sc_session;

enum segment_state {
	SEGMENT_CLOSED, /* no send may take from it */
	SEGMENT_OPEN,
	SEGMENT_DECIDING, /* for a moment: whoever wants to send waits for one of the others */
};

/* A place for one, as long as the group lives. Changed under the group's lock; read by sends without, see docs/memory-order.md. */
struct sc_segment {
	struct group *group;
	unsigned int slot; /* in the group, and as a registered buffer */
	bool used;
	enum segment_state state; /* atomic */
	char *mem; /* atomic, as is len: looked at before the segment is known to stay */
	size_t len;
	uint64_t base; /* mem as the engine calls it */
	uint32_t registered; /* atomic: a bit per lane where it is a registered buffer */
	uint32_t tried; /* local: a bit per lane that has tried to register it */
	uint32_t stale; /* local: a bit per lane that has what was here before as a registered buffer */
};

/* What the sends of one session take from, each written by its thread alone, hence lines of its own. */
struct segment_uses {
	uint32_t pieces[SC_SEGMENTS_MAX]; /* atomic: of sends not yet told of */
} __attribute__((aligned(64)));

/* All places free. */
void sc_segments_init(struct group *group);
/* Gives all back, when the engine is closed. */
void sc_segments_exit(struct group *group);
/* The session's sends have all ended. */
void sc_segments_leave(struct sc_session *session);

/*
 * The engine's address of len bytes, len not 0, that lie in one segment, whose place goes to *ret_slot, or in the channel:
 * SEGMENT_NONE. false: nowhere. The segment stays until sc_segment_put.
 */
bool sc_segment_get(struct sc_session *session, const void *mem, size_t len, uint64_t *ret_addr, uint8_t *ret_slot);
void sc_segment_put(struct sc_session *session, uint8_t slot);

#endif

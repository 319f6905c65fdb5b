/* SPDX-License-Identifier: MIT */
/* Segments: memory to send from that is added to a session and taken away while it runs. */
#ifndef LIBAPP_SEGMENT_H
#define LIBAPP_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sidecore/abi.h>

#define SEGMENT_NONE 0xff /* memory of the channel itself */
_Static_assert(SC_SEGMENTS_MAX <= SEGMENT_NONE, "a segment's place fits a byte");

struct sc_session;

struct sc_segment {
	struct sc_session *session;
	char *mem;
	size_t len;
	uint64_t base; /* mem as the engine calls it */
	unsigned int slot; /* in session->segments, and as a registered buffer */
	unsigned int pieces; /* of sends not yet told of */
	bool registered; /* as fixed buffer, in each lane */
};

/* Lets the engine, which lives on, forget all. */
void sc_segments_leave(struct sc_session *session);
/* Gives all back, when the engine is closed. */
void sc_segments_exit(struct sc_session *session);

/*
 * The engine's address of len bytes, len not 0, that lie in one segment, whose place goes to *ret_slot, or in the channel:
 * SEGMENT_NONE. false: nowhere.
 */
bool sc_segment_find(struct sc_session *session, const void *mem, size_t len, uint64_t *ret_addr, uint8_t *ret_slot);

#endif

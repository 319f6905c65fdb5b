// SPDX-License-Identifier: MIT
/* Segments: memory to send from that is added to a session and taken away while it runs. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "reason.h"
#include "session.h"

static bool within(const char *mem, size_t mem_len, const void *at, size_t len)
{
	size_t off = (size_t)((const char *)at - mem);

	return off < mem_len && len <= mem_len - off;
}

bool sc_segment_find(struct sc_session *session, const void *mem, size_t len, uint64_t *ret_addr, uint8_t *ret_slot)
{
	if (within(session->mem, session->mem_len, mem, len)) {
		*ret_addr = sc_session_addr(session, mem);
		*ret_slot = SEGMENT_NONE;
		return true;
	}
	for (unsigned int slot = 0; slot < session->segment_end; slot++) {
		const struct sc_segment *segment = session->segments[slot];

		if (segment && within(segment->mem, segment->len, mem, len)) {
			*ret_addr = segment->base + (uint64_t)((const char *)mem - segment->mem);
			*ret_slot = (uint8_t)slot;
			return true;
		}
	}
	return false;
}

static size_t segments_len(const struct sc_session *session)
{
	size_t len = 0;

	for (unsigned int slot = 0; slot < session->segment_end; slot++)
		if (session->segments[slot])
			len += session->segments[slot]->len;
	return len;
}

int sc_register_mem(struct sc_session *session, size_t len, struct sc_segment **ret_segment)
{
	struct sc_segment *segment;
	unsigned int slot;
	int err;

	if (session->lost || sc_session_stale(session))
		return sc_session_refuse(session);
	if (!len || len > SC_ARENA_LEN_MAX || SC_SEGMENTS_LEN_MAX - segments_len(session) < len)
		return sc_reason_set(-EINVAL, "segment of %zu bytes: at most %llu, and %llu in all: register less", len,
				     SC_ARENA_LEN_MAX, SC_SEGMENTS_LEN_MAX);
	slot = sc_group_slot_get(session->group);
	if (slot == SC_SEGMENTS_MAX)
		return sc_reason_set(-ENOSPC, "segment: a session has at most %d: deregister one first",
				     SC_SEGMENTS_MAX);
	segment = calloc(1, sizeof(*segment));
	if (!segment) {
		sc_group_slot_put(session->group, slot);
		return sc_reason_set(-ENOMEM, "segment: out of memory");
	}
	*segment = (struct sc_segment){ .session = session, .slot = slot, .len = (len + 4095) & ~(size_t)4095 };
	err = session->ops->segment_add(segment);
	if (err) {
		sc_group_slot_put(session->group, slot);
		free(segment);
		return err;
	}
	session->segments[slot] = segment;
	if (slot >= session->segment_end)
		session->segment_end = slot + 1;
	*ret_segment = segment;
	return 0;
}

static void segment_forget(struct sc_segment *segment)
{
	(void)munmap(segment->mem, segment->len);
	segment->session->segments[segment->slot] = NULL;
	sc_group_slot_put(segment->session->group, segment->slot);
	free(segment);
}

int sc_deregister_mem(struct sc_segment *segment)
{
	int err;

	if (!segment)
		return 0;
	if (sc_session_stale(segment->session))
		return sc_session_refuse(segment->session);
	if (segment->pieces)
		return sc_reason_set(-EBUSY, "segment: %u pieces of it are being sent: wait for their SC_EVENT_SENT",
				     segment->pieces);
	err = segment->session->lost ? 0 : segment->session->ops->segment_del(segment);
	if (err)
		return err;
	segment_forget(segment);
	return 0;
}

void sc_segments_leave(struct sc_session *session)
{
	for (unsigned int slot = 0; slot < session->segment_end; slot++)
		(void)sc_deregister_mem(session->segments[slot]);
}

void sc_segments_exit(struct sc_session *session)
{
	for (unsigned int slot = 0; slot < session->segment_end; slot++)
		if (session->segments[slot])
			segment_forget(session->segments[slot]);
}

void *sc_segment_mem(const struct sc_segment *segment)
{
	return segment->mem;
}

size_t sc_segment_len(const struct sc_segment *segment)
{
	return segment->len;
}

// SPDX-License-Identifier: MIT
/* Segments: memory to send from that is added to a group and taken away while it runs, by any of its sessions. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "reason.h"
#include "session.h"

/* --- the sender's side --- */

static bool within(const char *mem, size_t mem_len, const void *at, size_t len)
{
	size_t off = (size_t)((const char *)at - mem);

	return off < mem_len && len <= mem_len - off;
}

/* Before it is in use another thread may put another one in its place: then this is a guess. */
static bool segment_has(const struct sc_segment *segment, const void *at, size_t len)
{
	return within(__atomic_load_n(&segment->mem, __ATOMIC_RELAXED),
		      __atomic_load_n(&segment->len, __ATOMIC_RELAXED), at, len);
}

/* Only who shares the segments pays for the order. */
static void use_add(struct sc_session *session, unsigned int slot)
{
	uint32_t *pieces = &session->uses->pieces[slot];

	if (session->group->session_cnt == 1)
		__atomic_store_n(pieces, *pieces + 1, __ATOMIC_RELAXED);
	else
		/* F: the use before the look at the state; matches segment_close, which changes that, then looks at uses. */
		__atomic_store_n(pieces, *pieces + 1, __ATOMIC_SEQ_CST);
}

/* H: what was done with the segment before the end of its use; matches the look at uses in pieces_of. */
void sc_segment_put(struct sc_session *session, uint8_t slot)
{
	uint32_t *pieces = &session->uses->pieces[slot];

	__atomic_store_n(pieces, *pieces - 1, __ATOMIC_RELEASE);
}

static enum segment_state state_decided(const struct sc_segment *segment)
{
	enum segment_state state;

	while ((state = __atomic_load_n(&segment->state, __ATOMIC_SEQ_CST)) == SEGMENT_DECIDING)
		(void)sched_yield();
	return state;
}

/* In use, it neither goes nor changes; then the guess is made good. */
static bool segment_take(struct sc_session *session, const struct sc_segment *segment, const void *at, size_t len)
{
	use_add(session, segment->slot);
	if (state_decided(segment) == SEGMENT_OPEN && segment_has(segment, at, len))
		return true;
	sc_segment_put(session, (uint8_t)segment->slot);
	return false;
}

bool sc_segment_get(struct sc_session *session, const void *mem, size_t len, uint64_t *ret_addr, uint8_t *ret_slot)
{
	const struct sc_segment *segments = session->group->segments;
	unsigned int end;

	if (within(session->mem, session->mem_len, mem, len)) {
		*ret_addr = sc_session_addr(session, mem);
		*ret_slot = SEGMENT_NONE;
		return true;
	}
	/* Lines shared with other threads, which write to them only when segments come and go. */
	end = __atomic_load_n(&session->group->segment_end, __ATOMIC_RELAXED);
	for (unsigned int slot = 0; slot < end; slot++) {
		if (!segment_has(&segments[slot], mem, len) || !segment_take(session, &segments[slot], mem, len))
			continue;
		*ret_addr = segments[slot].base + (uint64_t)((const char *)mem - segments[slot].mem);
		*ret_slot = (uint8_t)slot;
		return true;
	}
	return false;
}

/* --- coming and going --- */

void sc_segments_init(struct group *group)
{
	for (unsigned int slot = 0; slot < SC_SEGMENTS_MAX; slot++)
		group->segments[slot] = (struct sc_segment){ .group = group, .slot = slot };
}

static int segment_refuse(int err, size_t len)
{
	if (err == -ENOSPC)
		return sc_reason_set(err, "segment: there are at most %d: deregister one first", SC_SEGMENTS_MAX);
	return sc_reason_set(err, "segment of %zu bytes: at most %llu, and %llu in all: register less", len,
			     SC_ARENA_LEN_MAX, SC_SEGMENTS_LEN_MAX);
}

/* A free place, or NULL and why. Under the lock. */
static struct sc_segment *place_find(struct group *group, size_t len, int *ret_err)
{
	struct sc_segment *place = NULL;
	size_t all = 0;

	for (unsigned int slot = SC_SEGMENTS_MAX; slot--;) {
		if (group->segments[slot].used)
			all += group->segments[slot].len;
		else
			place = &group->segments[slot];
	}
	*ret_err = !len || len > SC_ARENA_LEN_MAX || len > SC_SEGMENTS_LEN_MAX - all ? -EINVAL : place ? 0 : -ENOSPC;
	return *ret_err ? NULL : place;
}

/* Under the lock. */
static void segment_publish(struct sc_segment *segment)
{
	struct group *group = segment->group;

	if (segment->slot >= group->segment_end)
		__atomic_store_n(&group->segment_end, segment->slot + 1, __ATOMIC_RELAXED);
	/* G: what the segment is before that it is there; matches the look at the state in segment_take. */
	__atomic_store_n(&segment->state, SEGMENT_OPEN, __ATOMIC_RELEASE);
}

/* Under the lock. */
static int segment_add(struct sc_session *session, size_t len, struct sc_segment **ret_segment)
{
	struct sc_segment *segment;
	char *mem;
	int err;

	segment = place_find(session->group, len, &err);
	if (!segment)
		return segment_refuse(err, len);
	__atomic_store_n(&segment->len, (len + 4095) & ~(size_t)4095, __ATOMIC_RELAXED);
	__atomic_store_n(&segment->registered, 0, __ATOMIC_RELAXED);
	segment->tried = 0;
	err = session->ops->segment_add(session, segment, &mem);
	if (err)
		return err;
	segment->used = true;
	__atomic_store_n(&segment->mem, mem, __ATOMIC_RELAXED);
	segment_publish(segment);
	*ret_segment = segment;
	return 0;
}

int sc_register_mem(struct sc_session *session, size_t len, struct sc_segment **ret_segment)
{
	int err;

	if (session->lost || sc_session_stale(session))
		return sc_session_refuse(session);
	(void)pthread_mutex_lock(&session->group->segments_lock);
	err = segment_add(session, len, ret_segment);
	(void)pthread_mutex_unlock(&session->group->segments_lock);
	return err;
}

static unsigned int pieces_of(const struct sc_segment *segment)
{
	unsigned int pieces = 0;

	for (unsigned int i = 0; i < segment->group->session_cnt; i++)
		pieces += __atomic_load_n(&segment->group->uses[i].pieces[segment->slot], __ATOMIC_SEQ_CST);
	return pieces;
}

/* Under the lock. Who begins to send meanwhile is either counted here, or finds it closed. */
static unsigned int segment_close(struct sc_segment *segment)
{
	unsigned int pieces;

	__atomic_store_n(&segment->state, SEGMENT_DECIDING, __ATOMIC_SEQ_CST);
	pieces = pieces_of(segment);
	__atomic_store_n(&segment->state, pieces ? SEGMENT_OPEN : SEGMENT_CLOSED, __ATOMIC_SEQ_CST);
	return pieces;
}

static void segment_forget(struct sc_segment *segment)
{
	char *mem = segment->mem;

	__atomic_store_n(&segment->mem, NULL, __ATOMIC_RELAXED);
	(void)munmap(mem, segment->len);
	__atomic_store_n(&segment->len, 0, __ATOMIC_RELAXED);
	segment->used = false;
}

/* Under the lock. */
static int segment_del(struct sc_segment *segment)
{
	unsigned int pieces = segment_close(segment);
	int err;

	if (pieces)
		return sc_reason_set(-EBUSY, "segment: %u pieces of it are being sent: wait for their SC_EVENT_SENT",
				     pieces);
	err = segment->group->ops->segment_del(segment);
	if (err)
		segment_publish(segment);
	else
		segment_forget(segment);
	return err;
}

int sc_deregister_mem(struct sc_segment *segment)
{
	struct group *group;
	int err;

	if (!segment)
		return 0;
	group = segment->group;
	if (group->stale)
		return sc_refuse(-ESTALE, "segment: it is that of the process that forked this one: register an own");
	(void)pthread_mutex_lock(&group->segments_lock);
	err = segment_del(segment);
	(void)pthread_mutex_unlock(&group->segments_lock);
	return err;
}

void sc_segments_leave(struct sc_session *session)
{
	for (unsigned int slot = 0; slot < SC_SEGMENTS_MAX; slot++)
		__atomic_store_n(&session->uses->pieces[slot], 0, __ATOMIC_RELEASE);
}

void sc_segments_exit(struct group *group)
{
	for (unsigned int slot = 0; slot < SC_SEGMENTS_MAX; slot++)
		if (group->segments[slot].used)
			segment_forget(&group->segments[slot]);
}

void *sc_segment_mem(const struct sc_segment *segment)
{
	return segment->mem;
}

size_t sc_segment_len(const struct sc_segment *segment)
{
	return segment->len;
}

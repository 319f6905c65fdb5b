// SPDX-License-Identifier: MIT
/*
 * Sending without a copy, where it pays. Such a request completes twice: when TCP has taken the bytes, which lets the next send
 * go, and by a notice when the kernel has stopped reading them, which lets this one be told of.
 */
#include <errno.h>

#include "reason.h"
#include "session.h"

/*
 * From these lengths on it has been seen to pay on network cards; OUT_MAX because its number is to be unique among those of the
 * connection that are not told of.
 */
enum { LEN_REGISTERED = ZEROCOPY_LEN_MIN, LEN_OTHER = 16384, OUT_MAX = 64, LEVEL_MAX = 5 };

/* --- trying --- */

static bool luck_skips(struct zerocopy_luck *luck)
{
	if (!luck->skip)
		return false;
	luck->skip--;
	return true;
}

/* Copied: the next tries come after 4, 16, ... 4096 sends. */
static void luck_learn(struct zerocopy_luck *luck, bool copied)
{
	if (!copied) {
		*luck = (struct zerocopy_luck){ 0 };
		return;
	}
	luck->skip = (uint16_t)(4U << 2 * luck->level);
	if (luck->level < LEVEL_MAX)
		luck->level++;
}

/* A new connection begins with what others of its lane have come to know. */
static void learn(struct sc_conn *conn, bool copied)
{
	if (!conn->zerocopy_known)
		conn->zerocopy_luck = conn->lane->zerocopy_luck;
	conn->zerocopy_known = true;
	luck_learn(&conn->zerocopy_luck, copied);
	luck_learn(&conn->lane->zerocopy_luck, copied);
}

static const struct sc_segment *registered_segment(const struct sc_conn *conn, const struct send *send)
{
	const struct lane *lane = conn->lane;
	const struct sc_segment *segment;

	if (!send->segment_cnt)
		return NULL;
	segment = &lane->session->group->segments[send->segment[0]];
	return __atomic_load_n(&segment->registered, __ATOMIC_RELAXED) & 1U << lane->number ? segment : NULL;
}

static struct zerocopy_luck *luck_of(struct sc_conn *conn)
{
	return conn->zerocopy_known ? &conn->zerocopy_luck : &conn->lane->zerocopy_luck;
}

static bool worth_it(const struct sc_conn *conn, const struct send *send, bool registered, struct zerocopy_luck *luck)
{
	if (!send->single || (send->job && send->job->copied) || conn->notices >= OUT_MAX ||
	    conn->zerocopy_mode == SC_ZC_NEVER)
		return false;
	if (conn->zerocopy_mode == SC_ZC_ALWAYS)
		return true;
	if (send->job) /* cancelled, it must end though the peer takes nothing: the memory would still be TCP's */
		return false;
	if (send->left < (registered ? LEN_REGISTERED : LEN_OTHER))
		return false;
	if (conn->zerocopy_known && !luck->level)
		return true;
	/* a try whose outcome is awaited is enough */
	return !conn->notices && !luck_skips(luck);
}

bool sc_zerocopy_due(struct sc_conn *conn, const struct send *send)
{
	struct zerocopy_luck luck = *luck_of(conn);

	return worth_it(conn, send, registered_segment(conn, send), &luck);
}

bool sc_zerocopy_prep(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	struct send *send = conn->send_head;
	const struct sc_segment *segment = registered_segment(conn, send);
	bool again = send->notices; /* the rest of a short one keeps its number */

	send->zerocopy = worth_it(conn, send, segment, luck_of(conn));
	if (!send->zerocopy)
		return false;
	if (!again)
		send->zerocopy_nr = ++conn->zerocopy_nr & (TAG_ZEROCOPY - 1);
	if (segment)
		io_uring_prep_send_zc_fixed(sqe, conn->file, send->piece[0].iov_base, send->asked, MSG_WAITALL,
					    IORING_SEND_ZC_REPORT_USAGE, segment->slot);
	else
		io_uring_prep_send_zc(sqe, conn->file, send->piece[0].iov_base, send->asked, MSG_WAITALL,
				      IORING_SEND_ZC_REPORT_USAGE);
	sc_lane_use_file(conn->lane, sqe);
	conn->lane->session->counters.zerocopy_sends++;
	return true;
}

/* --- completing --- */

/* -EOPNOTSUPP: not by this kind of socket; -ENOMEM: the pages may not be locked. */
static bool refused(int res)
{
	return res == -EOPNOTSUPP || res == -ENOMEM;
}

bool sc_zerocopy_complete(struct sc_conn *conn, const struct io_uring_cqe *cqe, int *ret_res)
{
	struct send *send = conn->send_head;

	*ret_res = cqe->res;
	if (cqe->flags & IORING_CQE_F_MORE) {
		send->notices++;
		conn->notices++;
	}
	if (!refused(cqe->res))
		return false;
	conn->lane->session->counters.zerocopy_refused++;
	conn->zerocopy_mode = SC_ZC_NEVER;
	if (conn->close_now || send->cancelled) { /* nobody wants it any more */
		*ret_res = -ECANCELED;
		return false;
	}
	sc_conn_want(conn, OP_SEND);
	return true;
}

void sc_send_hold(struct sc_conn *conn, struct send *send, int result)
{
	send->result = result;
	send->next = conn->held_tail ? conn->held_tail->next : send;
	if (conn->held_tail)
		conn->held_tail->next = send;
	conn->held_tail = send;
}

/*
 * The close itself waits: without the socket a peer that takes nothing could not be got rid of. A reset makes TCP drop what it
 * has, and the kernel done with the memory.
 */
void sc_zerocopy_end(struct sc_conn *conn)
{
	if (conn->close_now) {
		if (!conn->reset)
			sc_conn_want(conn, OP_RESET);
		conn->reset = true;
	} else {
		if (!conn->ending)
			sc_conn_want(conn, OP_SHUTDOWN);
		conn->ending = true;
	}
}

/* The first of those held, if its memory is free. */
static struct send *held_take(struct sc_conn *conn)
{
	struct send *head = conn->held_tail ? conn->held_tail->next : NULL;

	if (!head || head->notices)
		return NULL;
	if (head == conn->held_tail)
		conn->held_tail = NULL;
	else
		conn->held_tail->next = head->next;
	return head;
}

/* One event may be added: the first send's. Those that waited behind it are told after it by the lane. */
static void held_release(struct sc_conn *conn, struct sink *sink)
{
	struct send *first = held_take(conn), *send;

	if (!first)
		return;
	sc_lane_send_tell(conn->lane, first, first->result, sink);
	while ((send = held_take(conn)))
		sc_lane_send_done(conn->lane, send, send->result);
	if (!conn->held_tail)
		sc_conn_close_step(conn);
}

static struct send *send_of(struct sc_conn *conn, uint8_t nr)
{
	struct send *send = conn->held_tail;

	if (conn->send_head && conn->send_head->notices && conn->send_head->zerocopy_nr == nr)
		return conn->send_head;
	do {
		if (!send)
			return NULL;
		send = send->next;
		if (send->notices && send->zerocopy_nr == nr)
			return send;
	} while (send != conn->held_tail);
	return NULL;
}

void sc_zerocopy_notice(struct sc_conn *conn, const struct io_uring_cqe *cqe, struct sink *sink)
{
	struct send *send = send_of(conn, sc_tag_zerocopy(cqe->user_data));
	bool copied = (uint32_t)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED;

	if (!send)
		return;
	send->notices--;
	conn->notices--;
	conn->lane->session->counters.zerocopy_copied += copied;
	learn(conn, copied);
	held_release(conn, sink);
}

/* --- the caller's side --- */

int sc_conn_set_zerocopy(struct sc_conn *conn, enum sc_zerocopy mode)
{
	if (sc_session_stale(conn->lane->session))
		return sc_session_refuse(conn->lane->session);
	if ((unsigned int)mode > SC_ZC_NEVER)
		return sc_refuse(-EINVAL, "zero copy: not SC_ZC_AUTO, SC_ZC_ALWAYS or SC_ZC_NEVER");
	conn->zerocopy_mode = mode & 3;
	return 0;
}

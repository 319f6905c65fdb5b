// SPDX-License-Identifier: MIT
/*
 * Priorities of sends. As long as a lane has connections of high priority, what others send is bulk: of that only so much is in
 * the queue as the consumer gets through in a moment, in pieces, and the rest waits here. So a send of high priority never has much
 * before it. What the consumer has taken counts no more, though it may wait for its peer.
 */
#include <errno.h>

#include "reason.h"
#include "session.h"

enum { BULK_LEN_MAX = 128 << 10, PIECE_LEN_MAX = 64 << 10, REQUEST_LEN = 2048 /* costs as much as so many bytes */ };

static bool room(struct lane *lane)
{
	if (lane->bulk_len < BULK_LEN_MAX)
		return true;
	if ((int32_t)(io_uring_smp_load_acquire(lane->ring.sq.khead) - lane->bulk_end) < 0)
		return false;
	lane->bulk_len = 0;
	return true;
}

static void bulk_add(struct lane *lane, struct sc_conn *conn)
{
	conn->on_bulk = true;
	conn->bulk_next = NULL;
	if (lane->bulk_head)
		lane->bulk_tail->bulk_next = conn;
	else
		lane->bulk_head = conn;
	lane->bulk_tail = conn;
	lane->session->counters.bulk_waited++;
}

bool sc_bulk_admit(struct sc_conn *conn)
{
	struct lane *lane = conn->lane;

	if (conn->high)
		return true;
	if (conn->on_bulk)
		return false;
	if (!conn->bulk_turn && (lane->bulk_head || !room(lane))) {
		bulk_add(lane, conn);
		return false;
	}
	conn->bulk_turn = false;
	lane->bulk_len += sc_bulk_len(conn, conn->send_head->left) + REQUEST_LEN;
	lane->bulk_end = lane->ring.sq.sqe_tail + 1;
	return true;
}

/* Something completes when the consumer has come that far, though no send may: a caller that sleeps goes on then. */
static void fence_put(struct lane *lane)
{
	struct io_uring_sqe *sqe = lane->fence ? NULL : sc_lane_sqe(lane);

	if (!sqe)
		return;
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, SC_TAG_FENCE);
	lane->fence = true;
}

void sc_bulk_fill(struct lane *lane)
{
	while (lane->bulk_head && (!lane->high_cnt || room(lane))) {
		struct sc_conn *conn = lane->bulk_head;

		lane->bulk_head = conn->bulk_next;
		conn->on_bulk = false;
		conn->bulk_turn = true;
		if (!conn->on_todo)
			sc_lane_todo_fill(conn);
	}
	if (lane->bulk_head)
		fence_put(lane);
}

void sc_bulk_fenced(struct lane *lane)
{
	lane->fence = false;
	lane->bulk_len = 0;
}

size_t sc_bulk_len(const struct sc_conn *conn, size_t len)
{
	return len > PIECE_LEN_MAX && conn->lane->high_cnt && !conn->high ? PIECE_LEN_MAX : len;
}

/* --- the caller's side --- */

int sc_conn_set_priority(struct sc_conn *conn, enum sc_priority priority)
{
	struct lane *lane = conn->lane;
	bool high = priority == SC_PRIORITY_HIGH;
	uint16_t waits = conn->want & (OP_SEND | OP_READ);

	if (sc_session_stale(lane->session))
		return sc_session_refuse(lane->session);
	if (!high && priority != SC_PRIORITY_NORMAL)
		return sc_refuse(-EINVAL, "priority: not SC_PRIORITY_NORMAL or SC_PRIORITY_HIGH");
	lane->high_cnt += high;
	lane->high_cnt -= conn->high;
	conn->high = high;
	if (high && waits)
		sc_conn_want(conn, waits);
	return 0;
}

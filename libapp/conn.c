// SPDX-License-Identifier: MIT
/*
 * A connection's life: accept or connect, receive, send, shut down, close; what it has asked of the kernel.
 *
 * `want` holds operations to submit, `inflight` those whose last completion has not come. The entry is used again only
 * when both are empty, so a completion never meets another connection's state.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "handover.h"
#include "inbox.h"
#include "session.h"
#include "udp.h"

/* --- requests --- */

static void prep_accept(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	const struct lane *lane = conn->lane;
	int listener = conn->listener->lane[lane->idx].file;

	if (lane->descriptors)
		io_uring_prep_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
	else
		io_uring_prep_accept_direct(sqe, listener, NULL, NULL, 0, sc_conn_slot(conn));
	sc_lane_use_file(lane, sqe);
}

static void prep_shutdown(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	io_uring_prep_shutdown(sqe, conn->file, SHUT_WR);
	sc_lane_use_file(conn->lane, sqe);
}

static void prep_shutdown_recv(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	io_uring_prep_shutdown(sqe, conn->file, SHUT_RD);
	sc_lane_use_file(conn->lane, sqe);
}

/* One that finds no victim is ignored in sc_conn_complete. */
static void prep_cancel(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	uint16_t victim = conn->cancel & -conn->cancel;

	conn->cancel &= (uint16_t)~victim;
	if (victim == OP_SENDTO) /* all of them, and the receive, which ends with them */
		io_uring_prep_cancel_fd(sqe, conn->file,
					IORING_ASYNC_CANCEL_ALL |
						(conn->lane->descriptors ? 0 : IORING_ASYNC_CANCEL_FD_FIXED));
	else
		io_uring_prep_cancel64(sqe, sc_conn_tag(conn, victim), 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

/* Disconnecting is what makes TCP send a reset at once; other sockets refuse it, and are closed as ever. */
static void prep_reset(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	const struct lane *lane = conn->lane;

	io_uring_prep_connect(sqe, conn->file, (void *)(uintptr_t)sc_session_addr(lane->session, lane->words->unspec),
			      sizeof(lane->words->unspec));
	sc_lane_use_file(lane, sqe);
}

static void prep_close(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	if (conn->lane->descriptors)
		io_uring_prep_close(sqe, conn->file);
	else
		io_uring_prep_close_direct(sqe, (unsigned int)conn->file);
}

static void (*const prepare[])(struct sc_conn *, struct io_uring_sqe *) = {
	prep_accept,	  sc_connect_timeout_prep, sc_connect_prep,    sc_recv_prep, sc_send_prep, sc_file_read_prep,
	sc_udp_send_prep, prep_shutdown,	   prep_shutdown_recv, prep_cancel,  prep_reset,   prep_close,
	sc_handover_prep,
};
static const uint16_t untracked = OP_CANCEL;

static bool submit(struct sc_conn *conn, unsigned int bit)
{
	uint16_t op = (uint16_t)(1U << bit);
	struct lane *lane = conn->lane;
	struct io_uring_sqe *sqe = sc_lane_sqe(lane);

	if (unlikely(!sqe)) {
		lane->session->counters.sq_full++;
		return false;
	}
	prepare[bit](conn, sqe);
	io_uring_sqe_set_data64(sqe, sc_conn_tag(conn, op) | (op == OP_SENDTO ? sc_udp_tag(conn) : 0));
	conn->inflight |= (uint16_t)(op & ~untracked);
	return true;
}

/* Another request of the same operation is to follow. */
static bool again(const struct sc_conn *conn, uint16_t op)
{
	return op == OP_CANCEL ? conn->cancel : op == OP_SENDTO && sc_udp_waits(conn);
}

bool sc_conn_fill(struct sc_conn *conn)
{
	for (uint16_t left = conn->want; left; left &= (uint16_t)(left - 1)) {
		unsigned int bit = (unsigned int)__builtin_ctz(left);
		uint16_t op = (uint16_t)(1U << bit);

		if (op & (OP_SEND | OP_READ) && conn->lane->high_cnt && !sc_bulk_admit(conn))
			continue; /* waits with the lane */
		do {
			if (!submit(conn, bit))
				return false;
		} while (again(conn, op));
		conn->want &= (uint16_t)~op;
	}
	return !(conn->want & ~(conn->on_bulk ? OP_SEND | OP_READ : 0U));
}

void sc_conn_want(struct sc_conn *conn, enum conn_op op)
{
	struct lane *lane = conn->lane;

	conn->want |= (uint16_t)op;
	if (conn->on_todo)
		return;
	if ((!lane->todo_head || conn->high) && sc_conn_fill(conn)) {
		sc_lane_publish_early(lane);
		return;
	}
	sc_lane_todo_add(conn);
}

void sc_conn_cancel(struct sc_conn *conn, enum conn_op victim)
{
	conn->cancel |= (uint16_t)victim;
	sc_conn_want(conn, OP_CANCEL);
}

void sc_conn_cancel_not(struct sc_conn *conn, enum conn_op victim)
{
	conn->cancel &= (uint16_t)~victim;
	if (!conn->cancel)
		conn->want &= (uint16_t)~OP_CANCEL;
}

void sc_conn_broke(struct sc_conn *conn)
{
	if (!conn->broken && !conn->closing)
		conn->lane->session->counters.broken++;
	conn->broken = true;
}

/*
 * After the last send, when the kernel has stopped reading its memory, and after a shutdown: the kernel leaves that to another
 * thread, which looks the file up by its number. A close that overtook it would have it hit what comes next under that number.
 */
void sc_conn_close_step(struct sc_conn *conn)
{
	if (!conn->closing || conn->close_asked || conn->send_head ||
	    (conn->want | conn->inflight) & (OP_SHUTDOWN | OP_SHUTDOWN_RECV) || (conn->datagram && sc_udp_busy(conn)))
		return;
	if (conn->held_tail) {
		sc_zerocopy_end(conn); /* handing over waits for it as well */
		return;
	}
	if (conn->giving)
		return;
	conn->close_asked = true;
	sc_recv_stop(conn);
	if (conn->connecting)
		sc_connect_abort(conn);
	if (conn->close_reset)
		sc_conn_want(conn, OP_RESET);
	sc_conn_want(conn, OP_CLOSE);
}

/* --- accepting, closing --- */

void sc_conn_recycle(struct sc_conn *conn)
{
	if (conn->close_told && !conn->unreleased && !conn->on_todo && !conn->on_bulk)
		sc_lane_conn_put(conn);
}

static void complete_accept(struct sc_conn *conn, int res, struct sink *sink)
{
	struct sc_listener *listener = conn->listener;
	struct lane *lane = conn->lane;

	conn->accepted = res >= 0;
	sc_listener_accepted(listener, lane, res < 0 ? res : 0);
	if (res < 0) {
		conn->close_told = true;
		sc_conn_recycle(conn); /* it may wait for room to have this very accept cancelled */
		return;
	}
	conn->file = lane->descriptors ? res : (int)sc_conn_slot(conn);
	lane->session->counters.accepted++;
	sc_event_add(sink, SC_EVENT_ACCEPT, conn)->listener = listener;
	sc_recv_next(conn);
}

/* The kernel is done with the connection: tell, and use the entry again once the caller is done with it too. */
static void close_end(struct sc_conn *conn, struct sink *sink)
{
	if (conn->want || conn->inflight || conn->close_told)
		return;
	conn->close_told = true;
	sc_listener_left(conn);
	if (conn->datagram)
		sc_udp_free(conn);
	if (conn->given)
		conn->lane->session->counters.given++;
	else
		conn->lane->session->counters.closed++;
	if (!conn->untold)
		sc_event_add(sink, conn->given ? SC_EVENT_GIVEN : SC_EVENT_CLOSED, conn);
	sc_conn_recycle(conn);
}

static __attribute__((noinline)) void complete_zerocopy(struct sc_conn *conn, const struct io_uring_cqe *cqe,
							struct sink *sink)
{
	int res;

	if (!sc_zerocopy_complete(conn, cqe, &res))
		sc_send_complete(conn, res, sink);
}

/* What is no stream's data. */
static __attribute__((noinline)) void complete_other(struct sc_conn *conn, enum conn_op op,
						     const struct io_uring_cqe *cqe, struct sink *sink)
{
	switch (op) {
	case OP_TIMEOUT:
		sc_connect_timeout_complete(conn, cqe->res, sink);
		break;
	case OP_CONNECT:
		sc_connect_complete(conn, cqe->res, sink);
		break;
	case OP_READ:
		sc_file_read_complete(conn, cqe->res);
		break;
	case OP_SHUTDOWN:
	case OP_SHUTDOWN_RECV:
		sc_conn_close_step(conn);
		break;
	case OP_CLOSE:
		conn->file = -1;
		break;
	case OP_GIVE:
		sc_handover_complete(conn, cqe->res, sink);
		break;
	default:
		break;
	}
}

void sc_conn_complete(struct sc_conn *conn, enum conn_op op, const struct io_uring_cqe *cqe, struct sink *sink)
{
	if (unlikely(cqe->flags & IORING_CQE_F_NOTIF)) {
		sc_zerocopy_notice(conn, cqe, sink);
		if (conn->giving)
			sc_handover_step(conn);
		return;
	}
	if (unlikely(op & untracked || !(conn->inflight & op)))
		return;
	if (op == OP_SEND || (!(cqe->flags & IORING_CQE_F_MORE) && op != OP_SENDTO))
		conn->inflight &= (uint16_t)~op;
	if (op == OP_RECV) {
		sc_recv_complete(conn, cqe, sink);
	} else if (op == OP_SEND) {
		if (unlikely(conn->send_head && conn->send_head->zerocopy))
			complete_zerocopy(conn, cqe, sink);
		else
			sc_send_complete(conn, cqe->res, sink);
	} else if (op == OP_ACCEPT) {
		complete_accept(conn, cqe->res, sink);
		return;
	} else if (op == OP_SENDTO) {
		sc_udp_complete(conn, cqe, sink);
		return;
	} else {
		complete_other(conn, op, cqe, sink);
	}
	if (unlikely(conn->giving))
		sc_handover_step(conn);
	if (unlikely(conn->close_asked) && op != OP_SEND)
		close_end(conn, sink);
}

/* --- the caller's side --- */

void sc_close(struct sc_conn *conn, unsigned int flags)
{
	bool now = flags & (SC_CLOSE_NOW | SC_CLOSE_RESET);

	if (sc_session_stale(conn->lane->session))
		return;
	if (now && conn->send_head) {
		if (conn->inflight & OP_SEND) {
			sc_conn_cancel(conn, OP_SEND); /* those behind the first fail after it, in order */
		} else {
			sc_sends_end(conn, -ECANCELED);
		}
	}
	if (now && conn->datagram && !conn->close_told)
		sc_udp_cancel(conn);
	if (!conn->closing && (conn->inbox || conn->lane->session->store.cnt))
		sc_inbox_close(conn);
	conn->closing = true;
	conn->close_now |= now;
	conn->close_reset |= !!(flags & SC_CLOSE_RESET);
	if (conn->parcel)
		sc_handover_drop(conn);
	if (conn->giving)
		sc_handover_step(conn);
	sc_conn_close_step(conn);
}

void sc_conn_set_data(struct sc_conn *conn, void *data)
{
	conn->data = data;
}

void *sc_conn_data(const struct sc_conn *conn)
{
	return conn->data;
}

unsigned int sc_conn_lane(const struct sc_conn *conn)
{
	return conn->lane->idx;
}

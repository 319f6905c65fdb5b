// SPDX-License-Identifier: MIT
/* Receiving on a connection: ahead of the application, within a window of buffers. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "handover.h"
#include "inbox.h"
#include "reason.h"
#include "session.h"
#include "udp.h"

void sc_recv_prep(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	sc_lane_bufs_publish(conn->lane); /* the poller may be quicker than the next poll */
	if (conn->datagram) {
		sc_udp_recv_prep(conn, sqe);
	} else {
		io_uring_prep_recv_multishot(sqe, conn->file, NULL, 0, 0);
		sqe->optlen = conn->lane->recv_limit;
		conn->recv_limited = conn->lane->recv_limit;
	}
	sc_lane_use_file(conn->lane, sqe);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = SC_BUF_GROUP;
}

/* --- receiving --- */

void *sc_recv_copy(struct lane *lane, void *data, size_t len)
{
	void *copy = sc_arena_alloc(&lane->session->arena, len);

	if (!copy)
		return data;
	memcpy(copy, data, len);
	sc_lane_buf_put(lane, data);
	lane->session->counters.recv_copied++;
	return copy;
}

static bool wanted(const struct sc_conn *conn)
{
	return !(conn->closing || conn->given || conn->recv_ended || conn->paused || conn->parcel || conn->starved ||
		 (conn->want | conn->inflight) & OP_RECV);
}

void sc_recv_next(struct sc_conn *conn)
{
	if (wanted(conn))
		sc_conn_want(conn, OP_RECV);
}

/*
 * There was no buffer for what has arrived. To ask again at once would only be refused again, and to try all that wait at each
 * turn would cost more than serving those there are buffers for: so they stand in line.
 */
static void starve(struct sc_conn *conn)
{
	struct lane *lane = conn->lane;

	lane->session->counters.recv_starved++;
	if (!wanted(conn))
		return;
	conn->starved = true;
	conn->starved_next = NULL;
	conn->starved_prev = lane->starved_tail;
	if (lane->starved_tail)
		lane->starved_tail->starved_next = conn;
	else
		lane->starved_head = conn;
	lane->starved_tail = conn;
}

static void starved_remove(struct sc_conn *conn)
{
	struct lane *lane = conn->lane;

	if (conn->starved_prev)
		conn->starved_prev->starved_next = conn->starved_next;
	else
		lane->starved_head = conn->starved_next;
	if (conn->starved_next)
		conn->starved_next->starved_prev = conn->starved_prev;
	else
		lane->starved_tail = conn->starved_prev;
	conn->starved = false;
}

/*
 * As many as there are buffers for. One that has nothing to receive needs none and completes nothing: so a request that does
 * goes along, and when it has, it is the turn of those behind.
 */
void sc_recv_feed(struct lane *lane)
{
	struct io_uring_sqe *sqe = sc_lane_sqe(lane);
	unsigned int cnt = sc_lane_bufs_free(lane);

	if (!sqe) {
		lane->session->counters.sq_full++;
		return;
	}
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, SC_TAG_FED);
	lane->feeding = true;
	for (; cnt && lane->starved_head; cnt--) {
		struct sc_conn *conn = lane->starved_head;

		starved_remove(conn);
		sc_recv_next(conn);
	}
}

void sc_recv_stop(struct sc_conn *conn)
{
	conn->want &= (uint16_t)~OP_RECV;
	if (conn->starved)
		starved_remove(conn);
	if (conn->inflight & OP_RECV)
		sc_conn_cancel(conn, OP_RECV);
}

static void recv_pause(struct sc_conn *conn)
{
	conn->paused = true;
	conn->lane->session->counters.recv_paused++;
	sc_recv_stop(conn);
}

/* Not as a stream's next event. true: it is held until the caller gives it back. */
static __attribute__((noinline)) bool recv_other(struct sc_conn *conn, void *data, size_t len, struct sink *sink)
{
	bool held = conn->datagram ? sc_udp_recv(conn, data, &len, sink) : sc_inbox_data(conn, data, len);

	conn->lane->session->counters.received += len;
	return held;
}

static inline void recv_data(struct sc_conn *conn, void *data, size_t len, struct sink *sink)
{
	struct sc_counters *counters = &conn->lane->session->counters;
	struct sc_event *event;
	bool held = true; /* until the caller gives it back */

	if (unlikely(conn->closing || conn->recv_shut)) {
		sc_lane_buf_put(conn->lane, data);
		return;
	}
	counters->recv_events++;
	if (unlikely(conn->datagram || conn->inbox)) {
		held = recv_other(conn, data, len, sink);
	} else {
		event = sc_event_add(sink, SC_EVENT_RECV, conn);
		event->data = sc_recv_keep(conn->lane, data, len);
		event->len = len;
		counters->received += len;
	}
	if (held && unlikely(++conn->unreleased >= conn->lane->window) && !conn->paused)
		recv_pause(conn);
}

static __attribute__((noinline)) void recv_end(struct sc_conn *conn, int res, struct sink *sink)
{
	if (res == -EINVAL && conn->recv_limited) { /* before 6.18 the kernel has no such limit: without it */
		conn->lane->recv_limit = 0;
		return;
	}
	if (res == -ECANCELED || conn->closing || conn->recv_shut)
		return;
	conn->recv_ended = true;
	/* A reset is told once: a send that met it leaves the receiver what looks like an orderly end. */
	if (!res && conn->send_broke)
		res = -ECONNRESET;
	conn->recv_result = res;
	if (res)
		sc_conn_broke(conn);
	if (conn->inbox)
		sc_inbox_end(conn, res);
	else
		sc_event_add(sink, res ? SC_EVENT_ERROR : SC_EVENT_RECV, conn)->result = res;
}

void sc_recv_complete(struct sc_conn *conn, const struct io_uring_cqe *cqe, struct sink *sink)
{
	struct lane *lane = conn->lane;
	unsigned int bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	void *data = NULL;

	if (cqe->flags & IORING_CQE_F_BUFFER && bid < lane->buf_cnt) {
		data = lane->bufs + ((size_t)bid << lane->buf_shift);
		lane->bufs_held++;
	}
	if (likely(cqe->res > 0 && data && (size_t)cqe->res <= (size_t)1 << lane->buf_shift))
		recv_data(conn, data, (size_t)cqe->res, sink);
	else if (data)
		sc_lane_buf_put(lane, data);
	if (unlikely(cqe->res == -ENOBUFS))
		starve(conn);
	else if (unlikely(cqe->res <= 0))
		recv_end(conn, cqe->res, sink);
	if (unlikely(!(cqe->flags & IORING_CQE_F_MORE)))
		sc_recv_next(conn);
}

void sc_recv_give_back(struct sc_conn *conn, void *data)
{
	sc_lane_buf_put(conn->lane, data);
	assert(conn->unreleased);
	conn->unreleased--;
	if (unlikely(conn->paused) && conn->unreleased <= conn->lane->window / 2) {
		conn->paused = false;
		sc_recv_next(conn);
	}
}

/* --- the caller's side --- */

void sc_release(struct sc_conn *conn, void *data)
{
	if (sc_session_stale(conn->lane->session))
		return;
	sc_recv_give_back(conn, data);
	sc_conn_recycle(conn);
}

int sc_shutdown_recv(struct sc_conn *conn)
{
	int err;

	if (conn->lane->session->lost)
		return sc_session_refuse(conn->lane->session);
	if (conn->closing)
		return sc_refuse(-EPIPE, "connection: being closed: it receives nothing more");
	if (conn->datagram)
		return sc_refuse(-ENOTCONN, "shutdown: a datagram socket has no end of stream: close it");
	if (conn->recv_shut)
		return 0;
	err = sc_handover_settle(conn);
	if (err)
		return err;
	conn->recv_shut = true;
	if (conn->inbox && !conn->recv_ended)
		sc_inbox_end(conn, 0);
	if (conn->inbox || conn->lane->session->store.cnt)
		sc_inbox_drop(conn);
	conn->recv_ended = true;
	sc_recv_stop(conn);
	if (!conn->connecting)
		sc_conn_want(conn, OP_SHUTDOWN_RECV);
	return 0;
}

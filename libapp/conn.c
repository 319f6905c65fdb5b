// SPDX-License-Identifier: MIT
/*
 * A connection's life: accept, receive ahead within a window, send in order one at a time, shut down, close.
 *
 * `want` holds operations to submit, `inflight` those whose last completion has not come. The entry is used again only
 * when both are empty, so a completion never meets another connection's state.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "session.h"

static uint64_t tag_of(const struct sc_conn *conn, enum conn_op op)
{
	return (uint64_t)sc_conn_idx(conn) << 32 | (uint64_t)(conn->gen & 0xffffff) << 8 | op;
}

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

static void prep_recv(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	sc_lane_bufs_publish(conn->lane); /* the poller may be quicker than the next poll */
	io_uring_prep_recv_multishot(sqe, conn->file, NULL, 0, 0);
	sc_lane_use_file(conn->lane, sqe);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = SC_BUF_GROUP;
	sqe->optlen = conn->lane->recv_limit;
	conn->recv_limited = conn->lane->recv_limit;
}

/* MSG_WAITALL: the kernel goes on with a short send by itself. The scratch is free: one send is in flight at a time. */
static void prep_send(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	struct sc_session *session = conn->lane->session;
	struct send *send = conn->send_head;
	struct send_scratch *scratch;

	if (send->piece_cnt == 1) {
		void *mem = (void *)(uintptr_t)sc_session_addr(session, send->piece[0].iov_base);

		io_uring_prep_send(sqe, conn->file, mem, send->piece[0].iov_len, MSG_WAITALL);
	} else {
		scratch = &conn->lane->scratch[sc_conn_idx(conn)];
		for (unsigned int i = 0; i < send->piece_cnt; i++)
			scratch->piece[i] = (struct iovec){
				.iov_base = (void *)(uintptr_t)sc_session_addr(session, send->piece[i].iov_base),
				.iov_len = send->piece[i].iov_len,
			};
		scratch->msg = (struct msghdr){
			.msg_iov = (void *)(uintptr_t)sc_session_addr(session, scratch->piece),
			.msg_iovlen = send->piece_cnt,
		};
		io_uring_prep_sendmsg(sqe, conn->file, (void *)(uintptr_t)sc_session_addr(session, &scratch->msg),
				      MSG_WAITALL);
	}
	sc_lane_use_file(conn->lane, sqe);
}

static void prep_shutdown(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	io_uring_prep_shutdown(sqe, conn->file, SHUT_WR);
	sc_lane_use_file(conn->lane, sqe);
}

/* A cancel that succeeds is told by the end of its victim; one that finds none is ignored in sc_conn_complete. */
static void prep_cancel_recv(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	io_uring_prep_cancel64(sqe, tag_of(conn, OP_RECV), 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void prep_cancel_send(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	io_uring_prep_cancel64(sqe, tag_of(conn, OP_SEND), 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void prep_close(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	if (conn->lane->descriptors)
		io_uring_prep_close(sqe, conn->file);
	else
		io_uring_prep_close_direct(sqe, sc_conn_slot(conn));
}

static void (*const prepare[])(struct sc_conn *, struct io_uring_sqe *) = {
	prep_accept, prep_recv, prep_send, prep_shutdown, prep_cancel_recv, prep_cancel_send, prep_close,
};
static const uint8_t untracked = OP_CANCEL_RECV | OP_CANCEL_SEND;

bool sc_conn_fill(struct sc_conn *conn)
{
	struct lane *lane = conn->lane;

	for (uint8_t left = conn->want; left; left &= (uint8_t)(left - 1)) {
		unsigned int bit = (unsigned int)__builtin_ctz(left);
		uint8_t op = (uint8_t)(1U << bit);
		struct io_uring_sqe *sqe;

		if (op == OP_RECV && !sc_lane_bufs_free(lane))
			continue; /* asks again when a buffer is released */
		sqe = io_uring_get_sqe(&lane->ring);
		if (!sqe) {
			lane->session->counters.sq_full++;
			return false;
		}
		prepare[bit](conn, sqe);
		io_uring_sqe_set_data64(sqe, tag_of(conn, op));
		conn->want &= (uint8_t)~op;
		conn->inflight |= (uint8_t)(op & ~untracked);
	}
	return !conn->want;
}

void sc_conn_want(struct sc_conn *conn, enum conn_op op)
{
	struct lane *lane = conn->lane;

	conn->want |= (uint8_t)op;
	if (conn->on_todo)
		return;
	if (!lane->todo_head && sc_conn_fill(conn)) {
		/* A, early: a poller that is awake begins while the caller goes on. Waking it is left to submit. */
		if (lane->shared_queue)
			io_uring_smp_store_release(lane->ring.sq.ktail, lane->ring.sq.sqe_tail);
		return;
	}
	sc_lane_todo_add(conn);
}

static struct sc_event *event_add(struct sink *sink, enum sc_event_type type, struct sc_conn *conn)
{
	struct sc_event *event = &sink->events[sink->cnt++];

	*event = (struct sc_event){ .type = type, .conn = conn };
	return event;
}

/* --- sending --- */

static void sends_fail(struct sc_conn *conn, struct send *send, int err)
{
	while (send) {
		struct send *next = send->next;

		sc_lane_send_done(conn->lane, send, err);
		send = next;
	}
}

static void piece_skip(struct send *send, size_t len)
{
	unsigned int done = 0;

	send->left -= len;
	while (len && len >= send->piece[done].iov_len)
		len -= send->piece[done++].iov_len;
	send->piece_cnt -= done;
	memmove(send->piece, send->piece + done, send->piece_cnt * sizeof(*send->piece));
	if (len) {
		send->piece[0].iov_base = (char *)send->piece[0].iov_base + len;
		send->piece[0].iov_len -= len;
	}
}

/* After the last send: what waited for it. */
static void close_step(struct sc_conn *conn)
{
	if (!conn->closing || conn->close_asked || conn->send_head)
		return;
	conn->close_asked = true;
	conn->want &= (uint8_t)~OP_RECV;
	if (conn->inflight & OP_RECV)
		sc_conn_want(conn, OP_CANCEL_RECV);
	sc_conn_want(conn, OP_CLOSE);
}

static void complete_send(struct sc_conn *conn, int res, struct sink *sink)
{
	struct send *send = conn->send_head;
	struct sc_event *event;

	if (!send)
		return;
	if (res > 0 && (size_t)res < send->left && conn->close_now)
		res = -ECANCELED;
	if (res < 0 || (size_t)res < send->left)
		conn->send_broke = true;
	if (res > 0 && (size_t)res < send->left) {
		piece_skip(send, (size_t)res);
		sc_conn_want(conn, OP_SEND);
		return;
	}
	event = event_add(sink, SC_EVENT_SENT, conn);
	event->tag = send->tag;
	conn->send_head = send->next;
	if (res >= 0) {
		event->result = (int)send->len;
		conn->lane->session->counters.sent += send->len;
		if (conn->send_head && conn->close_now) {
			sends_fail(conn, conn->send_head, -ECANCELED);
			conn->send_head = NULL;
		} else if (conn->send_head) {
			sc_conn_want(conn, OP_SEND);
		} else if (conn->shut && !conn->closing) {
			sc_conn_want(conn, OP_SHUTDOWN);
		}
	} else {
		event->result = res;
		conn->send_ended = true;
		sends_fail(conn, conn->send_head, res);
		conn->send_head = NULL;
	}
	sc_lane_send_put(conn->lane, send);
	conn->lane->session->counters.send_events++;
	close_step(conn);
}

/* --- receiving --- */

/* Few buffers left: the data moves to the arena, so that a connection nobody reads from does not keep them all. */
static void *buf_keep(struct lane *lane, void *data, size_t len)
{
	void *copy;

	if (sc_lane_bufs_free(lane) >= lane->buf_cnt / 8)
		return data;
	copy = sc_arena_alloc(&lane->session->arena, len);
	if (!copy)
		return data;
	memcpy(copy, data, len);
	sc_lane_buf_put(lane, data);
	lane->session->counters.recv_copied++;
	return copy;
}

static void recv_next(struct sc_conn *conn)
{
	if (conn->closing || conn->recv_ended || conn->paused || ((conn->want | conn->inflight) & OP_RECV))
		return;
	sc_conn_want(conn, OP_RECV);
}

static void recv_pause(struct sc_conn *conn)
{
	conn->paused = true;
	conn->lane->session->counters.recv_paused++;
	if (conn->want & OP_RECV)
		conn->want &= (uint8_t)~OP_RECV;
	else if (conn->inflight & OP_RECV)
		sc_conn_want(conn, OP_CANCEL_RECV);
}

static void recv_data(struct sc_conn *conn, void *data, size_t len, struct sink *sink)
{
	struct sc_counters *counters = &conn->lane->session->counters;
	struct sc_event *event;

	if (conn->closing) {
		sc_lane_buf_put(conn->lane, data);
		return;
	}
	event = event_add(sink, SC_EVENT_RECV, conn);
	event->data = buf_keep(conn->lane, data, len);
	event->len = len;
	counters->received += len;
	counters->recv_events++;
	if (++conn->unreleased >= conn->lane->window && !conn->paused)
		recv_pause(conn);
}

static void recv_end(struct sc_conn *conn, int res, struct sink *sink)
{
	if (res == -ENOBUFS)
		conn->lane->session->counters.recv_starved++;
	if (res == -EINVAL && conn->recv_limited) { /* before 6.18 the kernel has no such limit: without it */
		conn->lane->recv_limit = 0;
		return;
	}
	if (res == -ENOBUFS || res == -ECANCELED || conn->closing)
		return;
	conn->recv_ended = true;
	/* A reset is told once: a send that met it leaves the receiver what looks like an orderly end. */
	if (!res && conn->send_broke)
		res = -ECONNRESET;
	event_add(sink, res ? SC_EVENT_ERROR : SC_EVENT_RECV, conn)->result = res;
}

static void complete_recv(struct sc_conn *conn, const struct io_uring_cqe *cqe, struct sink *sink)
{
	struct lane *lane = conn->lane;
	unsigned int bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	void *data = NULL;

	if (cqe->flags & IORING_CQE_F_BUFFER && bid < lane->buf_cnt) {
		data = lane->bufs + ((size_t)bid << lane->buf_shift);
		lane->bufs_held++;
	}
	if (cqe->res > 0 && data && (size_t)cqe->res <= (size_t)1 << lane->buf_shift)
		recv_data(conn, data, (size_t)cqe->res, sink);
	else if (data)
		sc_lane_buf_put(lane, data);
	if (cqe->res <= 0)
		recv_end(conn, cqe->res, sink);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		recv_next(conn);
}

/* --- accepting, closing --- */

void sc_conn_recycle(struct sc_conn *conn)
{
	if (conn->close_told && !conn->unreleased && !conn->on_todo)
		sc_lane_conn_put(conn);
}

static void complete_accept(struct sc_conn *conn, int res, struct sink *sink)
{
	struct sc_listener *listener = conn->listener;
	struct lane *lane = conn->lane;

	sc_listener_accepted(listener, lane, res < 0 ? res : 0);
	if (res < 0) {
		sc_lane_conn_put(conn);
		return;
	}
	conn->file = lane->descriptors ? res : (int)sc_conn_slot(conn);
	lane->session->counters.accepted++;
	event_add(sink, SC_EVENT_ACCEPT, conn)->listener = listener;
	recv_next(conn);
}

/* The kernel is done with the connection: tell, and use the entry again once the caller is done with it too. */
static void close_end(struct sc_conn *conn, struct sink *sink)
{
	if (!conn->close_asked || conn->want || conn->inflight || conn->close_told)
		return;
	conn->close_told = true;
	conn->lane->session->counters.closed++;
	event_add(sink, SC_EVENT_CLOSED, conn);
	sc_conn_recycle(conn);
}

void sc_conn_complete(struct sc_conn *conn, enum conn_op op, const struct io_uring_cqe *cqe, struct sink *sink)
{
	if (op & untracked || !(conn->inflight & op))
		return;
	if (!(cqe->flags & IORING_CQE_F_MORE))
		conn->inflight &= (uint8_t)~op;
	switch (op) {
	case OP_ACCEPT:
		complete_accept(conn, cqe->res, sink);
		return;
	case OP_RECV:
		complete_recv(conn, cqe, sink);
		break;
	case OP_SEND:
		complete_send(conn, cqe->res, sink);
		break;
	case OP_CLOSE:
		conn->file = -1;
		break;
	default:
		break;
	}
	if (op != OP_SEND)
		close_end(conn, sink);
}

/* --- the caller's side --- */

void sc_release(struct sc_conn *conn, void *data)
{
	sc_lane_buf_put(conn->lane, data);
	assert(conn->unreleased);
	conn->unreleased--;
	if (conn->paused && conn->unreleased <= conn->lane->window / 2) {
		conn->paused = false;
		recv_next(conn);
	}
	sc_conn_recycle(conn);
}

int sc_sendv(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, uint64_t tag)
{
	struct sc_session *session = conn->lane->session;
	struct send *send;
	size_t len = 0;

	if (!cnt || cnt > SEND_PIECES)
		return -EINVAL;
	if (session->lost)
		return session->lost;
	if (conn->closing || conn->send_ended)
		return -EPIPE;
	for (unsigned int i = 0; i < cnt; i++) {
		size_t off = (size_t)((char *)iov[i].iov_base - session->mem);

		if (!iov[i].iov_len || iov[i].iov_len > SC_ARENA_LEN_MAX - len)
			return -EINVAL;
		if (off >= session->mem_len || iov[i].iov_len > session->mem_len - off)
			return -EFAULT;
		len += iov[i].iov_len;
	}
	send = sc_lane_send_get(conn->lane);
	if (!send)
		return -ENOMEM;
	send->next = NULL;
	send->conn = conn;
	send->tag = tag;
	send->len = len;
	send->left = len;
	send->piece_cnt = cnt;
	memcpy(send->piece, iov, cnt * sizeof(*iov));
	if (conn->send_head) {
		conn->send_tail->next = send;
		conn->send_tail = send;
		return 0;
	}
	conn->send_head = send;
	conn->send_tail = send;
	sc_conn_want(conn, OP_SEND);
	return 0;
}

int sc_send(struct sc_conn *conn, const void *data, size_t len, uint64_t tag)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };

	return sc_sendv(conn, &iov, 1, tag);
}

int sc_shutdown(struct sc_conn *conn)
{
	if (conn->lane->session->lost)
		return conn->lane->session->lost;
	if (conn->closing || conn->send_ended)
		return -EPIPE;
	conn->shut = true;
	conn->send_ended = true;
	if (!conn->send_head)
		sc_conn_want(conn, OP_SHUTDOWN);
	return 0;
}

void sc_close(struct sc_conn *conn, unsigned int flags)
{
	if (flags & SC_CLOSE_NOW && conn->send_head) {
		if (conn->want & OP_SEND) {
			conn->want &= (uint8_t)~OP_SEND;
			sends_fail(conn, conn->send_head, -ECANCELED);
			conn->send_head = NULL;
		} else {
			sc_conn_want(conn, OP_CANCEL_SEND); /* those behind the first fail after it, in order */
		}
	}
	conn->closing = true;
	conn->close_now |= flags & SC_CLOSE_NOW;
	close_step(conn);
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

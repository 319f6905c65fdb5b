// SPDX-License-Identifier: MIT
/* Sending on a connection: in order, one request in flight at a time, whole or failed. */
#include <errno.h>
#include <string.h>

#include "handover.h"
#include "reason.h"
#include "session.h"

/* Returns how many pieces len bytes are, len not 0. */
static unsigned int pieces_cut(struct iovec *piece, size_t len)
{
	unsigned int last = 0;

	for (; len > piece[last].iov_len; last++)
		len -= piece[last].iov_len;
	piece[last].iov_len = len;
	return last + 1;
}

/* May the send go in the request for those before it, of cnt pieces and len bytes? A file has chunks, bulk a bound of its own. */
static bool joins(struct sc_conn *conn, const struct send *send, unsigned int cnt, size_t len)
{
	return !send->file && cnt + send->piece_cnt <= GATHER_PIECES && len + send->left <= GATHER_LEN &&
	       (!conn->lane->high_cnt || conn->high) && !sc_zerocopy_due(conn, send);
}

/* Adds the pieces of those sends behind the first that may go with it. Their number in all. */
static unsigned int gather(struct sc_conn *conn, struct iovec *piece, unsigned int cnt)
{
	const struct send *send = conn->send_head->next;

	for (size_t len = conn->send_head->left; send && joins(conn, send, cnt, len); send = send->next) {
		memcpy(piece + cnt, send->piece, send->piece_cnt * sizeof(*send->piece));
		cnt += send->piece_cnt;
		len += send->left;
		conn->gathered++;
	}
	return cnt;
}

/* The scratch is free: one request is in flight at a time. */
static __attribute__((noinline)) void prep_pieces(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	struct sc_session *session = conn->lane->session;
	struct send *send = conn->send_head;
	struct send_scratch *scratch = &conn->lane->scratch[sc_conn_idx(conn)];
	unsigned int cnt;

	memcpy(scratch->piece, send->piece, send->piece_cnt * sizeof(*send->piece));
	cnt = gather(conn, scratch->piece, pieces_cut(scratch->piece, send->asked));
	if (cnt == 1) {
		io_uring_prep_send(sqe, conn->file, send->piece[0].iov_base, send->asked, MSG_WAITALL);
		return;
	}
	scratch->msg = (struct msghdr){
		.msg_iov = (void *)(uintptr_t)sc_session_addr(session, scratch->piece),
		.msg_iovlen = cnt,
	};
	io_uring_prep_sendmsg(sqe, conn->file, (void *)(uintptr_t)sc_session_addr(session, &scratch->msg), MSG_WAITALL);
}

/* MSG_WAITALL: the kernel goes on with a short send by itself. */
void sc_send_prep(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	struct send *send = conn->send_head;

	if (unlikely(send->file)) {
		sc_file_send_prep(conn, sqe);
		return;
	}
	send->asked = unlikely(conn->lane->high_cnt) ? sc_bulk_len(conn, send->left) : send->left;
	send->zerocopy = false;
	if (unlikely(send->asked >= ZEROCOPY_LEN_MIN || conn->zerocopy_mode) && send->single &&
	    sc_zerocopy_prep(conn, sqe))
		return;
	if (likely(!send->next && send->piece_cnt == 1))
		io_uring_prep_send(sqe, conn->file, send->piece[0].iov_base, send->asked, MSG_WAITALL);
	else
		prep_pieces(conn, sqe);
	sc_lane_use_file(conn->lane, sqe);
}

static void sends_fail(struct sc_conn *conn, struct send *send, int err)
{
	while (send) {
		struct send *next = send->next;

		if (conn->held_tail)
			sc_send_hold(conn, send, err);
		else
			sc_lane_send_done(conn->lane, send, err);
		send = next;
	}
}

void sc_sends_end(struct sc_conn *conn, int err)
{
	conn->want &= (uint16_t)~OP_SEND;
	if (conn->send_head && conn->send_head->file)
		sc_file_end(conn);
	sends_fail(conn, conn->send_head, err);
	conn->send_head = NULL;
}

void sc_send_fail(struct sc_conn *conn, int err)
{
	conn->send_ended = true;
	sc_conn_broke(conn);
	sc_sends_end(conn, err);
	sc_conn_close_step(conn);
}

static void piece_skip(struct send *send, size_t len)
{
	unsigned int done = 0;

	send->left -= len;
	while (len && len >= send->piece[done].iov_len)
		len -= send->piece[done++].iov_len;
	send->piece_cnt = (uint8_t)(send->piece_cnt - done);
	memmove(send->piece, send->piece + done, send->piece_cnt * sizeof(*send->piece));
	if (len) {
		send->piece[0].iov_base = (char *)send->piece[0].iov_base + len;
		send->piece[0].iov_len -= len;
	}
}

/* sc_conn_want, short where there is room and nothing that has to go before: so are most requests made. */
static void send_want(struct sc_conn *conn)
{
	struct lane *lane = conn->lane;
	struct io_uring_sqe *sqe;

	if (unlikely(conn->want || lane->todo_head || lane->high_cnt || !(sqe = sc_lane_sqe(lane)))) {
		sc_conn_want(conn, OP_SEND);
		return;
	}
	sc_send_prep(conn, sqe);
	io_uring_sqe_set_data64(sqe, sc_conn_tag(conn, OP_SEND));
	conn->inflight |= OP_SEND;
	sc_lane_publish_early(lane);
}

void sc_send_begin(struct sc_conn *conn)
{
	if (unlikely(conn->send_head->file))
		sc_file_step(conn);
	else
		send_want(conn);
}

/* What was to come after a send that ended so. Nothing can follow what was cut off. */
static void send_next(struct sc_conn *conn, int res, bool cancelled, bool cut)
{
	if (res < 0 && (!cancelled || cut)) {
		conn->send_ended = true;
		if (!cancelled)
			sc_conn_broke(conn);
		sc_sends_end(conn, res);
		return;
	}
	if (conn->connecting)
		return;
	if (conn->send_head && conn->close_now) {
		sc_sends_end(conn, -ECANCELED);
	} else if (conn->send_head) {
		sc_send_begin(conn);
	} else if (conn->shut && !conn->closing) {
		sc_conn_want(conn, OP_SHUTDOWN);
	}
}

/* Without a sink it is told by the next reap. */
static void send_end(struct sc_conn *conn, struct send *send, int res, struct sink *sink)
{
	size_t gone = send->len - send->left;
	bool cancelled = send->cancelled && res == -ECANCELED;

	if (res >= 0)
		res = (int)send->len;
	else if (cancelled && gone)
		res = (int)gone;
	if (likely(res > 0))
		conn->lane->session->counters.sent += (uint64_t)res;
	if (send->notices || conn->held_tail)
		sc_send_hold(conn, send, res);
	else if (unlikely(!sink))
		sc_lane_send_done(conn->lane, send, res);
	else
		sc_lane_send_tell(conn->lane, send, res, sink);
}

static void send_unlink(struct sc_conn *conn, struct send *before)
{
	struct send *send = before->next;

	before->next = send->next;
	if (conn->send_tail == send)
		conn->send_tail = before;
	sc_lane_send_tell(conn->lane, send, -ECANCELED, NULL); /* a job: only those are cancelled */
}

/* Ends those of cnt sends behind the first that are cancelled; returns whether there were any. */
static bool cancelled_drop(struct sc_conn *conn, unsigned int cnt)
{
	bool any = false;

	for (struct send *before = conn->send_head; cnt; cnt--) {
		if (!before->next->cancelled) {
			before = before->next;
			continue;
		}
		send_unlink(conn, before);
		any = true;
	}
	return any;
}

/*
 * The request was for several sends. Those before the one where it ended are whole, that is the first then; returns the result
 * for it, which is 0 if it was only stopped for the sake of another.
 */
static int gathered_complete(struct sc_conn *conn, int res, bool *ret_stopped)
{
	unsigned int behind = conn->gathered;
	struct send *send = conn->send_head;

	conn->gathered = 0;
	*ret_stopped = send->cancelled;
	for (; behind && res > 0 && (size_t)res >= send->left; behind--) {
		res -= (int)send->left;
		conn->send_head = send->next;
		send_end(conn, send, 0, NULL);
		send = conn->send_head;
		*ret_stopped |= send->cancelled;
	}
	send->asked = send->left;
	*ret_stopped |= cancelled_drop(conn, behind);
	return res == -ECANCELED && *ret_stopped && !send->cancelled ? 0 : res;
}

static __attribute__((noinline)) void complete_unusual(struct sc_conn *conn, struct send *send, int res,
						       struct sink *sink)
{
	bool interrupted = res == -EINTR, stopped = send->cancelled, cancelled, cut;

	/*
	 * A send that waited often for room waits in a thread of the kernel's in the end. A cancel wakes that by a signal, a stop of
	 * the process does so, too. Nothing of the request has gone out.
	 */
	if (interrupted)
		res = 0;
	if (conn->gathered) {
		res = gathered_complete(conn, res, &stopped);
		send = conn->send_head;
		sink = NULL; /* after those before it */
	}
	if (stopped)
		sc_conn_cancel_not(conn, OP_SEND); /* it would meet the next one */
	if ((res < 0 || (size_t)res < send->asked) && !interrupted && !(stopped && (res >= 0 || res == -ECANCELED)))
		conn->send_broke = true;
	if (res >= 0 && (size_t)res < send->left) {
		if (send->file)
			sc_file_sent(conn, (uint32_t)res);
		else
			piece_skip(send, (size_t)res);
		if (!conn->close_now && !send->cancelled) {
			sc_send_begin(conn);
			return;
		}
		res = -ECANCELED;
	}
	cancelled = send->cancelled && res == -ECANCELED;
	cut = send->left < send->len;
	if (send->file)
		sc_file_end(conn);
	conn->send_head = send->next;
	send_end(conn, send, res, sink);
	send_next(conn, res, cancelled, cut);
	sc_conn_close_step(conn);
}

void sc_send_complete(struct sc_conn *conn, int res, struct sink *sink)
{
	struct send *send = conn->send_head;

	if (!send)
		return;
	if (unlikely(res < 0 || (size_t)res != send->left || send->file || send->cancelled || conn->gathered ||
		     conn->shut || conn->closing)) {
		complete_unusual(conn, send, res, sink);
		return;
	}
	conn->send_head = send->next;
	send_end(conn, send, res, sink);
	if (conn->send_head)
		sc_send_begin(conn);
}

void sc_send_cancel(struct sc_conn *conn, struct send *send)
{
	struct send *before = conn->send_head;
	unsigned int nth = 1;

	if (before == send) {
		send->cancelled = true;
		if (conn->inflight & OP_SEND) {
			sc_conn_cancel(conn, OP_SEND);
			return;
		}
		conn->want &= (uint16_t)~OP_SEND;
		sc_send_complete(conn, -ECANCELED, NULL);
		if (conn->giving)
			sc_handover_step(conn);
		return;
	}
	for (; before && before->next != send; nth++)
		before = before->next;
	if (!before) /* it has ended, and is to be told of or waits for its memory */
		return;
	if (nth <= conn->gathered) {
		send->cancelled = true;
		sc_conn_cancel(conn, OP_SEND);
		return;
	}
	send_unlink(conn, before);
}

/* --- the caller's side --- */

int sc_send_allowed(const struct sc_conn *conn)
{
	if (conn->lane->session->lost)
		return sc_session_refuse(conn->lane->session);
	if (conn->sealed)
		return sc_refuse(-EBUSY, "connection: being given to another session: wait for SC_EVENT_GIVEN");
	if (conn->closing)
		return sc_refuse(-EPIPE, "connection: being closed: nothing more can be sent");
	if (conn->send_ended)
		return sc_refuse(-EPIPE, "connection: its sending side was shut down, or a send failed: close it");
	return 0;
}

/* Stores the pieces in the engine's addresses, and the segments that they lie in: those stay until the send is put back. */
static int pieces_take(struct sc_session *session, struct send *send, const struct iovec *iov, unsigned int cnt)
{
	size_t len = 0;

	for (unsigned int i = 0; i < cnt; i++) {
		uint64_t addr;
		uint8_t slot;

		if (!iov[i].iov_len || iov[i].iov_len > SC_ARENA_LEN_MAX - len)
			return sc_refuse(-EINVAL,
					 "send: a piece of no bytes, or more than 1 GiB in all: send less at a time");
		if (!sc_segment_get(session, iov[i].iov_base, iov[i].iov_len, &addr, &slot))
			return sc_refuse(
				-EFAULT,
				"send: not memory of this session or its group: send from sc_alloc, a segment or a received buffer");
		if (slot != SEGMENT_NONE)
			send->segment[send->segment_cnt++] = slot;
		send->piece[i] = (struct iovec){ (void *)(uintptr_t)addr, iov[i].iov_len };
		len += iov[i].iov_len;
	}
	send->len = len;
	send->left = len;
	send->piece_cnt = (uint8_t)cnt;
	send->single = cnt == 1;
	return 0;
}

void sc_send_add(struct sc_conn *conn, struct send *send)
{
	if (conn->send_head) {
		conn->send_tail->next = send;
		conn->send_tail = send;
		return;
	}
	conn->send_head = send;
	conn->send_tail = send;
	if (!conn->connecting)
		sc_send_begin(conn);
}

static inline void send_init(struct send *send, struct sc_conn *conn, size_t len, uint64_t tag, bool single)
{
	send->next = NULL;
	send->conn = conn;
	send->job = NULL;
	send->tag = tag;
	send->len = len;
	send->left = len;
	send->single = single;
	send->piece_cnt = single;
	send->cancelled = false;
	send->zerocopy = false;
	send->notices = 0;
	send->segment_cnt = 0;
	send->file = NULL;
}

struct send *sc_send_get(struct sc_conn *conn, size_t len, uint64_t tag)
{
	struct send *send = sc_lane_send_get(conn->lane);

	if (send)
		send_init(send, conn, len, tag, false);
	else
		(void)sc_refuse(
			-ENOMEM,
			"send: as many as there may be are under way, or memory is short: wait for SC_EVENT_SENT");
	return send;
}

/* There are too many; but if anything is wrong with this one, that is said. */
static int not_taken(struct sc_session *session, const struct iovec *iov, unsigned int cnt)
{
	struct send none = { 0 };
	int err = pieces_take(session, &none, iov, cnt);

	while (none.segment_cnt)
		sc_segment_put(session, none.segment[--none.segment_cnt]);
	return err ? err : -ENOMEM;
}

int sc_send_new(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, uint64_t tag, struct send **ret_send)
{
	struct lane *lane = conn->lane;
	struct send *send;
	int err = sc_send_allowed(conn);

	if (err)
		return err;
	if (cnt > SEND_PIECES || (!cnt && !conn->datagram))
		return sc_refuse(-EINVAL, "send: not 1 to 4 pieces: send more of them by a second call");
	send = sc_send_get(conn, 0, tag);
	if (!send)
		return not_taken(lane->session, iov, cnt);
	err = pieces_take(lane->session, send, iov, cnt);
	if (err) {
		sc_lane_send_put(lane, send);
		return err;
	}
	*ret_send = send;
	return 0;
}

int sc_send_ask(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, uint64_t tag, struct sc_job *job)
{
	struct send *send;
	int err;

	if (conn->datagram)
		return sc_refuse(-EDESTADDRREQ, "send: a datagram socket: say where to, by sc_sendto");
	err = sc_send_new(conn, iov, cnt, tag, &send);
	if (err)
		return err;
	send->job = job;
	if (job)
		job->send = send;
	sc_send_add(conn, send);
	return 0;
}

int sc_sendv(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, uint64_t tag)
{
	return sc_send_ask(conn, iov, cnt, tag, NULL);
}

static __attribute__((noinline)) int send_unusual(struct sc_conn *conn, const void *data, size_t len, uint64_t tag)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };

	return sc_send_ask(conn, &iov, 1, tag, NULL);
}

/* As a rule: a piece of the session's own memory, a stream that sends, and a struct send at hand. */
int sc_send(struct sc_conn *conn, const void *data, size_t len, uint64_t tag)
{
	struct lane *lane = conn->lane;
	struct sc_session *session = lane->session;
	struct send *send = lane->send_free;
	size_t off = (size_t)((const char *)data - session->mem);

	if (unlikely(!send || session->lost || conn->sealed || conn->closing || conn->send_ended || conn->datagram ||
		     !len || len > SC_ARENA_LEN_MAX || off >= session->mem_len || len > session->mem_len - off))
		return send_unusual(conn, data, len, tag);
	lane->send_free = send->next;
	send_init(send, conn, len, tag, true);
	send->piece[0] = (struct iovec){ (void *)(uintptr_t)(session->base + off), len };
	sc_send_add(conn, send);
	return 0;
}

int sc_shutdown(struct sc_conn *conn)
{
	int err = sc_send_allowed(conn);

	if (err)
		return err;
	if (conn->datagram)
		return sc_refuse(-ENOTCONN, "shutdown: a datagram socket has no end of stream: close it");
	conn->shut = true;
	conn->send_ended = true;
	if (!conn->send_head && !conn->connecting)
		sc_conn_want(conn, OP_SHUTDOWN);
	return 0;
}

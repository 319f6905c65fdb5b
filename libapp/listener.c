// SPDX-License-Identifier: MIT
/*
 * Listening: a socket per lane, made here with the caller's rights and handed to the lane's file table.
 *
 * Accepting runs ahead by ACCEPT_AHEAD single accepts, each with a place in the file table of its own. A multishot
 * accept would take a connection off the backlog and drop it when the table is full (docs/decisions/accept.md).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "reason.h"
#include "session.h"
#include "socket.h"

enum { BACKLOG_DEFAULT = 4096 };

/* --- the lane's side --- */

static void accept_one(struct sc_listener *listener, struct sc_conn *conn)
{
	conn->listener = listener;
	listener->lane[conn->lane->idx].accepts++;
	sc_conn_want(conn, OP_ACCEPT);
}

/* Counts once each time the last place is taken, however often there is none to be found. */
static void full_note(struct sc_listener *listener, struct lane *lane, bool full)
{
	if (full && !listener->lane[lane->idx].full)
		lane->session->counters.conns_full++;
	listener->lane[lane->idx].full = full;
}

static bool accepts_wanted(const struct sc_listener *listener, const struct lane *lane, unsigned int ahead)
{
	unsigned int accepts = listener->lane[lane->idx].accepts, limit = listener->lane[lane->idx].limit;

	return accepts < ahead && (!limit || accepts + listener->lane[lane->idx].conns < limit);
}

/* Both or neither, so that nothing is cancelled twice. */
static void close_fill(struct sc_listener *listener, struct lane *lane)
{
	unsigned int idx = (unsigned int)(listener - lane->session->listeners);
	int file = listener->lane[lane->idx].file;
	struct io_uring_sqe *sqe;

	if (io_uring_sq_space_left(&lane->ring) < 2) {
		lane->short_of_room = true;
		return;
	}
	sqe = sc_lane_sqe(lane);
	io_uring_prep_cancel_fd(sqe, file,
				IORING_ASYNC_CANCEL_ALL | (lane->descriptors ? 0 : IORING_ASYNC_CANCEL_FD_FIXED));
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, (uint64_t)idx << 32 | LISTENER_CANCEL << 8);
	sqe = sc_lane_sqe(lane);
	if (lane->descriptors)
		io_uring_prep_close(sqe, file);
	else
		io_uring_prep_close_direct(sqe, (unsigned int)file);
	io_uring_sqe_set_data64(sqe, (uint64_t)idx << 32 | LISTENER_CLOSE << 8);
	listener->lane[lane->idx].close_wanted = false;
}

void sc_listener_fill(struct sc_listener *listener, struct lane *lane)
{
	unsigned int ahead = lane->conn_cnt / 4 < ACCEPT_AHEAD ? lane->conn_cnt / 4 + 1 : ACCEPT_AHEAD;
	struct sc_conn *conn;

	if (listener->lane[lane->idx].close_wanted)
		close_fill(listener, lane);
	if (listener->closing || !listener->lane[lane->idx].open || lane->todo_head)
		return;
	if (listener->retry_ms) {
		if (sc_session_now_ms() < listener->retry_ms)
			return;
		listener->retry_ms = 0;
	}
	while (accepts_wanted(listener, lane, ahead) && (conn = sc_lane_conn_get(lane)))
		accept_one(listener, conn);
	full_note(listener, lane, !listener->lane[lane->idx].accepts && accepts_wanted(listener, lane, ahead));
}

/* Its connections live on, and are nobody's. */
static void conns_forget(const struct sc_listener *listener, const struct lane *lane)
{
	for (unsigned int i = 0; i < lane->conns_fresh; i++)
		if (lane->conns[i].accepted && lane->conns[i].listener == listener)
			lane->conns[i].accepted = false;
}

static void entry_free(struct sc_listener *listener)
{
	for (unsigned int i = 0; i < listener->session->lane_cnt; i++)
		if (listener->lane[i].open || listener->lane[i].accepts)
			return;
	for (unsigned int i = 0; i < listener->session->lane_cnt; i++)
		conns_forget(listener, &listener->session->lanes[i]);
	sc_store_unname(&listener->session->store, listener);
	listener->used = false;
	sc_rest_listener(listener);
}

void sc_listener_accepted(struct sc_listener *listener, struct lane *lane, int err)
{
	listener->lane[lane->idx].accepts--;
	listener->lane[lane->idx].conns += !err;
	if (listener->closing) {
		entry_free(listener);
	} else if (err && err != -ECONNABORTED && err != -EINTR && err != -ECANCELED) {
		lane->session->counters.accept_failed++;
		listener->retry_ms = sc_session_now_ms() + ACCEPT_RETRY_MS;
	}
}

void sc_listener_left(struct sc_conn *conn)
{
	if (!conn->accepted)
		return;
	conn->accepted = false;
	conn->listener->lane[conn->lane->idx].conns--;
}

void sc_listener_complete(struct sc_listener *listener, struct lane *lane, enum listener_op what)
{
	if (what != LISTENER_CLOSE || !listener->closing)
		return;
	listener->lane[lane->idx].open = false;
	entry_free(listener);
}

/* --- the caller's side --- */

static int socket_open(const struct lane *lane, const struct address *address, const char *text, uint16_t port,
		       int backlog)
{
	int fd = sc_socket_bound(lane, SOCK_STREAM, address, text, port), one = 1, err;

	if (fd < 0)
		return fd;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!listen(fd, backlog > 0 ? backlog : BACKLOG_DEFAULT))
		return fd;
	err = errno;
	(void)close(fd);
	return sc_socket_refused(err, address, text, port);
}

static int port_of(int fd, struct address *address, uint16_t *ret_port)
{
	socklen_t len = sizeof(address->addr);
	int err;

	if (getsockname(fd, (struct sockaddr *)&address->addr, &len)) {
		err = errno;
		return sc_reason_set(-err, "listening socket: its port cannot be asked for: %s", strerror(err));
	}
	*ret_port = sc_address_port(address);
	return 0;
}

static int lane_listen(struct sc_listener *listener, struct lane *lane, int fd, const char *text)
{
	unsigned int slot = SC_SLOT_LISTENERS + (unsigned int)(listener - lane->session->listeners);
	int file = lane->session->ops->file_add(lane, slot, fd);

	if (file < 0)
		return sc_reason_set(file, "%s port %u: the engine did not take the socket: %s", text, listener->port,
				     strerror(-file));
	listener->lane[lane->idx].file = file;
	listener->lane[lane->idx].open = true;
	return 0;
}

/* A name of a unix socket is bound once, so its lanes share one socket. */
static int lanes_listen(struct sc_listener *listener, struct address *address, const char *text, int backlog)
{
	struct sc_session *session = listener->session;
	int fd = -1, err = 0;

	for (unsigned int i = 0; i < session->lane_cnt && !err; i++) {
		if (fd < 0)
			fd = socket_open(&session->lanes[i], address, text, listener->port, backlog);
		err = fd < 0 ? fd : port_of(fd, address, &listener->port);
		if (!err)
			err = lane_listen(listener, &session->lanes[i], fd, text);
		if (fd >= 0 && address->addr.ss_family != AF_UNIX) {
			(void)close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		(void)close(fd);
	return err;
}

int sc_listen(struct sc_session *session, const char *text, uint16_t port, int backlog,
	      struct sc_listener **ret_listener)
{
	struct sc_listener *listener = NULL;
	struct address address;
	int err;

	if (session->lost)
		return sc_session_refuse(session);
	err = sc_address_parse(text, port, &address);
	if (err)
		return err;
	sc_rest_turn(session);
	for (unsigned int i = 0; i < LISTENERS_MAX && !listener; i++)
		if (!session->listeners[i].used && !session->listeners[i].resting)
			listener = &session->listeners[i];
	if (!listener)
		return sc_reason_set(-ENOSPC, "%s port %u: %d listeners are open already, the most a session has", text,
				     port, LISTENERS_MAX);
	*listener = (struct sc_listener){ .session = session, .used = true, .port = port };
	err = lanes_listen(listener, &address, text, backlog);
	if (err) {
		sc_listener_close(listener);
		listener->resting = false; /* no event names it */
		return err;
	}
	*ret_listener = listener;
	return 0;
}

uint16_t sc_listener_port(const struct sc_listener *listener)
{
	return listener->port;
}

/* Accepts under way that a new limit does not allow. Those that wait for a place in the queue are few, and let be. */
static void accepts_cancel(const struct sc_listener *listener, const struct lane *lane)
{
	unsigned int limit = listener->lane[lane->idx].limit, accepts = listener->lane[lane->idx].accepts;
	unsigned int all = accepts + listener->lane[lane->idx].conns, surplus = limit && all > limit ? all - limit : 0;

	for (unsigned int i = 0; i < lane->conns_fresh && surplus; i++) {
		struct sc_conn *conn = &lane->conns[i];

		if (!(conn->inflight & OP_ACCEPT) || conn->listener != listener)
			continue;
		sc_conn_cancel(conn, OP_ACCEPT);
		surplus--;
	}
}

int sc_listener_set_limit(struct sc_listener *listener, unsigned int conns)
{
	unsigned int lane_cnt = listener->session->lane_cnt;

	if (sc_session_stale(listener->session))
		return sc_session_refuse(listener->session);
	if (conns && conns < lane_cnt)
		return sc_reason_set(-EINVAL, "limit of %u connections: less than one for each of %u lanes", conns,
				     lane_cnt);
	for (unsigned int i = 0; i < lane_cnt; i++) {
		listener->lane[i].limit = conns / lane_cnt + (i < conns % lane_cnt);
		accepts_cancel(listener, &listener->session->lanes[i]);
	}
	return 0;
}

void sc_listener_close(struct sc_listener *listener)
{
	if (listener->closing) /* a second close would hit the socket that comes next into the place */
		return;
	listener->closing = true;
	for (unsigned int i = 0; i < listener->session->lane_cnt; i++)
		listener->lane[i].close_wanted = listener->lane[i].open;
	entry_free(listener);
}

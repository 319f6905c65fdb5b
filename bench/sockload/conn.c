// SPDX-License-Identifier: MIT
/* One connection of the client: non-blocking, moved on by what epoll says. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"

static char bytes[SC_OPS_LEN_MAX];

uint64_t load_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void count_op(struct load *load, struct conn *conn)
{
	uint64_t now_ns = load_now_ns();

	load->counts.ops++;
	load->counts.latency[sc_hist_index(now_ns - conn->since_ns)]++;
	conn->since_ns = now_ns;
}

static void watch(struct load *load, struct conn *conn, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = conn };

	if (events == conn->events)
		return;
	if (epoll_ctl(load->epoll, conn->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, conn->fd, &event))
		load->errors++;
	conn->events = events;
}

/* A connection that fails is not replaced: that many fewer are left, and the report tells. */
static void fail(struct load *load, struct conn *conn)
{
	load->errors++;
	(void)close(conn->fd);
	conn->fd = -1;
}

/* --- sending and receiving of a step --- */

static const char *outgoing(const struct load *load, const struct conn *conn)
{
	const struct sc_ops_hello hello = { .kind = load->options.kind, .len = load->options.len };

	if (load->options.kind == LOAD_CHURN)
		return load->request + load->request_len - conn->to_send;
	if (conn->ready)
		return bytes;
	memcpy(bytes, &hello, sizeof(hello));
	return bytes + sizeof(hello) - conn->to_send;
}

/* False: the connection is gone. */
static bool step_send(struct load *load, struct conn *conn)
{
	ssize_t sent;

	if (!conn->to_send)
		return true;
	sent = send(conn->fd, outgoing(load, conn), conn->to_send, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		fail(load, conn);
		return false;
	}
	if (sent > 0) {
		conn->to_send -= (size_t)sent;
		load->counts.bytes += (uint64_t)sent;
	}
	return true;
}

/* MSG_TRUNC: TCP drops what is received instead of copying it. The end of the stream is an error here. */
static bool step_receive(struct load *load, struct conn *conn)
{
	ssize_t got;

	if (!conn->to_receive)
		return true;
	got = recv(conn->fd, bytes, conn->to_receive, MSG_TRUNC);
	if (!got || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		fail(load, conn);
		return false;
	}
	if (got > 0) {
		conn->to_receive -= (size_t)got;
		load->counts.bytes += (uint64_t)got;
	}
	return true;
}

/* --- the steps of each kind --- */

static void next_message(struct load *load, struct conn *conn)
{
	conn->to_send = load->options.kind == LOAD_SEND ? 0 : load->options.len;
	conn->to_receive = load->options.kind == LOAD_RECEIVE ? 0 : load->options.len;
}

/* The first step is the server's answer to the first message; what comes after it waits for conn_start. */
static void step_done(struct load *load, struct conn *conn)
{
	if (conn->ready) {
		count_op(load, conn);
		next_message(load, conn);
	} else {
		conn->ready = true;
		load->ready++;
	}
}

static void watch_step(struct load *load, struct conn *conn)
{
	watch(load, conn, (conn->to_receive ? EPOLLIN : 0U) | (conn->to_send || !conn->to_receive ? EPOLLOUT : 0U));
}

/* Both directions, and at once what the end of a step begins. */
static void move_messages(struct load *load, struct conn *conn)
{
	bool first = !conn->ready;

	if (!step_send(load, conn) || !step_receive(load, conn))
		return;
	if (!conn->to_send && !conn->to_receive) {
		step_done(load, conn);
		if (first) {
			watch(load, conn, EPOLLRDHUP);
			return;
		}
		if (!step_send(load, conn))
			return;
	}
	watch_step(load, conn);
}

void conn_start(struct load *load, struct conn *conn)
{
	conn->since_ns = load_now_ns();
	next_message(load, conn);
	watch_step(load, conn);
}

/* The request, then everything up to the end of the stream. */
static void move_once(struct load *load, struct conn *conn)
{
	ssize_t got;

	if (!step_send(load, conn))
		return;
	if (conn->to_send) {
		watch(load, conn, EPOLLOUT);
		return;
	}
	got = recv(conn->fd, bytes, sizeof(bytes), MSG_TRUNC);
	if (got > 0) {
		conn->to_receive += (size_t)got;
		load->counts.bytes += (uint64_t)got;
	} else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		watch(load, conn, EPOLLIN);
	} else if (got < 0 || (load->options.kind == LOAD_CHURN && !conn->to_receive)) {
		fail(load, conn);
	} else {
		count_op(load, conn);
		(void)close(conn->fd);
		(void)conn_open(load, conn);
	}
}

void conn_move(struct load *load, struct conn *conn)
{
	switch (load->options.kind) {
	case LOAD_ACCEPT:
	case LOAD_CHURN:
		move_once(load, conn);
		break;
	case LOAD_IDLE:
		if (!conn->ready) {
			conn->ready = true;
			load->ready++;
			watch(load, conn, EPOLLRDHUP);
		} else {
			fail(load, conn);
		}
		break;
	default:
		move_messages(load, conn);
	}
}

/* --- opening --- */

static bool begin(struct load *load, struct conn *conn, int flags)
{
	const struct sockaddr *target = (const struct sockaddr *)&load->options.target;
	const struct linger reset = { .l_onoff = 1 };
	int one = 1;

	*conn = (struct conn){ .since_ns = load_now_ns() };
	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (conn->fd < 0) {
		load->errors++;
		return false;
	}
	(void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (load->options.kind != LOAD_ACCEPT &&
	    load->options.kind != LOAD_CHURN) /* else this end would keep its port a minute */
		(void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(conn->fd, target, sizeof(load->options.target)) && errno != EINPROGRESS) {
		fail(load, conn);
		return false;
	}
	return true;
}

bool conn_open(struct load *load, struct conn *conn)
{
	if (!begin(load, conn, SOCK_NONBLOCK))
		return false;
	if (load->options.kind < LOAD_ACCEPT)
		conn->to_send = conn->to_receive = sizeof(struct sc_ops_hello);
	else if (load->options.kind == LOAD_CHURN)
		conn->to_send = (size_t)load->request_len;
	watch(load, conn, load->options.kind == LOAD_ACCEPT ? EPOLLIN : EPOLLOUT);
	return true;
}

static bool all(struct load *load, struct conn *conn)
{
	while (conn->to_send || conn->to_receive)
		if (!(conn->to_send ? step_send(load, conn) : step_receive(load, conn)))
			return false;
	return true;
}

bool conn_open_blocking(struct load *load, struct conn *conn)
{
	if (!begin(load, conn, 0))
		return false;
	conn->to_send = conn->to_receive = sizeof(struct sc_ops_hello);
	if (!all(load, conn))
		return false;
	step_done(load, conn);
	conn->since_ns = load_now_ns();
	next_message(load, conn);
	return true;
}

bool conn_round_trip(struct load *load, struct conn *conn)
{
	if (!all(load, conn))
		return false;
	step_done(load, conn);
	return true;
}

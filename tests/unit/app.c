// SPDX-License-Identifier: MIT
/* libapp against a real engine and real sockets on loopback: every scenario on each engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <sidecore/app.h>

#include "app_peer.h"
#include "app_server.h"
#include "app_service.h"

enum { MB = 1 << 20 };

/* Echo: from the receive buffer itself, released when sent. */
static void echo(struct server *server, struct sc_event *event)
{
	(void)server;
	switch (event->type) {
	case SC_EVENT_RECV:
		if (!event->len)
			sc_close(event->conn, 0);
		else if (sc_send(event->conn, event->data, event->len, (uint64_t)(uintptr_t)event->data))
			fail_msg("sc_send");
		break;
	case SC_EVENT_SENT:
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
		if (event->result < 0)
			sc_close(event->conn, 0);
		break;
	case SC_EVENT_ERROR:
		sc_close(event->conn, SC_CLOSE_NOW);
		break;
	default:
		break;
	}
}

/* --- scenarios --- */

static int small_peer(struct peer *peer)
{
	char text[6];
	int fd = peer_connect(peer->port);

	PEER_CHECK(fd >= 0);
	for (int i = 0; i < 100; i++) {
		PEER_CHECK(peer_send(fd, "hello", 6));
		PEER_CHECK(peer_recv(fd, text, 6));
		PEER_CHECK(!strcmp(text, "hello"));
	}
	PEER_CHECK(!shutdown(fd, SHUT_WR));
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	return 0;
}

static void test_echo(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;

	(void)state;
	server_open(&server, &options, echo);
	serve(&server, small_peer, NULL);
	assert_int_equal(server.bytes, 600);
}

struct stream {
	size_t total;
	uint64_t seed;
};

static void *stream_sender(void *arg)
{
	struct stream *stream = ((struct stream **)arg)[0];
	int fd = *((int **)arg)[1];
	static _Thread_local char block[65536];

	for (size_t pos = 0; pos < stream->total; pos += sizeof(block)) {
		peer_pattern(block, sizeof(block), stream->seed, pos);
		if (!peer_send(fd, block, sizeof(block)))
			return (void *)1;
	}
	return shutdown(fd, SHUT_WR) ? (void *)1 : NULL;
}

/* Sends and receives at once, or both sides would wait for each other. */
static int stream_peer(struct peer *peer)
{
	struct stream *stream = peer->arg;
	int fd = peer_connect(peer->port);
	void *args[] = { stream, &fd }, *failed;
	static _Thread_local char got[65536], want[65536];
	pthread_t sender;

	PEER_CHECK(fd >= 0);
	PEER_CHECK(!pthread_create(&sender, NULL, stream_sender, args));
	for (size_t pos = 0; pos < stream->total; pos += sizeof(got)) {
		PEER_CHECK(peer_recv(fd, got, sizeof(got)));
		peer_pattern(want, sizeof(want), stream->seed, pos);
		PEER_CHECK(!memcmp(got, want, sizeof(got)));
	}
	PEER_CHECK(peer_ends(fd, 0));
	pthread_join(sender, &failed);
	PEER_CHECK(!failed);
	close(fd);
	return 0;
}

static void test_stream(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct stream stream = { .total = 64 * MB, .seed = 7 };
	struct server server;

	(void)state;
	server_open(&server, &options, echo);
	serve(&server, stream_peer, &stream);
	assert_int_equal(server.bytes, stream.total);
}

/* Eight buffers of 256 bytes: the kernel runs out of them all the time. */
static void test_few_buffers(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct stream stream = { .total = 2 * MB, .seed = 9 };
	struct server server;

	(void)state;
	options.bufs = 8;
	options.buf_len = 256;
	options.arena_len = 1; /* none to copy to */
	server_open(&server, &options, echo);
	serve(&server, stream_peer, &stream);
	assert_int_equal(server.bytes, stream.total);
}

/* An application that keeps what one connection sends: it gets no more than a window, the other is served. */
static void hold(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_ACCEPT && !server->held_conn)
		server->held_conn = event->conn;
	if (event->conn != server->held_conn) {
		echo(server, event);
		return;
	}
	if (event->type == SC_EVENT_RECV && event->len) {
		assert_true(server->held_cnt < sizeof(server->held) / sizeof(*server->held));
		server->held[server->held_cnt++] = event->data;
	} else if (event->type == SC_EVENT_RECV || event->type == SC_EVENT_ERROR) {
		sc_close(event->conn, 0);
	}
}

static int bulk_then_small_peer(struct peer *peer)
{
	struct stream *stream = peer->arg;
	int fd = peer_connect(peer->port);
	static _Thread_local char block[65536];
	struct peer small = { .port = peer->port };

	PEER_CHECK(fd >= 0);
	for (size_t sent = 0; sent < stream->total;) {
		ssize_t now = send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (now <= 0)
			break; /* the window is full, and the socket buffers */
		sent += (size_t)now;
	}
	for (int i = 0; i < 20; i++)
		PEER_CHECK(!small_peer(&small));
	close(fd);
	return 0;
}

static void test_unread_does_not_starve(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct stream stream = { .total = 64 * MB };
	struct server server;
	struct sc_info info = { .size = sizeof(info) };
	struct peer peer;

	(void)state;
	options.bufs = 16;
	options.buf_len = 4096;
	options.window = 16 * 4096;
	server_open(&server, &options, hold);
	peer_start(&peer, sc_listener_port(server.listener), bulk_then_small_peer, &stream);
	turn_until(&server, peer_done(&peer));
	assert_int_equal(peer_join(&peer), 0);
	assert_int_equal(sc_info(server.session, &info), 0);
	assert_true(info.counters.recv_paused > 0);
	assert_true(server.held_cnt >= 16);
	/* what the kernel had under way when the window was full may still have come, not more */
	assert_true(server.held_cnt <= 16 + 2 * 16);
	/* released, the rest comes: nothing was lost */
	while (server.closed != server.accepted) {
		for (unsigned int i = 0; i < server.held_cnt; i++)
			sc_release(server.held_conn, server.held[i]);
		server.held_cnt = 0;
		(void)turn(&server, 20);
	}
	sc_close_session(server.session);
}

/* Twenty sends at once from one event, of one to three pieces: one answer, in order. */
static void burst(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_RECV && event->len) {
		char *mem = sc_alloc(server->session, 20 * 30000);

		assert_non_null(mem);
		server->mem = mem;
		peer_pattern(mem, 20 * 30000, 3, 0);
		sc_release(event->conn, event->data);
		for (unsigned int i = 0; i < 20; i++) {
			char *at = mem + i * 30000;
			struct iovec iov[3] = { { at, 10000 }, { at + 10000, 5000 }, { at + 15000, 15000 } };

			assert_int_equal(i % 2 ? sc_sendv(event->conn, iov, 3, i) : sc_send(event->conn, at, 30000, i),
					 0);
		}
		assert_int_equal(sc_shutdown(event->conn), 0);
		assert_int_equal(sc_send(event->conn, mem, 1, 99), -EPIPE);
	} else if (event->type == SC_EVENT_SENT) {
		assert_int_equal(event->result, 30000);
		assert_int_equal(event->tag, server->next_tag);
		server->next_tag++;
	} else if (event->type == SC_EVENT_RECV) {
		sc_close(event->conn, 0);
	}
}

static int burst_peer(struct peer *peer)
{
	int fd = peer_connect(peer->port);
	static _Thread_local char got[600000], want[600000];

	PEER_CHECK(fd >= 0);
	PEER_CHECK(peer_send(fd, "x", 1));
	usleep(50000); /* slow to read: the sends must wait for each other */
	PEER_CHECK(peer_recv(fd, got, sizeof(got)));
	peer_pattern(want, sizeof(want), 3, 0);
	PEER_CHECK(!memcmp(got, want, sizeof(got)));
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	return 0;
}

static void test_order(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;

	(void)state;
	server_open(&server, &options, burst);
	serve(&server, burst_peer, NULL);
	assert_int_equal(server.sent, 20);
}

/* A peer that never reads: SC_CLOSE_NOW ends it, every send is told of. */
static void stuck(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_RECV && event->len) {
		sc_release(event->conn, event->data);
		server->mem = sc_alloc(server->session, 8 * MB);
		assert_non_null(server->mem);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(sc_send(event->conn, server->mem, 8 * MB, i), 0);
		server->held_conn = event->conn;
	}
}

static int silent_peer(struct peer *peer)
{
	int fd = peer_connect(peer->port);
	char block[4096];
	ssize_t got;

	PEER_CHECK(fd >= 0);
	PEER_CHECK(peer_send(fd, "x", 1));
	while (!__atomic_load_n((bool *)peer->arg, __ATOMIC_ACQUIRE))
		usleep(1000);
	while ((got = recv(fd, block, sizeof(block), 0)) > 0)
		;
	close(fd);
	return 0;
}

static void test_close_now(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	bool go = false;
	struct server server;
	struct peer peer;

	(void)state;
	options.arena_len = 16 * MB;
	server_open(&server, &options, stuck);
	peer_start(&peer, sc_listener_port(server.listener), silent_peer, &go);
	turn_until(&server, server.held_conn);
	for (int i = 0; i < 5; i++)
		(void)turn(&server, 10);
	assert_int_equal(server.sent, 0);
	sc_close(server.held_conn, SC_CLOSE_NOW);
	turn_until(&server, server.closed == 1);
	assert_int_equal(server.sent, 3);
	assert_int_equal(server.last_sent, -ECANCELED);
	__atomic_store_n(&go, true, __ATOMIC_RELEASE);
	assert_int_equal(peer_join(&peer), 0);
	sc_close_session(server.session);
}

static int reset_peer(struct peer *peer)
{
	struct linger linger = { .l_onoff = 1 };
	char text[5];

	for (int i = 0; i < 50; i++) {
		int fd = peer_connect(peer->port);

		PEER_CHECK(fd >= 0);
		if (i % 3)
			PEER_CHECK(peer_send(fd, "hello", 5));
		if (i % 3 == 2) /* the server waits for more by now */
			PEER_CHECK(peer_recv(fd, text, 5));
		PEER_CHECK(!setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
		close(fd);
	}
	return 0;
}

static void test_reset(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;

	(void)state;
	server_open(&server, &options, echo);
	serve(&server, reset_peer, NULL);
	assert_true(server.errors > 0);
	assert_int_equal(server.last_error, -ECONNRESET);
}

/* More clients than the session has room for: they wait in the backlog, each is served. */
static int crowd_peer(struct peer *peer)
{
	int fds[200];
	char byte;

	for (int i = 0; i < 200; i++) {
		fds[i] = peer_connect(peer->port);
		PEER_CHECK(fds[i] >= 0);
		PEER_CHECK(peer_send(fds[i], "a", 1));
	}
	for (int i = 0; i < 200; i++) {
		PEER_CHECK(peer_recv(fds[i], &byte, 1));
		PEER_CHECK(byte == 'a');
		close(fds[i]);
	}
	return 0;
}

static void test_accept_bound(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;

	(void)state;
	options.conns = 20;
	server_open(&server, &options, echo);
	serve(&server, crowd_peer, NULL);
	assert_int_equal(server.accepted, 200);
}

static int thousand_peer(struct peer *peer)
{
	static int fds[1000];
	char byte;

	for (int i = 0; i < 1000; i++) {
		fds[i] = peer_connect(peer->port);
		PEER_CHECK(fds[i] >= 0);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++)
			PEER_CHECK(peer_send(fds[i], "b", 1));
		for (int i = 0; i < 1000; i++)
			PEER_CHECK(peer_recv(fds[i], &byte, 1));
	}
	for (int i = 0; i < 1000; i++)
		close(fds[i]);
	return 0;
}

static void test_thousand(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;

	(void)state;
	server_open(&server, &options, echo);
	serve(&server, thousand_peer, NULL);
	assert_int_equal(server.accepted, 1000);
}

/* After its close a listener's port is free, and connections accepted before live on. */
static void test_listener_close(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	uint16_t port;
	int fd, late;

	(void)state;
	server_open(&server, &options, echo);
	port = sc_listener_port(server.listener);
	fd = peer_connect(port);
	assert_true(fd >= 0);
	turn_until(&server, server.accepted == 1);
	sc_listener_close(server.listener);
	for (int i = 0; i < 500; i++) {
		(void)turn(&server, 2);
		late = peer_connect(port);
		if (late == -ECONNREFUSED)
			break;
		if (late >= 0) /* else it came in the moment of the close, and was reset */
			close(late);
	}
	assert_int_equal(late, -ECONNREFUSED);
	assert_int_equal(sc_listen(server.session, "127.0.0.1", port, 0, &server.listener), 0);
	assert_true(peer_send(fd, "c", 1));
	turn_until(&server, server.sent == 1);
	close(fd);
	turn_until(&server, server.closed == server.accepted);
	sc_close_session(server.session);
}

/* The session's descriptor in an epoll of the application's own. */
static void test_own_epoll(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(0);
	struct server server;
	struct peer peer;

	(void)state;
	server_open(&server, &options, echo);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, sc_fd(server.session), &event), 0);
	peer_start(&peer, sc_listener_port(server.listener), small_peer, NULL);
	while (!server.closed) {
		/* EINTR: the kernel had work for this thread, on the ring of the local engine */
		if (!sc_arm(server.session) && epoll_wait(epoll, &event, 1, 5000) != 1 && errno != EINTR)
			fail_msg("epoll_wait: %s", strerror(errno));
		(void)turn(&server, 0);
	}
	assert_int_equal(peer_join(&peer), 0);
	close(epoll);
	sc_close_session(server.session);
}

static void note_conn(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_ACCEPT)
		server->held_conn = event->conn;
}

/* A session that ends with completions not looked at closes nothing that is not its own any more. */
static void test_session_close_closes_once(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int fd, own[16];

	(void)state;
	server_open(&server, &options, note_conn);
	fd = peer_connect(sc_listener_port(server.listener));
	assert_true(fd >= 0);
	turn_until(&server, server.accepted == 1);
	sc_close(server.held_conn, SC_CLOSE_NOW);
	sc_listener_close(server.listener);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sc_poll(server.session, NULL, 0), 0);
	for (int i = 0; i < 16; i++)
		own[i] = dup(fd);
	sc_close_session(server.session);
	for (int i = 0; i < 16; i++)
		assert_int_equal(close(own[i]), 0);
	close(fd);
}

/* When a session is closed its ports are free. */
static void test_session_close_frees_ports(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	uint16_t port;
	int fd, err;

	(void)state;
	server_open(&server, &options, echo);
	port = sc_listener_port(server.listener);
	for (int i = 0; i < 10; i++) {
		fd = peer_connect(port);
		if (fd < 0)
			fail_msg("connect to port %u: %s", port, strerror(-fd));
		turn_until(&server, server.accepted == 1);
		sc_close_session(server.session);
		close(fd);
		server_open(&server, &options, echo);
		sc_listener_close(server.listener);
		/* the poller lets go of what it held just after it has said so */
		for (int try = 0; try < 2000; try++) {
			err = sc_listen(server.session, "127.0.0.1", port, 0, &server.listener);
			if (err != -EADDRINUSE)
				break;
			usleep(1000);
		}
		if (err)
			fail_msg("%s", sc_reason());
	}
	sc_close_session(server.session);
}

static int64_t clock_us(clockid_t clock)
{
	struct timespec now;

	assert_int_equal(clock_gettime(clock, &now), 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t sleeps(const struct server *server)
{
	struct sc_info info = { .size = sizeof(info) };

	assert_int_equal(sc_info(server->session, &info), 0);
	return info.counters.sleeps;
}

/* On the direct engine most of many requests find the application awake. */
static void spinning_comes_back(struct server *server)
{
	uint64_t before;
	struct peer peer;

	peer_start(&peer, sc_listener_port(server->listener), small_peer, NULL);
	turn_until(server, server->sent >= 50);
	before = sleeps(server);
	turn_until(server, peer_done(&peer));
	assert_true(server_engine() == SC_ENGINE_LOCAL || sleeps(server) - before < 25);
	assert_int_equal(peer_join(&peer), 0);
}

/* Spinning ends with the timeout, and an application that waits for nothing comes to spin not at all, nor does its poller. */
static void test_spinning_follows_traffic(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int64_t start, cpu, service;
	int fd;

	(void)state;
	options.spin_us = 20000;
	server_open(&server, &options, echo);
	fd = peer_connect(sc_listener_port(server.listener));
	turn_until(&server, server.accepted == 1);
	start = clock_us(CLOCK_MONOTONIC);
	assert_int_equal(turn(&server, 5), 0);
	assert_true(clock_us(CLOCK_MONOTONIC) - start >= 4000);
	for (int i = 0; i < 8; i++)
		assert_int_equal(turn(&server, 60), 0);
	cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
	service = service_cpu_us();
	assert_true(service || !service_path());
	for (int i = 0; i < 8; i++)
		assert_int_equal(turn(&server, 60), 0);
	/* of 480 ms */
	assert_true(clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu < 4800);
	assert_true(service_cpu_us() - service < 4800);
	spinning_comes_back(&server);
	close(fd);
	sc_close_session(server.session);
}

/* A program built when there were fewer counters gets those it knows; one of a newer library is refused. */
static void test_info_sizes(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_info info = { .size = offsetof(struct sc_info, counters.closed) };
	struct server server;

	(void)state;
	server_open(&server, &options, echo);
	info.counters.closed = 77;
	assert_int_equal(sc_info(server.session, &info), 0);
	assert_int_equal(info.lanes, 1);
	assert_int_equal(info.size, offsetof(struct sc_info, counters.closed));
	assert_int_equal(info.counters.closed, 77);
	info.size = sizeof(info) + 8;
	assert_int_equal(sc_info(server.session, &info), -EINVAL);
	info.size = sizeof(info.size);
	assert_int_equal(sc_info(server.session, &info), -EINVAL);
	sc_close_session(server.session);
}

static void test_refusals(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_listener *listener;
	struct server server;
	int fd, outside = 0;

	(void)state;
	server_open(&server, &options, hold);
	assert_int_equal(sc_listen(server.session, "127.0.0.1", sc_listener_port(server.listener), 0, &listener),
			 -EADDRINUSE);
	assert_non_null(strstr(sc_reason(), "ss -ltunp"));
	assert_int_equal(sc_listen(server.session, "localhost", 80, 0, &listener), -EINVAL);
	for (int i = 0; i < 13; i++)
		assert_int_equal(sc_listen(server.session, "::1", 0, 0, &listener), 0);
	assert_int_equal(sc_listen(server.session, "::1", 0, 0, &listener), -ENOSPC);
	fd = peer_connect(sc_listener_port(server.listener));
	turn_until(&server, server.held_conn);
	assert_int_equal(sc_send(server.held_conn, &outside, sizeof(outside), 0), -EFAULT);
	assert_non_null(strstr(sc_reason(), "sc_alloc"));
	server.mem = sc_alloc(server.session, 100);
	assert_int_equal(sc_send(server.held_conn, server.mem, 0, 0), -EINVAL);
	assert_int_equal(sc_send(server.held_conn, server.mem, SIZE_MAX, 0), -EINVAL);
	assert_int_equal(sc_send(server.held_conn, server.mem, 512u << 20, 0), -EFAULT);
	sc_free(server.session, server.mem);
	assert_null(sc_alloc(server.session, 1 << 30));
	assert_non_null(strstr(sc_reason(), "arena_len"));
	sc_close(server.held_conn, 0);
	assert_int_equal(sc_send(server.held_conn, server.mem, 1, 0), -EPIPE);
	assert_non_null(strstr(sc_reason(), "being closed"));
	turn_until(&server, server.closed == 1);
	close(fd);
	sc_close_session(server.session);
}

/* As libapp means it where that is special, as everybody else otherwise, for numbers of either sign. */
static void test_strerror(void **state)
{
	(void)state;
	assert_non_null(strstr(sc_strerror(-EFAULT), "sc_alloc"));
	assert_ptr_equal(sc_strerror(EFAULT), sc_strerror(-EFAULT));
	assert_string_equal(sc_strerror(-EHOSTUNREACH), strerror(EHOSTUNREACH));
	assert_string_equal(sc_strerror(0), "success");
	assert_string_equal(sc_strerror(INT_MIN), "an error without a name");
}

#define SCENARIOS                                                                                                    \
	cmocka_unit_test(test_echo), cmocka_unit_test(test_stream), cmocka_unit_test(test_few_buffers),              \
		cmocka_unit_test(test_unread_does_not_starve), cmocka_unit_test(test_order),                         \
		cmocka_unit_test(test_close_now), cmocka_unit_test(test_reset), cmocka_unit_test(test_accept_bound), \
		cmocka_unit_test(test_thousand), cmocka_unit_test(test_listener_close),                              \
		cmocka_unit_test(test_own_epoll), cmocka_unit_test(test_session_close_frees_ports),                  \
		cmocka_unit_test(test_session_close_closes_once), cmocka_unit_test(test_spinning_follows_traffic),   \
		cmocka_unit_test(test_info_sizes), cmocka_unit_test(test_refusals), cmocka_unit_test(test_strerror)

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = { SCENARIOS };

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

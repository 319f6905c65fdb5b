// SPDX-License-Identifier: MIT
/* Jobs and synchronous calls against a real engine and real sockets on loopback: every scenario on each engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <signal.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "app_peer.h"
#include "app_server.h"
#include "app_service.h"

enum { MB = 1 << 20, WAIT_MS = 10000, SHORT_MS = 30 };

/* A server that handles no event: what comes for others is only counted. */
static void ignore(struct server *server, struct sc_event *event)
{
	(void)server;
	(void)event;
}

/* A connection of the server's, by jobs, and the far end of it. */
struct pair {
	struct server server;
	struct sc_conn *conn;
	int peer;
};

static int peer_and_accept(struct server *server, struct sc_conn **ret_conn)
{
	int fd = peer_connect(sc_listener_port(server->listener));

	assert_true(fd >= 0);
	assert_int_equal(sc_sync_accept(server->listener, WAIT_MS, ret_conn), 0);
	return fd;
}

static void pair_open(struct pair *pair, struct sc_options *options)
{
	struct sc_options otherwise = SC_OPTIONS_INIT;

	server_open(&pair->server, options ? options : &otherwise, ignore);
	pair->peer = peer_and_accept(&pair->server, &pair->conn);
}

static void pair_close(struct pair *pair)
{
	assert_int_equal(sc_sync_close(pair->conn, WAIT_MS), 0);
	assert_int_equal(close(pair->peer), 0);
	sc_close_session(pair->server.session);
}

static struct sc_counters counters(const struct server *server)
{
	struct sc_info info = { .size = sizeof(info) };

	assert_int_equal(sc_info(server->session, &info), 0);
	return info.counters;
}

static ssize_t result_of(struct sc_job *job)
{
	ssize_t result = -ENODATA;
	int ret;

	do
		ret = sc_job_wait(job, WAIT_MS, &result);
	while (ret == -EINTR);
	assert_int_equal(ret, 1);
	return result;
}

static bool pending(struct sc_job *job)
{
	ssize_t result = -ENODATA;
	int ret;

	do
		ret = sc_job_wait(job, SHORT_MS, &result);
	while (ret == -EINTR);
	assert_in_range(ret, 0, 1);
	assert_true(ret || result == -ENODATA);
	return !ret;
}

/* --- sending and receiving --- */

static int ask_peer(struct peer *peer)
{
	char text[6];
	int fd = peer_connect(peer->port);

	PEER_CHECK(fd >= 0);
	for (int i = 0; i < 200; i++) {
		PEER_CHECK(peer_send(fd, "hello", 6));
		PEER_CHECK(peer_recv(fd, text, 6));
		PEER_CHECK(!strcmp(text, "hello"));
	}
	PEER_CHECK(!shutdown(fd, SHUT_WR));
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	return 0;
}

/* The simplest server there is: one call after the other, no event. */
static void test_sync_server(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	char *mem;

	(void)state;
	server_open(&server, &options, ignore);
	mem = sc_alloc(server.session, 4096);
	for (int i = 0; i < 5; i++) {
		struct sc_conn *conn;
		struct peer peer;
		ssize_t got;

		peer_start(&peer, sc_listener_port(server.listener), ask_peer, NULL);
		assert_int_equal(sc_sync_accept(server.listener, WAIT_MS, &conn), 0);
		while ((got = sc_sync_recv(conn, mem, 4096, 0, WAIT_MS)) > 0)
			assert_int_equal(sc_sync_send(conn, mem, (size_t)got, WAIT_MS), 0);
		assert_int_equal(got, 0);
		assert_int_equal(sc_sync_recv(conn, mem, 4096, 0, WAIT_MS), 0); /* as often as asked */
		assert_int_equal(sc_sync_close(conn, WAIT_MS), 0);
		assert_int_equal(peer_join(&peer), 0);
	}
	assert_int_equal(counters(&server).closed, 5);
	assert_int_equal(turn(&server, 0), 0); /* nothing is left to tell */
	sc_close_session(server.session);
}

static int pattern_peer(struct peer *peer)
{
	static char block[65536], want[65536];
	size_t total = *(size_t *)peer->arg;
	int fd = peer_connect(peer->port);

	PEER_CHECK(fd >= 0);
	for (size_t pos = 0; pos < total; pos += sizeof(block)) {
		peer_pattern(block, sizeof(block), 5, pos);
		PEER_CHECK(peer_send(fd, block, sizeof(block)));
	}
	for (size_t pos = 0; pos < total; pos += sizeof(block)) {
		peer_pattern(want, sizeof(want), 6, pos);
		PEER_CHECK(peer_recv(fd, block, sizeof(block)));
		PEER_CHECK(!memcmp(block, want, sizeof(block)));
	}
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	return 0;
}

static void stream_in(struct server *server, struct sc_conn *conn, size_t total)
{
	static char got[100000], want[100000];
	size_t pos = 0;

	for (unsigned int i = 0; pos < total; i++) {
		size_t len = 1 + i * 7919 % sizeof(got);
		ssize_t ret;

		len = len < total - pos ? len : total - pos;
		ret = sc_sync_recv(conn, got, len, i % 3 ? SC_RECV_ALL : 0, WAIT_MS);
		assert_true(i % 3 ? ret == (ssize_t)len : ret > 0 && ret <= (ssize_t)len);
		peer_pattern(want, (size_t)ret, 5, pos);
		assert_memory_equal(got, want, (size_t)ret);
		pos += (size_t)ret;
	}
	assert_int_equal(counters(server).received, total);
}

/* Four sends under way at a time, waited for in turn. */
static void stream_out(struct server *server, struct sc_conn *conn, size_t total)
{
	struct sc_job *jobs[4] = { 0 };
	char *mem[4];

	for (unsigned int i = 0; i < 4; i++) {
		mem[i] = sc_alloc(server->session, 65536);
		assert_non_null(mem[i]);
	}
	for (size_t pos = 0; pos < total; pos += 65536) {
		unsigned int at = pos / 65536 % 4;

		if (jobs[at])
			assert_int_equal(result_of(jobs[at]), 65536);
		peer_pattern(mem[at], 65536, 6, pos);
		assert_int_equal(sc_async_send(conn, mem[at], 65536, &jobs[at]), 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(result_of(jobs[i]), 65536);
}

static void stream(struct sc_options *options, size_t total)
{
	struct server server;
	struct sc_conn *conn;
	struct peer peer;

	server_open(&server, options, ignore);
	peer_start(&peer, sc_listener_port(server.listener), pattern_peer, &total);
	assert_int_equal(sc_sync_accept(server.listener, WAIT_MS, &conn), 0);
	stream_in(&server, conn, total);
	stream_out(&server, conn, total);
	assert_int_equal(sc_sync_close(conn, WAIT_MS), 0);
	assert_int_equal(peer_join(&peer), 0);
	assert_int_equal(counters(&server).sent, total);
	sc_close_session(server.session);
}

static void test_stream(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;

	(void)state;
	stream(&options, 16 * MB);
}

/* Sixteen buffers, few of them left all the time: some of what is kept lies in the arena. */
static void test_stream_few_buffers(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;

	(void)state;
	options.bufs = 16;
	options.buf_len = 1024;
	options.window = 1 << 20;
	stream(&options, 2 * MB);
}

/* What a job has not asked for is kept within the window, and others are served meanwhile. */
static void test_unread_is_bounded(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	static char block[MB];
	struct pair pair;
	struct sc_conn *other;
	size_t sent = 0, read = 0;
	ssize_t ret;
	int fd;

	(void)state;
	options.bufs = 32;
	options.window = 8 * 4096;
	pair_open(&pair, &options);
	peer_pattern(block, sizeof(block), 11, 0);
	for (int quiet = 0; quiet < 20;) { /* until it does not get rid of any more */
		ret = send(pair.peer, block + sent % sizeof(block), sizeof(block) - sent % sizeof(block),
			   MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += ret > 0 ? (size_t)ret : 0;
		quiet = ret > 0 ? 0 : quiet + 1;
		(void)turn(&pair.server, 10);
	}
	assert_true(counters(&pair.server).recv_paused > 0);
	assert_true(counters(&pair.server).received <= 3 * 8 * 4096);
	fd = peer_and_accept(&pair.server, &other);
	assert_true(peer_send(fd, "x", 1));
	assert_int_equal(sc_sync_recv(other, block, 1, 0, WAIT_MS), 1);
	assert_int_equal(sc_sync_close(other, WAIT_MS), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(shutdown(pair.peer, SHUT_WR), 0);
	while ((ret = sc_sync_recv(pair.conn, block, sizeof(block), 0, WAIT_MS)) > 0)
		read += (size_t)ret;
	assert_int_equal(ret, 0);
	assert_int_equal(read, sent);
	pair_close(&pair);
}

/* --- time --- */

static void test_timeouts(void **state)
{
	struct sc_conn *none = NULL;
	struct sc_job *job;
	struct pair pair;
	char text[8];

	(void)state;
	pair_open(&pair, NULL);
	assert_int_equal(sc_sync_accept(pair.server.listener, SHORT_MS, &none), -ETIMEDOUT);
	assert_int_equal(sc_sync_recv(pair.conn, text, 5, 0, SHORT_MS), -ETIMEDOUT);
	assert_int_equal(sc_sync_recv(pair.conn, text, 5, 0, 0), -ETIMEDOUT);
	assert_int_equal(sc_async_recv(pair.conn, text, 5, 0, &job), 0);
	assert_true(pending(job));
	assert_true(peer_send(pair.peer, "hello", 5)); /* nothing of it went to a receive that had given up */
	assert_int_equal(result_of(job), 5);
	assert_memory_equal(text, "hello", 5);
	assert_true(peer_send(pair.peer, "abc", 3));
	assert_int_equal(sc_sync_recv(pair.conn, text, 5, SC_RECV_ALL, 200), 3); /* what there was when time was over */
	pair_close(&pair);
}

/* More than the socket takes, to a peer that does not read: part of it is gone when time is over. */
static void test_send_timeout(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct pair pair;
	char *mem;

	(void)state;
	pair_open(&pair, &options);
	mem = sc_alloc(pair.server.session, 8 * MB);
	assert_non_null(mem);
	assert_int_equal(sc_sync_send(pair.conn, mem, 8 * MB, SHORT_MS), -ETIMEDOUT);
	assert_int_equal(sc_sync_send(pair.conn, mem, 1, SHORT_MS), -EPIPE);
	sc_free(pair.server.session, mem);
	pair_close(&pair);
}

/* A peer that reads nothing holds up a close until time is over. */
static void test_close_timeout(void **state)
{
	struct sc_job *job;
	struct pair pair;
	char *mem;

	(void)state;
	pair_open(&pair, NULL);
	mem = sc_alloc(pair.server.session, 8 * MB);
	assert_int_equal(sc_async_send(pair.conn, mem, 8 * MB, &job), 0);
	assert_int_equal(sc_sync_close(pair.conn, SHORT_MS), -ETIMEDOUT);
	assert_int_equal(result_of(job), -ECANCELED);
	assert_int_equal(counters(&pair.server).closed, 1);
	assert_int_equal(close(pair.peer), 0);
	sc_close_session(pair.server.session);
}

/* --- cancelling --- */

static void test_cancel_receives(void **state)
{
	struct sc_job *jobs[4];
	struct pair pair;
	char text[4][8];

	(void)state;
	pair_open(&pair, NULL);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(sc_async_recv(pair.conn, text[i], 4, SC_RECV_ALL, &jobs[i]), 0);
	sc_job_cancel(jobs[1]); /* from the middle */
	sc_job_cancel(jobs[3]); /* the last */
	assert_int_equal(result_of(jobs[1]), -ECANCELED);
	assert_int_equal(result_of(jobs[3]), -ECANCELED);
	assert_true(peer_send(pair.peer, "abcdef", 6));
	assert_int_equal(result_of(jobs[0]), 4);
	assert_memory_equal(text[0], "abcd", 4);
	assert_int_equal(sc_async_recv(pair.conn, text[3], 1, 0, &jobs[3]), 0);
	assert_true(pending(jobs[3]));
	sc_job_cancel(jobs[2]); /* with what it had got, so that nothing is lost */
	assert_int_equal(result_of(jobs[2]), 2);
	assert_memory_equal(text[2], "ef", 2);
	assert_true(peer_send(pair.peer, "g", 1));
	assert_int_equal(result_of(jobs[3]), 1);
	assert_int_equal(text[3][0], 'g');
	pair_close(&pair);
}

/* One send is stuck with part of it gone, others wait behind it. */
static void test_cancel_sends(void **state)
{
	struct sc_job *stuck, *behind[3];
	static char block[65536];
	struct pair pair;
	ssize_t gone, got;
	size_t read = 0;
	char *mem;

	(void)state;
	pair_open(&pair, NULL);
	mem = sc_alloc(pair.server.session, 8 * MB);
	assert_int_equal(sc_async_send(pair.conn, mem, 8 * MB, &stuck), 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(sc_async_send(pair.conn, mem, 10, &behind[i]), 0);
	assert_true(pending(stuck));
	sc_job_cancel(behind[1]);
	assert_int_equal(result_of(behind[1]), -ECANCELED); /* nothing of it had gone, the rest is not touched */
	assert_true(pending(behind[2]));
	sc_job_cancel(stuck);
	sc_job_cancel(stuck);
	gone = result_of(stuck);
	assert_in_range(gone, 1, 8 * MB - 1);
	assert_int_equal(result_of(behind[0]), -ECANCELED);
	assert_int_equal(result_of(behind[2]), -ECANCELED);
	assert_int_equal(sc_async_send(pair.conn, mem, 1, &stuck), -EPIPE);
	assert_int_equal(counters(&pair.server).sent, gone);
	assert_int_equal(sc_sync_close(pair.conn, WAIT_MS), 0);
	while ((got = recv(pair.peer, block, sizeof(block), 0)) > 0)
		read += (size_t)got;
	assert_int_equal(got, 0);
	assert_int_equal(read, gone);
	assert_int_equal(close(pair.peer), 0);
	sc_close_session(pair.server.session);
}

/* Small sends until one has to wait; it is cancelled, with or without a part gone. What the peer gets is what jobs told. */
static void test_cancel_small_send(void **state)
{
	enum { LEN = 1000 };
	static char block[65536];
	struct sc_job *job;
	struct pair pair;
	uint64_t told = 0, read = 0;
	ssize_t result, got;
	char *mem;

	(void)state;
	pair_open(&pair, NULL);
	mem = sc_alloc(pair.server.session, LEN);
	for (;;) {
		assert_int_equal(sc_async_send(pair.conn, mem, LEN, &job), 0);
		if (sc_job_wait(job, 200, &result) == 1) {
			assert_int_equal(result, LEN);
			told += LEN;
			continue;
		}
		break;
	}
	sc_job_cancel(job);
	result = result_of(job);
	if (result == -ECANCELED) { /* the connection goes on */
		assert_int_equal(sc_async_send(pair.conn, mem, LEN, &job), 0);
		while (read < told + LEN) {
			got = recv(pair.peer, block, sizeof(block), 0);
			assert_true(got > 0 || errno == EINTR);
			read += got > 0 ? (uint64_t)got : 0;
			(void)turn(&pair.server, 0);
		}
		assert_int_equal(result_of(job), LEN);
		told += LEN;
	} else {
		assert_in_range(result, 1, LEN);
		told += (uint64_t)result;
	}
	assert_int_equal(sc_sync_close(pair.conn, WAIT_MS), 0);
	while ((got = recv(pair.peer, block, sizeof(block), 0)) > 0)
		read += (uint64_t)got;
	assert_int_equal(got, 0);
	assert_int_equal(read, told);
	assert_int_equal(close(pair.peer), 0);
	sc_close_session(pair.server.session);
}

/* --- ends --- */

static void test_close_ends_jobs(void **state)
{
	struct sc_job *receive, *part, *send;
	char text[8], more[8], *mem;
	struct pair pair;

	(void)state;
	pair_open(&pair, NULL);
	mem = sc_alloc(pair.server.session, 8 * MB);
	assert_int_equal(sc_async_recv(pair.conn, text, 8, SC_RECV_ALL, &part), 0);
	assert_int_equal(sc_async_recv(pair.conn, more, 8, 0, &receive), 0);
	assert_int_equal(sc_async_send(pair.conn, mem, 8 * MB, &send), 0);
	assert_true(peer_send(pair.peer, "xyz", 3));
	assert_true(pending(part));
	sc_close(pair.conn, SC_CLOSE_NOW);
	assert_int_equal(result_of(part), 3);
	assert_int_equal(result_of(receive), -ECANCELED);
	assert_int_equal(sc_async_recv(pair.conn, more, 8, 0, &receive), -EPIPE);
	assert_int_equal(result_of(send), -ECANCELED);
	turn_until(&pair.server, pair.server.closed == 1);
	assert_int_equal(close(pair.peer), 0);
	sc_close_session(pair.server.session);
}

/* Bytes that nobody asks for any more go back when the connection is closed. */
static void test_close_drops_what_is_kept(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	static char block[8 * 1024];
	struct pair pair;

	(void)state;
	options.bufs = 8;
	options.buf_len = 1024;
	server_open(&pair.server, &options, ignore);
	for (int i = 0; i < 20; i++) { /* more than there are buffers, and copies of them */
		pair.peer = peer_and_accept(&pair.server, &pair.conn);
		assert_true(peer_send(pair.peer, block, sizeof(block)));
		assert_int_equal(sc_sync_recv(pair.conn, block, 100, SC_RECV_ALL, WAIT_MS), 100);
		assert_int_equal(sc_sync_close(pair.conn, WAIT_MS), 0);
		assert_int_equal(close(pair.peer), 0);
	}
	sc_close_session(pair.server.session);
}

static void test_reset(void **state)
{
	struct linger linger = { .l_onoff = 1 };
	struct sc_job *job;
	struct pair pair;
	char text[8];

	(void)state;
	pair_open(&pair, NULL);
	assert_int_equal(sc_async_recv(pair.conn, text, 8, SC_RECV_ALL, &job), 0);
	assert_true(peer_send(pair.peer, "abc", 3));
	assert_true(pending(job));
	assert_int_equal(setsockopt(pair.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	assert_int_equal(close(pair.peer), 0);
	assert_int_equal(result_of(job), 3);
	for (int i = 0; i < 2; i++)
		assert_int_equal(sc_sync_recv(pair.conn, text, 8, 0, WAIT_MS), -ECONNRESET);
	assert_int_equal(sc_sync_close(pair.conn, WAIT_MS), 0);
	sc_close_session(pair.server.session);
}

/* --- connecting --- */

static int answering_peer(struct peer *peer)
{
	int listener = *(int *)peer->arg, fd;
	char text[5];

	do
		fd = accept(listener, NULL, NULL);
	while (fd < 0 && errno == EINTR);
	PEER_CHECK(fd >= 0);
	PEER_CHECK(peer_recv(fd, text, 5));
	PEER_CHECK(!memcmp(text, "hello", 5));
	PEER_CHECK(peer_send(fd, "there", 5));
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	return 0;
}

static void test_connect(void **state)
{
	struct sc_connect_options to = SC_CONNECT_OPTIONS_INIT;
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sc_options options = SC_OPTIONS_INIT;
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct server server;
	struct sc_conn *conn;
	struct peer peer;
	char *mem;

	(void)state;
	server_open(&server, &options, ignore);
	mem = sc_alloc(server.session, 100);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	to.address = "127.0.0.1";
	to.port = ntohs(addr.sin_port);
	for (int i = 0; i < 3; i++) { /* bound, and nobody listens */
		assert_int_equal(sc_sync_connect(server.session, &to, &conn), -ECONNREFUSED);
		assert_non_null(strstr(sc_reason(), "nobody listens"));
	}
	assert_int_equal(listen(listener, 1), 0);
	peer_start(&peer, to.port, answering_peer, &listener);
	assert_int_equal(sc_sync_connect(server.session, &to, &conn), 0);
	memcpy(mem, "hello", 5);
	assert_int_equal(sc_sync_send(conn, mem, 5, WAIT_MS), 0);
	assert_int_equal(sc_sync_recv(conn, mem, 5, SC_RECV_ALL, WAIT_MS), 5);
	assert_memory_equal(mem, "there", 5);
	assert_int_equal(sc_sync_close(conn, WAIT_MS), 0);
	assert_int_equal(peer_join(&peer), 0);
	turn_until(&server, counters(&server).closed == 4);
	assert_int_equal(server.closed + server.connected, 0); /* of no attempt is an event told */
	to.address = "nowhere";
	assert_int_equal(sc_sync_connect(server.session, &to, &conn), -EINVAL);
	assert_int_equal(close(listener), 0);
	sc_close_session(server.session);
}

/* A receive that waits for the connection's making ends with the error of that. */
static void test_connect_fails_jobs(void **state)
{
	struct sc_connect_options to = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_job *receive, *send;
	struct server server;
	struct sc_conn *conn;
	char text[4];

	(void)state;
	server_open(&server, &options, ignore);
	to.address = "127.0.0.1";
	to.port = sc_listener_port(server.listener);
	sc_listener_close(server.listener);
	turn_until(&server, peer_connect(to.port) == -ECONNREFUSED);
	assert_int_equal(sc_connect(server.session, &to, &conn), 0);
	assert_int_equal(sc_async_recv(conn, text, 4, 0, &receive), 0);
	assert_int_equal(sc_async_send(conn, sc_alloc(server.session, 1), 1, &send), 0);
	assert_int_equal(result_of(receive), -ECONNREFUSED);
	assert_int_equal(result_of(send), -ECONNREFUSED);
	assert_int_equal(sc_sync_close(conn, WAIT_MS), 0);
	assert_int_equal(turn(&server, 0), 0); /* its SC_EVENT_CONNECT was kept, and is not told after the close */
	sc_close_session(server.session);
}

/* --- events and jobs side by side --- */

static void note_accept(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_ACCEPT)
		server->held_conn = event->conn;
}

static int peer_and_event(struct server *server)
{
	int fd = peer_connect(sc_listener_port(server->listener));

	assert_true(fd >= 0);
	server->handle = note_accept;
	server->held_conn = NULL;
	turn_until(server, server->held_conn);
	return fd;
}

/* Takes all events that are kept or come within a moment; expects so many bytes of RECV, in the peer's order. */
static void must_be_told(struct server *server, struct sc_conn *conn, const char *text)
{
	struct sc_event events[3];
	size_t len = 0;

	while (len < strlen(text)) {
		int cnt = sc_wait(server->session, events, 3, WAIT_MS);

		assert_true(cnt > 0 || cnt == -EINTR);
		for (int i = 0; i < cnt; i++) {
			assert_int_equal(events[i].type, SC_EVENT_RECV);
			assert_ptr_equal(events[i].conn, conn);
			assert_true(events[i].len && events[i].len <= strlen(text) - len);
			assert_memory_equal(events[i].data, text + len, events[i].len);
			len += events[i].len;
			sc_release(conn, events[i].data);
		}
	}
}

/* Bytes for an event that come while a job waits are told afterwards, and nothing twice. */
static void test_others_are_kept(void **state)
{
	struct sc_conn *other;
	struct sc_job *job;
	struct pair pair;
	char text[8];
	int fd;

	(void)state;
	pair_open(&pair, NULL);
	fd = peer_and_event(&pair.server);
	other = pair.server.held_conn;
	assert_int_equal(sc_async_recv(pair.conn, text, 1, 0, &job), 0);
	for (char c = 'a'; c < 'f'; c++) {
		assert_true(peer_send(fd, &c, 1));
		assert_true(pending(job));
	}
	assert_true(peer_send(fd, "fgh", 3));
	assert_int_equal(sc_arm(pair.server.session), 1);
	must_be_told(&pair.server, other, "abcdefgh");
	assert_int_equal(turn(&pair.server, SHORT_MS), 0);
	sc_job_cancel(job);
	assert_int_equal(result_of(job), -ECANCELED);
	sc_close(other, 0);
	assert_int_equal(close(fd), 0);
	pair_close(&pair);
}

/* What is kept as an event goes with the connection when that receives by jobs, and back again. */
static void test_changing_sides(void **state)
{
	struct sc_conn *other;
	struct sc_job *job;
	struct pair pair;
	char text[8];
	int fd;

	(void)state;
	pair_open(&pair, NULL);
	fd = peer_and_event(&pair.server);
	other = pair.server.held_conn;
	assert_int_equal(sc_async_recv(pair.conn, text, 1, 0, &job), 0);
	assert_true(peer_send(fd, "abc", 3));
	assert_true(pending(job));
	assert_true(peer_send(fd, "def", 3));
	assert_true(pending(job));
	assert_int_equal(sc_sync_recv(other, text, 4, SC_RECV_ALL, WAIT_MS), 4);
	assert_memory_equal(text, "abcd", 4);
	assert_int_equal(sc_conn_set_recv_mode(other, SC_RECV_BY_EVENTS), 0);
	assert_true(peer_send(fd, "ghi", 3));
	must_be_told(&pair.server, other, "efghi");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	turn_until(&pair.server, pair.server.ends);
	assert_int_equal(sc_sync_recv(other, text, 4, 0, WAIT_MS), 0); /* the end once more */
	assert_int_equal(sc_conn_set_recv_mode(pair.conn, SC_RECV_BY_EVENTS), -EBUSY);
	assert_int_equal(sc_conn_set_recv_mode(other, (enum sc_recv_mode)2), -EINVAL);
	sc_job_cancel(job);
	assert_int_equal(result_of(job), -ECANCELED);
	sc_close(other, 0);
	assert_int_equal(sc_conn_set_recv_mode(other, SC_RECV_BY_EVENTS), -EPIPE);
	turn_until(&pair.server, pair.server.closed == 1);
	assert_int_equal(close(fd), 0);
	pair_close(&pair);
}

/* No RECV comes after sc_close, not even one that was kept; its memory goes back. */
static void test_close_forgets_what_is_kept(void **state)
{
	struct sc_conn *other;
	struct sc_job *job;
	struct pair pair;
	char text[8];
	int fd;

	(void)state;
	pair_open(&pair, NULL);
	fd = peer_and_event(&pair.server);
	other = pair.server.held_conn;
	assert_int_equal(sc_async_recv(pair.conn, text, 1, 0, &job), 0);
	assert_true(peer_send(fd, "abc", 3));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_true(pending(job));
	sc_close(other, 0);
	turn_until(&pair.server, pair.server.closed == 1);
	assert_int_equal(pair.server.bytes, 0);
	assert_int_equal(pair.server.ends, 0);
	sc_job_cancel(job);
	assert_int_equal(result_of(job), -ECANCELED);
	assert_int_equal(close(fd), 0);
	pair_close(&pair);
}

/* Sixteen thousand buffers for another connection: more than can be kept. A call that waits says so, nothing is lost. */
static void test_store_full(void **state)
{
	enum { TOTAL = 4 * MB };
	struct sc_options options = SC_OPTIONS_INIT;
	static char block[TOTAL];
	struct sc_conn *other;
	struct sc_job *job;
	struct pair pair;
	ssize_t result;
	size_t sent = 0;
	int fd, ret = 0;

	(void)state;
	options.bufs = 16384;
	options.buf_len = 256;
	options.window = 64 * MB;
	pair_open(&pair, &options);
	fd = peer_and_event(&pair.server);
	other = pair.server.held_conn;
	assert_int_equal(sc_async_recv(pair.conn, block, 1, 0, &job), 0);
	while (!ret || ret == -EINTR) {
		ssize_t now = send(fd, block + sent, TOTAL - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += now > 0 ? (size_t)now : 0;
		ret = sc_job_wait(job, 5, &result);
	}
	assert_int_equal(ret, -ENOBUFS);
	assert_non_null(strstr(sc_reason(), "sc_poll"));
	assert_int_equal(sc_job_done(job, &result), -ENOBUFS);
	assert_true(counters(&pair.server).store_full >= 2);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while (!pair.server.ends) {
		struct sc_event events[64];
		int cnt = sc_poll(pair.server.session, events, 64);

		for (int i = 0; i < cnt; i++) {
			assert_int_equal(events[i].type, SC_EVENT_RECV);
			pair.server.bytes += events[i].len;
			if (events[i].len)
				sc_release(other, events[i].data);
			else
				pair.server.ends++;
		}
	}
	assert_int_equal(pair.server.bytes, sent);
	assert_true(peer_send(pair.peer, "x", 1));
	assert_int_equal(result_of(job), 1);
	sc_close(other, 0);
	assert_int_equal(close(fd), 0);
	pair_close(&pair);
}

static void test_refusals(void **state)
{
	struct sc_job *job = NULL;
	struct pair pair;
	char text[8];

	(void)state;
	pair_open(&pair, NULL);
	assert_int_equal(sc_async_recv(pair.conn, text, 0, 0, &job), -EINVAL);
	assert_int_equal(sc_async_recv(pair.conn, text, 1, 2, &job), -EINVAL);
	assert_int_equal(sc_async_send(pair.conn, text, 1, &job), -EFAULT);
	assert_non_null(strstr(sc_reason(), "sc_alloc"));
	assert_int_equal(sc_sync_send(pair.conn, text, 1, 0), -EFAULT);
	assert_null(job);
	pair_close(&pair);
}

/* As many jobs as there may be sends; the next is refused until one has ended. */
static void test_too_many(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	static struct sc_job *jobs[2048];
	unsigned int cnt = 0;
	struct pair pair;
	char text[1];

	(void)state;
	options.conns = 4;
	pair_open(&pair, &options);
	while (!sc_async_recv(pair.conn, text, 1, 0, &jobs[cnt]))
		cnt++;
	assert_in_range(cnt, 1024, 2047);
	assert_int_equal(sc_async_recv(pair.conn, text, 1, 0, &jobs[cnt]), -ENOMEM);
	sc_job_cancel(jobs[0]);
	assert_int_equal(result_of(jobs[0]), -ECANCELED);
	assert_int_equal(sc_async_recv(pair.conn, text, 1, 0, &jobs[0]), 0);
	pair_close(&pair);
}

/* The last of an engine's scenarios: afterwards it is no more. What had arrived is still given out. */
static void test_engine_lost(void **state)
{
	struct sc_job *receive, *send;
	struct pair pair;
	char text[4], *mem;
	ssize_t result;

	(void)state;
	if (!service_pid())
		skip();
	pair_open(&pair, NULL);
	mem = sc_alloc(pair.server.session, 8 * MB);
	assert_true(peer_send(pair.peer, "abc", 3));
	assert_int_equal(sc_sync_recv(pair.conn, text, 1, 0, WAIT_MS), 1);
	assert_int_equal(sc_async_send(pair.conn, mem, 8 * MB, &send), 0);
	assert_true(pending(send));
	assert_int_equal(kill(service_pid(), SIGKILL), 0);
	assert_int_equal(result_of(send), -EOWNERDEAD);
	assert_int_equal(sc_sync_recv(pair.conn, text, 2, SC_RECV_ALL, WAIT_MS), 2);
	assert_memory_equal(text, "bc", 2);
	assert_int_equal(sc_async_recv(pair.conn, text, 1, 0, &receive), 0);
	while (!sc_job_done(receive, &result))
		;
	assert_in_range(-result, 1, 4095); /* the reset that the engine's end was to the socket, or the loss */
	assert_int_equal(sc_sync_send(pair.conn, mem, 1, WAIT_MS), -EOWNERDEAD);
	assert_int_equal(sc_sync_accept(pair.server.listener, WAIT_MS, &pair.conn), -EOWNERDEAD);
	assert_int_equal(close(pair.peer), 0);
	sc_close_session(pair.server.session);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_sync_server),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stream_few_buffers),
		cmocka_unit_test(test_unread_is_bounded),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_send_timeout),
		cmocka_unit_test(test_close_timeout),
		cmocka_unit_test(test_cancel_receives),
		cmocka_unit_test(test_cancel_sends),
		cmocka_unit_test(test_cancel_small_send),
		cmocka_unit_test(test_close_ends_jobs),
		cmocka_unit_test(test_close_drops_what_is_kept),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_connect_fails_jobs),
		cmocka_unit_test(test_others_are_kept),
		cmocka_unit_test(test_changing_sides),
		cmocka_unit_test(test_close_forgets_what_is_kept),
		cmocka_unit_test(test_store_full),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_engine_lost),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

// SPDX-License-Identifier: MIT
/* Synchronous calls against a real engine and real sockets on loopback: every scenario on each engine. */
#include "app_pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MB = 1 << 20 };

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
	server_open(&server, &options, pair_ignore);
	mem = sc_alloc(server.session, 4096);
	for (int i = 0; i < 5; i++) {
		struct sc_conn *conn;
		struct peer peer;
		struct iovec iov[2];
		ssize_t got;

		peer_start(&peer, sc_listener_port(server.listener), ask_peer, NULL);
		assert_int_equal(sc_sync_accept(server.listener, WAIT_MS, &conn), 0);
		while ((got = sc_sync_recv(conn, mem, 4096, 0, WAIT_MS)) > 0) {
			iov[0] = (struct iovec){ mem, 1 };
			iov[1] = (struct iovec){ mem + 1, (size_t)got - 1 };
			assert_int_equal(i % 2 && got > 1 ? sc_sync_sendv(conn, iov, 2, WAIT_MS) :
							    sc_sync_send(conn, mem, (size_t)got, WAIT_MS),
					 0);
		}
		assert_int_equal(got, 0);
		assert_int_equal(sc_sync_recv(conn, mem, 4096, 0, WAIT_MS), 0); /* as often as asked */
		assert_int_equal(sc_sync_close(conn, WAIT_MS), 0);
		assert_int_equal(peer_join(&peer), 0);
	}
	assert_int_equal(counters(&server).closed, 5);
	assert_int_equal(turn(&server, 0), 0); /* nothing is left to tell */
	sc_close_session(server.session);
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
static void send_timeout(bool in_pieces)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct iovec iov[2];
	struct pair pair;
	char *mem;

	pair_open(&pair, &options);
	mem = sc_alloc(pair.server.session, 8 * MB);
	assert_non_null(mem);
	iov[0] = (struct iovec){ mem, MB };
	iov[1] = (struct iovec){ mem + MB, 7 * MB };
	if (in_pieces)
		assert_int_equal(sc_sync_sendv(pair.conn, iov, 2, SHORT_MS), -ETIMEDOUT);
	else
		assert_int_equal(sc_sync_send(pair.conn, mem, 8 * MB, SHORT_MS), -ETIMEDOUT);
	assert_int_equal(sc_sync_sendv(pair.conn, iov, 2, SHORT_MS), -EPIPE);
	assert_int_equal(sc_sync_send(pair.conn, mem, 1, SHORT_MS), -EPIPE);
	sc_free(pair.server.session, mem);
	pair_close(&pair);
}

static void test_send_timeout(void **state)
{
	(void)state;
	send_timeout(false);
	send_timeout(true);
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
	struct sc_options options = SC_OPTIONS_INIT;
	int listener = bound_open(&to.port);
	struct server server;
	struct sc_conn *conn;
	struct peer peer;
	char *mem;

	(void)state;
	server_open(&server, &options, pair_ignore);
	mem = sc_alloc(server.session, 100);
	to.address = "127.0.0.1";
	for (int i = 0; i < 3; i++) {
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
	int fd = bound_open(&to.port);
	char text[4];

	(void)state;
	server_open(&server, &options, pair_ignore);
	to.address = "127.0.0.1";
	assert_int_equal(sc_connect(server.session, &to, &conn), 0);
	assert_int_equal(sc_async_recv(conn, text, 4, 0, &receive), 0);
	assert_int_equal(sc_async_send(conn, sc_alloc(server.session, 1), 1, &send), 0);
	assert_int_equal(result_of(receive), -ECONNREFUSED);
	assert_int_equal(result_of(send), -ECONNREFUSED);
	assert_int_equal(sc_sync_close(conn, WAIT_MS), 0);
	assert_int_equal(turn(&server, 0), 0); /* its SC_EVENT_CONNECT was kept, and is not told after the close */
	assert_int_equal(close(fd), 0);
	sc_close_session(server.session);
}

/* One session's event; what comes to the other waits there. */
static struct sc_event must_come(struct sc_session *giver, struct sc_session *taker, bool given)
{
	time_t end = time(NULL) + PATIENCE_S;
	struct sc_event event = { 0 };
	int cnt = 0;

	while (cnt != 1 && time(NULL) <= end) {
		if (!given)
			(void)sc_poll(giver, NULL, 0);
		cnt = sc_wait(given ? giver : taker, &event, 1, 1);
	}
	assert_int_equal(event.type, given ? SC_EVENT_GIVEN : SC_EVENT_TAKEN);
	return event;
}

/* Whose it is in the end is not known while a connection is being given away. */
static void test_close_while_given(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_session *sessions[2];
	struct sc_listener *listener;
	struct sc_event event;
	struct sc_conn *conn;
	int fd;

	(void)state;
	server_options(&options);
	assert_int_equal(sc_open_threads(&options, 2, sessions), 0);
	assert_int_equal(sc_listen(sessions[0], "127.0.0.1", 0, 0, &listener), 0);
	fd = peer_connect(sc_listener_port(listener));
	assert_int_equal(sc_sync_accept(listener, WAIT_MS, &conn), 0);
	assert_int_equal(sc_poll(sessions[1], &event, 1), 0);
	assert_int_equal(sc_conn_give(conn, sessions[1]), 0);
	assert_int_equal(sc_sync_close(conn, WAIT_MS), -EBUSY);
	assert_int_equal(must_come(sessions[0], sessions[1], true).result, 0);
	conn = must_come(sessions[0], sessions[1], false).conn;
	assert_int_equal(sc_sync_close(conn, WAIT_MS), 0);
	assert_true(peer_ends(fd, 0));
	assert_int_equal(close(fd), 0);
	sc_close_session(sessions[0]);
	sc_close_session(sessions[1]);
}

/* Places of what has been closed are used again, though an event of another connection waits to be taken all the time. */
static void test_places_come_back(void **state)
{
	struct sc_connect_options to = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	int fd = bound_open(&to.port), peer;
	struct sc_event event;
	struct sc_conn *conn;
	struct pair pair;
	char byte;

	(void)state;
	assert_int_equal(listen(fd, 16), 0);
	to.address = "127.0.0.1";
	options.conns = 3;
	pair_open(&pair, &options);
	assert_int_equal(sc_conn_set_recv_mode(pair.conn, SC_RECV_BY_EVENTS), 0);
	assert_true(peer_send(pair.peer, "!", 1));
	for (int i = 0; i < 5; i++) {
		peer = peer_and_accept(&pair.server, &conn);
		assert_int_equal(sc_sync_close(conn, WAIT_MS), 0);
		assert_true(peer_ends(peer, 0));
		close(peer);
		if (sc_sync_connect(pair.server.session, &to, &conn))
			fail_msg("%d: %s", i, sc_reason());
		peer = accept(fd, NULL, NULL);
		assert_true(peer_send(peer, "?", 1));
		assert_int_equal(sc_sync_recv(conn, &byte, 1, 0, WAIT_MS), 1);
		assert_int_equal(sc_sync_close(conn, WAIT_MS), 0);
		close(peer);
	}
	close(fd);
	assert_int_equal(sc_poll(pair.server.session, &event, 1), 1);
	assert_int_equal(event.type, SC_EVENT_RECV);
	assert_ptr_equal(event.conn, pair.conn);
	sc_release(event.conn, event.data);
	pair_close(&pair);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_sync_server),	  cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_send_timeout),	  cmocka_unit_test(test_close_timeout),
		cmocka_unit_test(test_connect),		  cmocka_unit_test(test_connect_fails_jobs),
		cmocka_unit_test(test_close_while_given), cmocka_unit_test(test_places_come_back),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

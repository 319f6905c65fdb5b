// SPDX-License-Identifier: MIT
/* Jobs and events side by side: what comes for others while a call waits, and connections that change sides. */
#include "app_pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MB = 1 << 20 };

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

/* A pair whose connection has a job that waits to receive, and another connection beside it, to the descriptor returned. */
static int open_waiting(struct pair *pair, char *text, struct sc_conn **ret_other, struct sc_job **ret_job)
{
	int fd;

	pair_open(pair, NULL);
	fd = peer_and_event(&pair->server);
	*ret_other = pair->server.held_conn;
	assert_int_equal(sc_async_recv(pair->conn, text, 1, 0, ret_job), 0);
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
	fd = open_waiting(&pair, text, &other, &job);
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
	fd = open_waiting(&pair, text, &other, &job);
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
	fd = open_waiting(&pair, text, &other, &job);
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

/* Nor does one after sc_shutdown_recv; what is kept for jobs is dropped as well. */
static void test_shutdown_forgets_what_is_kept(void **state)
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
	assert_int_equal(sc_async_recv(pair.conn, text, 1, SC_RECV_ALL, &job), 0);
	assert_true(peer_send(fd, "abc", 3));
	assert_true(pending(job));
	assert_int_equal(sc_shutdown_recv(other), 0);
	assert_int_equal(turn(&pair.server, SHORT_MS), 0);
	assert_true(peer_send(pair.peer, "xyz", 3));
	assert_int_equal(result_of(job), 1);
	assert_int_equal(sc_shutdown_recv(pair.conn), 0);
	assert_int_equal(sc_sync_recv(pair.conn, text, 1, 0, WAIT_MS), 0);
	assert_int_equal(pair.server.bytes + pair.server.ends, 0);
	sc_close(other, 0);
	turn_until(&pair.server, pair.server.closed == 1);
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

/* A job's end is no event: time goes on being waited for. */
static void test_wait_is_for_events(void **state)
{
	struct sc_connect_options to = SC_CONNECT_OPTIONS_INIT;
	struct sc_event events[4];
	struct sc_conn *conn;
	struct sc_job *job;
	struct pair pair;
	int fd, cnt;

	(void)state;
	fd = bound_open(&to.port);
	to.address = "127.0.0.1";
	pair_open(&pair, NULL);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(sc_connect(pair.server.session, &to, &conn), 0);
		assert_int_equal(sc_async_send(conn, sc_alloc(pair.server.session, 1), 1, &job), 0);
		sc_close(conn, SC_CLOSE_NOW);
		do
			cnt = sc_wait(pair.server.session, events, 4, WAIT_MS);
		while (cnt == -EINTR);
		assert_int_equal(cnt, 1);
		assert_int_equal(events[0].type, SC_EVENT_CLOSED);
		assert_ptr_equal(events[0].conn, conn);
		assert_int_equal(result_of(job), -ECANCELED);
	}
	assert_int_equal(close(fd), 0);
	pair_close(&pair);
}

/* A connection that a listener accepted before its end is not that of the next in its place. */
static void test_listener_closed_meanwhile(void **state)
{
	struct sc_listener *listener;
	struct sc_event event;
	struct sc_job *job;
	struct sc_conn *conn;
	struct pair pair;
	int fd, cnt;
	char text[1];

	(void)state;
	pair_open(&pair, NULL);
	assert_int_equal(sc_async_recv(pair.conn, text, 1, 0, &job), 0);
	fd = peer_connect(sc_listener_port(pair.server.listener));
	assert_true(fd >= 0);
	assert_true(pending(job));
	sc_listener_close(pair.server.listener);
	do { /* until the place is free again */
		assert_true(pending(job));
		assert_int_equal(sc_listen(pair.server.session, "127.0.0.1", 0, 0, &listener), 0);
		if (listener != pair.server.listener)
			sc_listener_close(listener);
	} while (listener != pair.server.listener);
	assert_int_equal(sc_sync_accept(listener, SHORT_MS, &conn), -ETIMEDOUT);
	do
		cnt = sc_wait(pair.server.session, &event, 1, WAIT_MS);
	while (cnt == -EINTR);
	assert_int_equal(cnt, 1);
	assert_int_equal(event.type, SC_EVENT_ACCEPT);
	assert_null(event.listener);
	assert_int_equal(sc_sync_close(event.conn, WAIT_MS), 0);
	sc_job_cancel(job);
	assert_int_equal(result_of(job), -ECANCELED);
	assert_int_equal(close(fd), 0);
	pair_close(&pair);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_others_are_kept),
		cmocka_unit_test(test_changing_sides),
		cmocka_unit_test(test_close_forgets_what_is_kept),
		cmocka_unit_test(test_shutdown_forgets_what_is_kept),
		cmocka_unit_test(test_store_full),
		cmocka_unit_test(test_wait_is_for_events),
		cmocka_unit_test(test_listener_closed_meanwhile),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

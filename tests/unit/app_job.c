// SPDX-License-Identifier: MIT
/* Jobs against a real engine and real sockets on loopback: every scenario on each engine. */
#include "app_pair.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app_service.h"

enum { MB = 1 << 20 };

/* --- sending and receiving --- */

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

static struct sc_job *must_sendv(struct sc_conn *conn, char *mem, size_t len)
{
	struct iovec iov[4] = {
		{ mem, len / 8 }, { mem + len / 8, len / 8 }, { mem + len / 4, len / 4 }, { mem + len / 2, len / 2 }
	};
	struct sc_job *job;

	assert_int_equal(sc_async_sendv(conn, iov, 4, &job), 0);
	return job;
}

/* Four sends under way at a time, waited for in turn; half of them in pieces. */
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
		if (at % 2)
			jobs[at] = must_sendv(conn, mem[at], 65536);
		else
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

	server_open(&server, options, pair_ignore);
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
	options.buf_len = 4096;
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
	/* without a limit on its bytes a receive may take all buffers, and some of them again, before it is cancelled */
	assert_true(counters(&pair.server).received <= (getenv("SIDECORE_DESCRIPTORS") ? 2 * 32 : 3 * 8) * 4096);
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
static void cancel_sends(bool in_pieces)
{
	struct sc_job *stuck, *behind[3];
	static char block[65536];
	struct pair pair;
	ssize_t gone, got;
	size_t read = 0;
	char *mem;

	pair_open(&pair, NULL);
	assert_int_equal(sc_conn_set_zerocopy(pair.conn, SC_ZC_NEVER), 0);
	mem = sc_alloc(pair.server.session, 8 * MB);
	if (in_pieces)
		stuck = must_sendv(pair.conn, mem, 8 * MB);
	else
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

static void test_cancel_sends(void **state)
{
	(void)state;
	cancel_sends(false);
	cancel_sends(true);
}

/* Without a copy the memory is the kernel's until the peer has the bytes, or the connection is closed. */
static void test_cancel_without_copy(void **state)
{
	struct sc_job *stuck, *behind;
	struct pair pair;
	ssize_t gone;
	char *mem;
	int ret;

	(void)state;
	pair_open(&pair, NULL);
	assert_int_equal(sc_conn_set_zerocopy(pair.conn, SC_ZC_ALWAYS), 0);
	mem = sc_alloc(pair.server.session, 8 * MB);
	assert_int_equal(sc_async_send(pair.conn, mem, 8 * MB, &stuck), 0);
	assert_int_equal(sc_async_send(pair.conn, mem, 10, &behind), 0);
	assert_true(pending(stuck));
	sc_job_cancel(stuck);
	if (!counters(&pair.server).zerocopy_refused)
		assert_true(pending(stuck));
	ret = sc_sync_send(pair.conn, mem, 1, WAIT_MS);
	assert_true(ret == -EPIPE || ret == -ECANCELED); /* as the cancel was noticed before or after */
	sc_close(pair.conn, SC_CLOSE_NOW);
	gone = result_of(stuck);
	assert_in_range(gone, 1, 8 * MB - 1);
	assert_int_equal(result_of(behind), -ECANCELED);
	turn_until(&pair.server, pair.server.closed == 1);
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
	turn_until(&pair.server, counters(&pair.server).received == 3);
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
	server_open(&pair.server, &options, pair_ignore);
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

static void test_refusals(void **state)
{
	struct iovec iov = { 0 };
	struct sc_job *job = NULL;
	struct pair pair;
	char text[8];

	(void)state;
	pair_open(&pair, NULL);
	assert_int_equal(sc_async_recv(pair.conn, text, 0, 0, &job), -EINVAL);
	assert_int_equal(sc_async_recv(pair.conn, text, 1, 2, &job), -EINVAL);
	assert_int_equal(sc_async_sendv(pair.conn, &iov, 0, &job), -EINVAL);
	assert_int_equal(sc_async_sendv(pair.conn, &iov, 5, &job), -EINVAL);
	assert_int_equal(sc_sync_sendv(pair.conn, &iov, 0, WAIT_MS), -EINVAL);
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
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stream_few_buffers),
		cmocka_unit_test(test_unread_is_bounded),
		cmocka_unit_test(test_cancel_receives),
		cmocka_unit_test(test_cancel_sends),
		cmocka_unit_test(test_cancel_without_copy),
		cmocka_unit_test(test_cancel_small_send),
		cmocka_unit_test(test_close_ends_jobs),
		cmocka_unit_test(test_close_drops_what_is_kept),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_engine_lost),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

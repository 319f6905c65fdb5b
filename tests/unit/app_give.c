// SPDX-License-Identifier: MIT
/* Handing connections from thread to thread while they carry streams: not a byte is lost or moved. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app_server.h"

enum { THREADS = 3, EVENTS = 64, STREAMS = 4, BLOCK = 8192, KIB = 1024 };

/* A thread that echoes, and gives connections away. What is behind the line is its own until it has ended. */
struct worker {
	struct sc_session *session;
	struct sc_session *others[THREADS - 1];
	unsigned int take; /* events at a time, mostly */
	bool stop; /* atomic */
	pthread_t thread;
	/* -- */
	unsigned int seed;
	int here; /* connections */
	unsigned int given, taken, closed;
	int failed; /* line */
};

#define WORKER_CHECK(worker, expr)                   \
	do {                                         \
		if (!(expr) && !(worker)->failed)    \
			(worker)->failed = __LINE__; \
	} while (0)

static void give_away(struct worker *worker, struct sc_conn *conn)
{
	int err;

	err = sc_conn_give(conn, worker->others[(unsigned int)rand_r(&worker->seed) % (THREADS - 1)]);
	WORKER_CHECK(worker, !err || err == -EALREADY || err == -EAGAIN);
}

static void worker_handle(struct worker *worker, struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_ACCEPT:
		worker->here++;
		give_away(worker, event->conn);
		break;
	case SC_EVENT_TAKEN:
		worker->here++;
		worker->taken++;
		break;
	case SC_EVENT_GIVEN:
		WORKER_CHECK(worker, !event->result);
		worker->here--;
		worker->given++;
		break;
	case SC_EVENT_RECV:
		if (!event->len) {
			sc_close(event->conn, 0);
			break;
		}
		WORKER_CHECK(worker, !sc_send(event->conn, event->data, event->len, (uintptr_t)event->data));
		give_away(worker, event->conn);
		break;
	case SC_EVENT_SENT:
		WORKER_CHECK(worker, event->result > 0);
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
		break;
	case SC_EVENT_CLOSED:
		worker->closed++;
		worker->here--;
		break;
	default:
		WORKER_CHECK(worker, false);
	}
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct sc_event events[EVENTS];

	while (!__atomic_load_n(&worker->stop, __ATOMIC_ACQUIRE)) {
		int cnt = sc_wait(worker->session, events, rand_r(&worker->seed) % 4 ? worker->take : EVENTS, 20);

		WORKER_CHECK(worker, cnt >= 0 || cnt == -EINTR);
		for (int i = 0; i < cnt; i++)
			worker_handle(worker, &events[i]);
	}
	return NULL;
}

static void workers_open(struct worker *workers, unsigned int window, unsigned int take)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_session *sessions[THREADS];

	options.engine = server_engine();
	options.socket_path = server_service();
	options.conns = 64;
	options.bufs = 128;
	options.buf_len = 512;
	options.window = window;
	options.arena_len = 1 << 20;
	if (sc_open_threads(&options, THREADS, sessions))
		fail_msg("%s", sc_reason());
	memset(workers, 0, THREADS * sizeof(*workers));
	for (int i = 0; i < THREADS; i++) {
		workers[i].session = sessions[i];
		workers[i].seed = (unsigned int)i + 1;
		workers[i].take = take;
		for (int j = 0; j < THREADS - 1; j++)
			workers[i].others[j] = sessions[(i + 1 + j) % THREADS];
	}
}

static void worker_run(struct worker *worker)
{
	assert_int_equal(pthread_create(&worker->thread, NULL, worker_main, worker), 0);
}

static void worker_stop(struct worker *worker)
{
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(worker->thread, NULL), 0);
}

/* Of a stream that broke off: who had it, and what that thread's queue and the poller went through. */
static void worker_tell(const struct worker *worker, int nth)
{
	struct sc_info info = { .size = sizeof(info) };

	(void)sc_info(worker->session, &info);
	print_message("# worker %d: line %d, %d here, %u given, %u taken, %u closed\n", nth, worker->failed,
		      worker->here, worker->given, worker->taken, worker->closed);
	print_message("#   paused %llu, starved %llu, SQ full %llu, CQ overflow %llu, doorbells %llu, slept %llu\n",
		      (unsigned long long)info.counters.recv_paused, (unsigned long long)info.counters.recv_starved,
		      (unsigned long long)info.counters.sq_full, (unsigned long long)info.counters.cq_overflow,
		      (unsigned long long)info.counters.doorbells, (unsigned long long)info.counters.sleeps);
}

/* --- streams --- */

/* Sends without waiting for the echo and checks it, with blocks of changing length: the pattern tells where a byte belongs. */
static int stream_peer(struct peer *peer)
{
	size_t total = *(const size_t *)peer->arg, sent = 0, got = 0;
	unsigned int seed = (unsigned int)(uintptr_t)peer;
	static _Thread_local char block[BLOCK], want[BLOCK];
	int fd = peer_connect(peer->port), flags;

	PEER_CHECK(fd >= 0);
	while (got < total) {
		size_t len = 1 + (size_t)rand_r(&seed) % BLOCK;
		ssize_t now;

		len = len < total - sent ? len : total - sent;
		peer_pattern(block, len, peer->port, sent);
		now = len && sent - got < 64 * KIB ? send(fd, block, len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		sent += now > 0 ? (size_t)now : 0;
		flags = now > 0 ? MSG_DONTWAIT : 0;
		now = recv(fd, block, sizeof(block), flags);
		if (now < 0 && (errno == EINTR || (errno == EAGAIN && flags)))
			continue;
		PEER_CHECK(now > 0);
		peer_pattern(want, (size_t)now, peer->port, got);
		PEER_CHECK(!memcmp(block, want, (size_t)now));
		got += (size_t)now;
	}
	PEER_CHECK(!shutdown(fd, SHUT_WR));
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	return 0;
}

static void streams_hop(unsigned int window, unsigned int take, unsigned int least)
{
	size_t total = KIB * KIB;
	struct worker workers[THREADS];
	struct peer peers[STREAMS];
	struct sc_listener *listener;
	unsigned int given = 0, taken = 0;
	int here = 0, failed = 0;

	workers_open(workers, window, take);
	assert_int_equal(sc_listen(workers[0].session, "127.0.0.1", 0, 0, &listener), 0);
	for (int i = 0; i < THREADS; i++)
		worker_run(&workers[i]);
	for (int i = 0; i < STREAMS; i++)
		peer_start(&peers[i], sc_listener_port(listener), stream_peer, &total);
	for (int i = 0; i < STREAMS; i++) {
		int line = peer_join(&peers[i]);

		failed = line ? line : failed;
	}
	for (int i = 0; i < THREADS; i++) {
		worker_stop(&workers[i]);
		if (failed)
			worker_tell(&workers[i], i);
	}
	for (int i = 0; i < THREADS; i++) {
		struct sc_info info = { .size = sizeof(info) };

		if (workers[i].failed)
			fail_msg("worker %d: line %d", i, workers[i].failed);
		given += workers[i].given;
		taken += workers[i].taken;
		here += workers[i].here;
		assert_int_equal(sc_info(workers[i].session, &info), 0);
		assert_int_equal(info.counters.given, workers[i].given);
		assert_int_equal(info.counters.taken, workers[i].taken);
	}
	if (failed)
		fail_msg("a stream broke off: line %d", failed);
	print_message("# %u handovers of %d streams of %zu bytes\n", given, STREAMS, total);
	assert_int_equal(given, taken);
	assert_true(given >= least);
	assert_true(here <= STREAMS); /* whose last completion nobody waited for */
	for (int i = 0; i < THREADS; i++)
		sc_close_session(workers[i].session);
}

/* After each window the next one; fewer times where receives have no limit of a window. */
static void test_streams_hop_often(void **state)
{
	(void)state;
	streams_hop(2 * KIB, EVENTS, 100);
}

/* With events taken one at a time there is more received than told, to be brought along. */
static void test_streams_bring_bytes(void **state)
{
	(void)state;
	streams_hop(16 * KIB, 1, 50);
}

/* --- one thread, several sessions, step by step --- */

struct side {
	struct sc_session *session;
	struct sc_listener *listener;
	struct sc_conn *conn; /* the youngest accepted or taken */
	unsigned int accepted, given, taken, closed, sent, ends;
	int given_result;
	char text[64]; /* received */
	size_t len;
};

static void side_event(struct side *side, const struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_ACCEPT:
		side->accepted++;
		side->conn = event->conn;
		break;
	case SC_EVENT_TAKEN:
		side->taken++;
		side->conn = event->conn;
		break;
	case SC_EVENT_GIVEN:
		side->given++;
		side->given_result = event->result;
		break;
	case SC_EVENT_RECV:
		side->ends += !event->len;
		if (!event->len)
			break;
		assert_true(side->len + event->len <= sizeof(side->text));
		memcpy(side->text + side->len, event->data, event->len);
		side->len += event->len;
		sc_release(event->conn, event->data);
		break;
	case SC_EVENT_SENT:
		side->sent++;
		break;
	case SC_EVENT_CLOSED:
		side->closed++;
		break;
	default:
		fail_msg("event %d", event->type);
	}
}

static void side_turn(struct side *side, int timeout_ms)
{
	struct sc_event event;
	int cnt = sc_wait(side->session, &event, 1, timeout_ms);

	assert_true(cnt >= 0 || cnt == -EINTR);
	if (cnt > 0)
		side_event(side, &event);
}

#define sides_until(sides, cnt, condition)                              \
	do {                                                            \
		time_t end_ = time(NULL) + PATIENCE_S;                  \
		while (!(condition)) {                                  \
			for (int i_ = 0; i_ < (cnt); i_++)              \
				side_turn(&(sides)[i_], 2);             \
			if (time(NULL) > end_)                          \
				fail_msg("never came: %s", #condition); \
		}                                                       \
	} while (0)

static void sides_open(struct side *sides, unsigned int cnt, unsigned int conns)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_session *sessions[8];

	options.engine = server_engine();
	options.socket_path = server_service();
	options.conns = conns;
	options.arena_len = 1 << 16;
	if (sc_open_threads(&options, cnt, sessions))
		fail_msg("%s", sc_reason());
	memset(sides, 0, cnt * sizeof(*sides));
	for (unsigned int i = 0; i < cnt; i++)
		sides[i].session = sessions[i];
}

/* A connection that sides[nth] has accepted; returns the far end. */
static int sides_connect(struct side *sides, int nth)
{
	struct side *side = &sides[nth];
	unsigned int before = side->accepted;
	int fd;

	if (!side->listener)
		assert_int_equal(sc_listen(side->session, "127.0.0.1", 0, 0, &side->listener), 0);
	side_turn(side, 0);
	fd = peer_connect(sc_listener_port(side->listener));
	assert_true(fd >= 0);
	sides_until(side, 1, side->accepted == before + 1);
	return fd;
}

static void sides_close(struct side *sides, unsigned int cnt)
{
	for (unsigned int i = 0; i < cnt; i++)
		sc_close_session(sides[i].session);
}

/* What was asked to be sent goes out before, what came in goes along, with the word and the end of the stream. */
static void test_all_goes_along(void **state)
{
	struct side sides[2];
	int word, fd, type = 0;
	socklen_t len = sizeof(type);
	char text[8] = { 0 };

	(void)state;
	sides_open(sides, 2, 16);
	fd = sides_connect(sides, 0);
	side_turn(&sides[1], 0); /* it has polled */
	sc_conn_set_data(sides[0].conn, &word);
	assert_true(peer_send(fd, "hello", 5));
	usleep(20000); /* it is received, most likely, and told to nobody */
	assert_int_equal(sc_conn_give(sides[0].conn, sides[1].session), 0);
	assert_int_equal(sc_conn_give(sides[0].conn, sides[1].session), -EALREADY);
	assert_int_equal(sc_send(sides[0].conn, memcpy(sc_alloc(sides[0].session, 8), "before", 6), 6, 0), 0);
	assert_int_equal(sc_conn_set_recv_mode(sides[0].conn, SC_RECV_BY_JOBS), -EBUSY);
	assert_true(peer_send(fd, "world", 5));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	sides_until(sides, 2, sides[1].ends == 1 && sides[0].given == 1);
	assert_int_equal(sides[0].given_result, 0);
	assert_int_equal(sides[0].len, 0);
	assert_memory_equal(sides[1].text, "helloworld", 10);
	assert_ptr_equal(sc_conn_data(sides[1].conn), &word);
	assert_true(peer_recv(fd, text, 6));
	assert_string_equal(text, "before");
	assert_int_equal(sc_getsockopt(sides[1].conn, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	assert_int_equal(type, SOCK_STREAM);
	/* and back, when nothing comes any more: the end is told to whoever takes it */
	assert_int_equal(sc_conn_give(sides[1].conn, sides[0].session), 0);
	sides_until(sides, 2, sides[0].ends == 1 && sides[1].given == 1);
	assert_int_equal(sc_send(sides[0].conn, memcpy(sc_alloc(sides[0].session, 8), "after", 5), 5, 0), 0);
	sc_close(sides[0].conn, 0);
	sides_until(sides, 2, sides[0].closed == 1);
	assert_true(peer_recv(fd, text, 5));
	assert_true(peer_ends(fd, 0));
	close(fd);
	sides_close(sides, 2);
}

/* More than the taker has places for: who is refused keeps the connection, and what it received. */
static void test_full_taker(void **state)
{
	bool descriptors = getenv("SIDECORE_DESCRIPTORS");
	struct side sides[3];
	struct sc_conn *conn;
	int fds[5];
	char text[8] = { 0 };

	(void)state;
	sides_open(sides, 3, 4);
	side_turn(&sides[2], 0);
	for (int i = 0; i < 4; i++) {
		fds[i] = sides_connect(sides, 0);
		assert_int_equal(sc_conn_give(sides[0].conn, sides[2].session), 0);
		sides_until(sides, 1, sides[0].given == (unsigned int)i + 1);
		assert_int_equal(sides[0].given_result, 0);
	}
	fds[4] = sides_connect(sides, 1);
	conn = sides[1].conn;
	assert_true(peer_send(fds[4], "kept", 4));
	assert_int_equal(sc_conn_give(conn, sides[2].session), 0);
	sides_until(&sides[1], 1, sides[1].given == 1);
	if (descriptors) {
		assert_int_equal(sides[1].given_result, 0); /* no place is needed, and an entry is waited for */
	} else {
		assert_int_equal(sides[1].given_result, -ENFILE);
		sides_until(&sides[1], 1, sides[1].len == 4);
		assert_int_equal(sc_send(conn, memcpy(sc_alloc(sides[1].session, 4), "echo", 4), 4, 0), 0);
		sides_until(&sides[1], 1, sides[1].sent == 1);
		assert_true(peer_recv(fds[4], text, 4));
	}
	sides_until(sides, 3, sides[2].taken == 4);
	sc_close(sides[2].conn, 0);
	sides_until(sides, 3, sides[2].closed == 1);
	if (!descriptors)
		assert_int_equal(sc_conn_give(conn, sides[2].session), 0); /* now there is one */
	sides_until(sides, 3, sides[2].taken == 5);
	sides_until(sides, 3, (descriptors ? sides[2].len : sides[1].len) == 4);
	assert_memory_equal(descriptors ? sides[2].text : sides[1].text, "kept", 4);
	sides_close(sides, 3);
	for (int i = 0; i < 5; i++) {
		assert_true(peer_ends(fds[i], 0));
		close(fds[i]);
	}
}

static void test_close_while_giving(void **state)
{
	struct side sides[2];
	int fd;

	(void)state;
	sides_open(sides, 2, 16);
	side_turn(&sides[1], 0);
	fd = sides_connect(sides, 0);
	assert_int_equal(sc_conn_give(sides[0].conn, sides[1].session), 0);
	sc_close(sides[0].conn, SC_CLOSE_NOW);
	sides_until(sides, 2, sides[0].closed == 1);
	assert_int_equal(sides[0].given, 1);
	assert_int_equal(sides[0].given_result, -ECANCELED);
	assert_int_equal(sides[1].taken, 0);
	assert_true(peer_ends(fd, 0));
	close(fd);
	sides_close(sides, 2);
}

/* A session that is closed with connections on their way to it, or from it: they end, and nobody waits for ever. */
static void test_end_on_the_way(void **state)
{
	struct side sides[3];
	int fds[2];

	(void)state;
	sides_open(sides, 3, 16);
	side_turn(&sides[1], 0);
	side_turn(&sides[2], 0);
	for (int i = 0; i < 2; i++) {
		fds[i] = sides_connect(sides, 0);
		assert_int_equal(sc_conn_give(sides[0].conn, sides[1 + i].session), 0);
		if (i == 0) /* posted and not taken; the second one is not even that */
			sides_until(sides, 1, sides[0].given == 1);
	}
	sc_close_session(sides[1].session);
	assert_true(peer_ends(fds[0], 0));
	sc_close_session(sides[0].session);
	assert_true(peer_ends(fds[1], 0));
	sc_close_session(sides[2].session);
	for (int i = 0; i < 2; i++)
		close(fds[i]);
}

static void test_give_refusals(void **state)
{
	struct side sides[2], strangers[2];
	struct sc_job *job;
	char byte;
	int fd;

	(void)state;
	sides_open(sides, 2, 16);
	sides_open(strangers, 2, 16);
	fd = sides_connect(sides, 0);
	assert_int_equal(sc_conn_give(sides[0].conn, sides[0].session), -EINVAL);
	assert_int_equal(sc_conn_give(sides[0].conn, strangers[0].session), -EINVAL);
	if (server_engine() == SC_ENGINE_LOCAL)
		assert_int_equal(sc_conn_give(sides[0].conn, sides[1].session), -EAGAIN);
	side_turn(&sides[1], 0);
	assert_int_equal(sc_async_recv(sides[0].conn, &byte, 1, 0, &job), 0);
	assert_int_equal(sc_conn_give(sides[0].conn, sides[1].session), -EBUSY);
	sc_job_cancel(job);
	sc_close(sides[0].conn, 0);
	assert_int_equal(sc_conn_give(sides[0].conn, sides[1].session), -EPIPE);
	sides_until(sides, 2, sides[0].closed == 1);
	close(fd);
	sides_close(strangers, 2);
	sides_close(sides, 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_streams_hop_often),  cmocka_unit_test(test_streams_bring_bytes),
		cmocka_unit_test(test_all_goes_along),	   cmocka_unit_test(test_full_taker),
		cmocka_unit_test(test_close_while_giving), cmocka_unit_test(test_end_on_the_way),
		cmocka_unit_test(test_give_refusals),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

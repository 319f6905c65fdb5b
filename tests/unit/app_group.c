// SPDX-License-Identifier: MIT
/* Segments of sessions opened together: any of them sends from all, and none goes or changes under a send. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app_server.h"

enum { SESSIONS = 3, MB = 1 << 20, PIECE = 4096, ROUNDS = 200, ROUNDS_S = 2, TRIES = 20, FLYING = 2 };

static struct sc_session *sessions[SESSIONS];

static void open_group(void)
{
	struct sc_options options = SC_OPTIONS_INIT;

	options.engine = server_engine();
	options.socket_path = server_service();
	options.conns = 64;
	options.arena_len = 1 << 20;
	if (sc_open_threads(&options, SESSIONS, sessions))
		fail_msg("%s", sc_reason());
}

static void close_group(void)
{
	for (unsigned int i = 0; i < SESSIONS; i++)
		sc_close_session(sessions[i]);
}

static void ignore(struct server *server, struct sc_event *event)
{
	(void)server;
	(void)event;
}

/* A connection of the session, server->held_conn, and its far end, or -1. */
static int conn_open(struct server *server, struct sc_session *session)
{
	time_t end = time(NULL) + PATIENCE_S;
	struct sc_event event;
	int fd;

	*server = (struct server){ .handle = ignore, .session = session };
	if (sc_listen(session, "127.0.0.1", 0, 0, &server->listener))
		return -1;
	fd = peer_connect(sc_listener_port(server->listener));
	while (fd >= 0 && !server->held_conn && time(NULL) <= end)
		if (sc_wait(session, &event, 1, 20) == 1)
			server->held_conn = event.conn;
	return server->held_conn ? fd : -1;
}

static int must_open(struct server *server, struct sc_session *session)
{
	int fd = conn_open(server, session);

	assert_true(fd >= 0);
	return fd;
}

static unsigned int registered(struct sc_session *session, unsigned int segments)
{
	struct sc_info info = { .size = sizeof(info) };

	assert_int_equal(sc_info(session, &info), 0);
	assert_int_equal(info.segments, segments);
	return info.segments_registered;
}

/* Takes len bytes from the far end while the session has its turns. */
static void take(struct server *server, int fd, char byte, size_t len)
{
	static char got[MB];

	while (len) {
		ssize_t cnt = recv(fd, got, len < sizeof(got) ? len : sizeof(got), MSG_DONTWAIT);

		for (ssize_t i = 0; i < cnt; i++)
			assert_int_equal(got[i], byte);
		len -= cnt > 0 ? (size_t)cnt : 0;
		(void)turn(server, cnt > 0 ? 0 : 1);
	}
}

/* One after the other in the same place: what a ring has registered there must be what is there now. */
static void test_all_send(void **state)
{
	unsigned int expected = getenv("SIDECORE_DESCRIPTORS") ? 0 : 1;
	struct sc_segment *segment;
	struct server server;
	int fd;

	(void)state;
	open_group();
	fd = must_open(&server, sessions[1]);
	assert_int_equal(sc_conn_set_zerocopy(server.held_conn, SC_ZC_ALWAYS), 0);
	for (unsigned int round = 0; round < 4; round++) {
		assert_int_equal(sc_register_mem(sessions[round % 2 ? 0 : 2], MB, &segment), 0);
		memset(sc_segment_mem(segment), 'a' + (int)round, MB);
		assert_int_equal(sc_send(server.held_conn, sc_segment_mem(segment), MB, 0), 0);
		assert_int_equal(sc_deregister_mem(segment), -EBUSY);
		take(&server, fd, (char)('a' + round), MB);
		turn_until(&server, server.sent == 1);
		assert_int_equal(server.last_sent, MB);
		assert_int_equal(registered(sessions[1], 1), expected);
		assert_int_equal(sc_send(server.held_conn, sc_segment_mem(segment), PIECE, 0), 0);
		take(&server, fd, (char)('a' + round), PIECE);
		turn_until(&server, server.sent == 2);
		server.sent = 0;
		assert_int_equal(sc_deregister_mem(segment), 0);
		assert_int_equal(registered(sessions[1], 0), 0);
	}
	close(fd);
	close_group();
}

/* The session that has added it may end, and one whose sends are under way, too: those end with it. */
static void test_sessions_end(void **state)
{
	struct sc_segment *segment;
	struct server server, other;
	int fds[2];
	char *mem;

	(void)state;
	open_group();
	assert_int_equal(sc_register_mem(sessions[0], 8 * MB, &segment), 0);
	mem = sc_segment_mem(segment);
	memset(mem, 'x', MB);
	sc_close_session(sessions[0]);
	fds[0] = must_open(&server, sessions[1]);
	fds[1] = must_open(&other, sessions[2]);
	assert_int_equal(sc_send(server.held_conn, mem, MB, 0), 0);
	take(&server, fds[0], 'x', MB);
	turn_until(&server, server.sent == 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(sc_send(server.held_conn, mem, 8 * MB, 0), 0);
	(void)turn(&server, 0);
	assert_int_equal(sc_deregister_mem(segment), -EBUSY);
	assert_non_null(strstr(sc_reason(), "4 pieces"));
	sc_close_session(sessions[1]);
	assert_int_equal(sc_deregister_mem(segment), 0);
	assert_int_equal(sc_send(other.held_conn, mem, 1, 0), -EFAULT);
	assert_int_equal(sc_register_mem(sessions[2], MB, &segment), 0); /* the last one takes it away */
	sc_close_session(sessions[2]);
	for (int i = 0; i < 2; i++)
		close(fds[i]);
}

/* --- threads --- */

static char *published; /* atomic: first byte of a segment that may be about to go, or NULL */

/* A thread that sends from whatever is published, with its far end in its own hands. */
struct sender {
	struct sc_session *session;
	bool stop; /* atomic */
	pthread_t thread;
	struct server server;
	int fd;
	unsigned int asked, refused; /* its own until it has ended, as is failed */
	int failed; /* line */
};

#define SENDER_CHECK(sender, expr)                   \
	do {                                         \
		if (!(expr) && !(sender)->failed)    \
			(sender)->failed = __LINE__; \
	} while (0)

static void sender_send(struct sender *sender)
{
	char *mem = __atomic_load_n(&published, __ATOMIC_ACQUIRE);
	int err;

	if (!mem || sender->asked - sender->server.sent >= FLYING)
		return;
	err = sc_send(sender->server.held_conn, mem + PIECE * (sender->asked % 4), PIECE, 0);
	SENDER_CHECK(sender, !err || err == -EFAULT);
	sender->asked += !err;
	sender->refused += err != 0;
}

/* What was taken goes out whole: its memory stays until then. */
static void sender_turn(struct sender *sender)
{
	struct sc_event events[FLYING + 2];
	int cnt = sc_wait(sender->server.session, events, FLYING + 2, 1);
	char got[2 * PIECE];

	SENDER_CHECK(sender, cnt >= 0 || cnt == -EINTR);
	for (int i = 0; i < cnt; i++) {
		SENDER_CHECK(sender, events[i].type == SC_EVENT_SENT && events[i].result == PIECE);
		sender->server.sent++;
	}
	(void)recv(sender->fd, got, sizeof(got), MSG_DONTWAIT);
}

static void *sender_main(void *arg)
{
	struct sender *sender = arg;

	sender->fd = conn_open(&sender->server, sender->session);
	SENDER_CHECK(sender, sender->fd >= 0);
	while (!sender->failed &&
	       (!__atomic_load_n(&sender->stop, __ATOMIC_ACQUIRE) || sender->server.sent < sender->asked)) {
		sender_send(sender);
		sender_turn(sender);
	}
	return NULL;
}

/* In the middle of their sends, for a while; then there are none of it any more. */
static unsigned int segment_round(struct sc_session *session)
{
	struct sc_segment *segment;
	unsigned int busy = 0;
	int err = -EBUSY;

	assert_int_equal(sc_register_mem(session, 4 * PIECE, &segment), 0);
	memset(sc_segment_mem(segment), 'x', 4 * PIECE);
	__atomic_store_n(&published, (char *)sc_segment_mem(segment), __ATOMIC_RELEASE);
	for (int i = 0; i < TRIES && err; i++) {
		(void)usleep(50);
		err = sc_deregister_mem(segment);
		busy += err == -EBUSY;
	}
	__atomic_store_n(&published, NULL, __ATOMIC_RELEASE);
	while (err == -EBUSY) {
		(void)usleep(50);
		err = sc_deregister_mem(segment);
	}
	assert_int_equal(err, 0);
	return busy;
}

static void test_comes_and_goes_under_sends(void **state)
{
	time_t end = time(NULL) + ROUNDS_S;
	struct sender senders[2] = { 0 };
	unsigned int rounds = 0, busy = 0, asked = 0, refused = 0;

	(void)state;
	open_group();
	for (int i = 0; i < 2; i++) {
		senders[i].session = sessions[i];
		assert_int_equal(pthread_create(&senders[i].thread, NULL, sender_main, &senders[i]), 0);
	}
	for (; rounds < ROUNDS && time(NULL) <= end; rounds++)
		busy += segment_round(sessions[2]);
	for (int i = 0; i < 2; i++)
		__atomic_store_n(&senders[i].stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
		if (senders[i].failed)
			fail_msg("line %d", senders[i].failed);
		close(senders[i].fd);
		asked += senders[i].asked;
		refused += senders[i].refused;
	}
	print_message("%u segments, %u sends, %u too late, %u times in use\n", rounds, asked, refused, busy);
	assert_true(asked);
	close_group();
}

static void test_bounds_are_common(void **state)
{
	struct sc_segment *segments[64], *segment;

	(void)state;
	open_group();
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(sc_register_mem(sessions[i % SESSIONS], PIECE, &segments[i]), 0);
	for (unsigned int i = 0; i < SESSIONS; i++)
		assert_int_equal(sc_register_mem(sessions[i], PIECE, &segment), -ENOSPC);
	assert_int_equal(sc_deregister_mem(segments[7]), 0);
	assert_int_equal(sc_register_mem(sessions[0], PIECE, &segments[7]), 0);
	close_group();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_all_send),
		cmocka_unit_test(test_sessions_end),
		cmocka_unit_test(test_comes_and_goes_under_sends),
		cmocka_unit_test(test_bounds_are_common),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

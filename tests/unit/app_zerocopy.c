// SPDX-License-Identifier: MIT
/* Zero copy on every engine: over loopback it settles on copying, and a send that was told of leaves its memory to be used again. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app_server.h"

enum { PIECE = 64 << 10, PIECES = 4, ROUNDS = 256, TOTAL = ROUNDS * PIECE };

static struct sc_segment *segment;
static enum sc_zerocopy mode;
static unsigned int asked;

static void refill(struct server *server, struct sc_conn *conn, char *mem)
{
	if (asked == ROUNDS)
		return;
	peer_pattern(mem, PIECE, 11, (uint64_t)asked++ * PIECE);
	assert_int_equal(sc_send(conn, mem, PIECE, (uintptr_t)mem), 0);
	server->held_conn = conn;
}

/* Few pieces of memory, half of them registered, each written anew as soon as its send was told of. */
static void stream(struct server *server, struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_ACCEPT:
		assert_int_equal(sc_conn_set_zerocopy(event->conn, mode), 0);
		server->mem = sc_alloc(server->session, PIECES * PIECE);
		assert_non_null(server->mem);
		for (unsigned int i = 0; i < PIECES; i++) {
			refill(server, event->conn, server->mem + i * PIECE);
			refill(server, event->conn, (char *)sc_segment_mem(segment) + i * PIECE);
		}
		break;
	case SC_EVENT_SENT:
		assert_int_equal(event->result, PIECE);
		refill(server, event->conn, (void *)(uintptr_t)event->tag);
		if (server->sent == ROUNDS)
			sc_close(event->conn, 0);
		break;
	default:
		break;
	}
}

static int slow_peer(struct peer *peer)
{
	int fd = peer_connect(peer->port);
	static _Thread_local char got[PIECE], want[PIECE];

	PEER_CHECK(fd >= 0);
	for (uint64_t pos = 0; pos < TOTAL; pos += PIECE) {
		if (pos % (32 * PIECE) == 0)
			usleep(2000);
		PEER_CHECK(peer_recv(fd, got, PIECE));
		peer_pattern(want, PIECE, 11, pos);
		PEER_CHECK(!memcmp(got, want, PIECE));
	}
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	return 0;
}

static struct sc_counters stream_through(enum sc_zerocopy which)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_info info = { .size = sizeof(info) };
	struct server server;
	struct peer peer;

	mode = which;
	asked = 0;
	server_open(&server, &options, stream);
	assert_int_equal(sc_register_mem(server.session, PIECES * PIECE, &segment), 0);
	peer_start(&peer, sc_listener_port(server.listener), slow_peer, NULL);
	turn_until(&server, peer_done(&peer) && server.accepted && server.closed == server.accepted);
	assert_int_equal(peer_join(&peer), 0);
	assert_int_equal(sc_info(server.session, &info), 0);
	assert_int_equal(sc_deregister_mem(segment), 0);
	sc_close_session(server.session);
	assert_int_equal(info.counters.sent, TOTAL);
	return info.counters;
}

/* Loopback copies always. Tries come after 0, 4, 16, 64 and 256 sends. */
static void test_settles(void **state)
{
	struct sc_counters counters = stream_through(SC_ZC_AUTO);

	(void)state;
	assert_true(counters.zerocopy_sends > 0);
	assert_true(counters.zerocopy_sends <= 4);
	assert_int_equal(counters.zerocopy_copied, counters.zerocopy_sends);
}

static void test_forced(void **state)
{
	struct sc_counters counters = stream_through(SC_ZC_ALWAYS);

	(void)state;
	/* of memory that is not registered the pages count against the limit of the engine's user: it may be used up */
	assert_true(counters.zerocopy_sends >= ROUNDS || counters.zerocopy_refused);
}

static void test_never(void **state)
{
	struct sc_counters counters = stream_through(SC_ZC_NEVER);

	(void)state;
	assert_int_equal(counters.zerocopy_sends, 0);
}

static void send_to_silent(struct server *server, struct sc_event *event)
{
	if (event->type != SC_EVENT_ACCEPT)
		return;
	assert_int_equal(sc_conn_set_zerocopy(event->conn, SC_ZC_ALWAYS), 0);
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(sc_send(event->conn, sc_segment_mem(segment), PIECES * PIECE, i), 0);
	server->held_conn = event->conn;
}

/* A peer that takes nothing keeps the memory, until the connection is closed now: then it is free, and the peer reset. */
static void test_close_now(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int fd;

	(void)state;
	server_open(&server, &options, send_to_silent);
	assert_int_equal(sc_register_mem(server.session, PIECES * PIECE, &segment), 0);
	fd = peer_connect(sc_listener_port(server.listener));
	assert_true(fd >= 0);
	turn_until(&server, server.held_conn);
	for (unsigned int i = 0; i < 5; i++)
		(void)turn(&server, 10);
	assert_true(server.sent < 64);
	sc_close(server.held_conn, SC_CLOSE_NOW);
	turn_until(&server, server.closed == 1);
	assert_int_equal(server.sent, 64);
	assert_int_equal(sc_deregister_mem(segment), 0);
	sc_close_session(server.session);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_settles),
		cmocka_unit_test(test_forced),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_close_now),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

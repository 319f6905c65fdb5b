// SPDX-License-Identifier: MIT
/* Segments on every engine: sent from, refused to go while in use, bounded, and gone for good. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app_server.h"

enum { MB = 1 << 20, SENDS = 16, PIECE = 64 << 10, TOTAL = SENDS * PIECE };

static struct sc_segment *segment;

/* Asked by any byte: SENDS sends, each of a piece of the segment with one of the arena between its halves. */
static void answer(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_RECV && event->len) {
		char *at = sc_segment_mem(segment);

		sc_release(event->conn, event->data);
		server->held_conn = event->conn;
		server->mem = sc_alloc(server->session, TOTAL);
		assert_non_null(server->mem);
		peer_pattern(at, TOTAL, 5, 0);
		peer_pattern(server->mem, TOTAL, 5, 0);
		for (unsigned int i = 0; i < SENDS; i++, at += PIECE) {
			size_t off = (size_t)(at - (char *)sc_segment_mem(segment));
			struct iovec iov[3] = { { at, PIECE / 4 },
						{ server->mem + off + PIECE / 4, PIECE / 4 },
						{ at + PIECE / 2, PIECE / 2 } };

			assert_int_equal(i % 2 ? sc_sendv(event->conn, iov, 3, i) : sc_send(event->conn, at, PIECE, i),
					 0);
		}
		assert_int_equal(sc_deregister_mem(segment), -EBUSY);
		assert_non_null(strstr(sc_reason(), "SC_EVENT_SENT"));
	} else if (event->type == SC_EVENT_RECV || event->type == SC_EVENT_ERROR) {
		sc_close(event->conn, 0);
	} else if (event->type == SC_EVENT_SENT) {
		assert_int_equal(event->result, PIECE);
		assert_int_equal(event->tag, server->next_tag);
		server->next_tag++;
	}
}

static int ask(int fd)
{
	static _Thread_local char got[TOTAL], want[TOTAL];

	PEER_CHECK(peer_send(fd, "x", 1));
	PEER_CHECK(peer_recv(fd, got, sizeof(got)));
	peer_pattern(want, sizeof(want), 5, 0);
	PEER_CHECK(!memcmp(got, want, sizeof(got)));
	return 0;
}

static int asking_peer(struct peer *peer)
{
	int fd = peer_connect(peer->port);

	PEER_CHECK(fd >= 0);
	PEER_CHECK(!ask(fd));
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	return 0;
}

static void test_send(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	struct peer peer;
	char *mem;

	(void)state;
	server_open(&server, &options, answer);
	assert_int_equal(sc_register_mem(server.session, TOTAL, &segment), 0);
	peer_start(&peer, sc_listener_port(server.listener), asking_peer, NULL);
	turn_until(&server, server.sent == SENDS);
	mem = sc_segment_mem(segment);
	assert_int_equal(sc_deregister_mem(segment), 0);
	assert_int_equal(sc_send(server.held_conn, mem, 1, 0), -EFAULT);
	sc_close(server.held_conn, 0);
	turn_until(&server, server.closed == 1 && peer_done(&peer));
	assert_int_equal(peer_join(&peer), 0);
	sc_close_session(server.session);
}

/* Those that fail give the segment back, too. */
static void fill_and_drop(struct server *server, struct sc_event *event)
{
	if (event->type != SC_EVENT_RECV || !event->len)
		return;
	sc_release(event->conn, event->data);
	for (unsigned int i = 0; i < SENDS; i++)
		assert_int_equal(sc_send(event->conn, sc_segment_mem(segment), 8 * MB, i), 0);
	server->held_conn = event->conn;
}

static void test_dropped_sends(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int fd;

	(void)state;
	server_open(&server, &options, fill_and_drop);
	assert_int_equal(sc_register_mem(server.session, 8 * MB, &segment), 0);
	fd = peer_connect(sc_listener_port(server.listener));
	assert_true(peer_send(fd, "x", 1));
	turn_until(&server, server.held_conn);
	(void)turn(&server, 20);
	assert_int_equal(sc_deregister_mem(segment), -EBUSY);
	sc_close(server.held_conn, SC_CLOSE_NOW);
	turn_until(&server, server.closed == 1);
	assert_int_equal(server.sent, SENDS);
	assert_int_equal(sc_deregister_mem(segment), 0);
	close(fd);
	sc_close_session(server.session);
}

static void none(struct server *server, struct sc_event *event)
{
	(void)server;
	(void)event;
}

/* What is taken is zeros, of its own, and the last page's end its end. */
static void test_memory(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_info info = { .size = sizeof(info) };
	struct sc_segment *other;
	struct server server;
	char *mem;

	(void)state;
	server_open(&server, &options, none);
	assert_int_equal(sc_register_mem(server.session, 5000, &segment), 0);
	assert_int_equal(sc_segment_len(segment), 8192);
	mem = sc_segment_mem(segment);
	for (unsigned int i = 0; i < 8192; i++)
		assert_int_equal(mem[i], 0);
	memset(mem, 1, 8192);
	assert_int_equal(sc_register_mem(server.session, 4096, &other), 0);
	memset(sc_segment_mem(other), 2, 4096);
	assert_int_equal(mem[8191], 1);
	assert_int_equal(sc_info(server.session, &info), 0);
	assert_int_equal(info.segments, 2);
	assert_int_equal(info.segments_registered, getenv("SIDECORE_DESCRIPTORS") ? 0 : 2);
	assert_int_equal(sc_deregister_mem(segment), 0);
	assert_int_equal(sc_info(server.session, &info), 0);
	assert_int_equal(info.segments, 1);
	sc_close_session(server.session); /* with the other in it */
}

static void test_bounds(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_segment *segments[64];
	struct server server;

	(void)state;
	server_open(&server, &options, none);
	assert_int_equal(sc_deregister_mem(NULL), 0);
	assert_int_equal(sc_register_mem(server.session, 0, &segment), -EINVAL);
	assert_int_equal(sc_register_mem(server.session, (1UL << 30) + 1, &segment), -EINVAL);
	assert_int_equal(sc_register_mem(server.session, SIZE_MAX, &segment), -EINVAL);
	assert_non_null(strstr(sc_reason(), "register less"));
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(sc_register_mem(server.session, 4096, &segments[i]), 0);
	assert_int_equal(sc_register_mem(server.session, 4096, &segment), -ENOSPC);
	for (unsigned int round = 0; round < 100; round++) { /* a place is used again, and nothing is used up */
		assert_int_equal(sc_deregister_mem(segments[round % 64]), 0);
		assert_int_equal(sc_register_mem(server.session, 4096, &segments[round % 64]), 0);
	}
	sc_close_session(server.session);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_dropped_sends),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_bounds),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

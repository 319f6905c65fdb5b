// SPDX-License-Identifier: MIT
/* Small sends beside bulk, on every engine: nothing of either is lost, and what the priority does to the small ones' time is told. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app_server.h"

enum { BULKS = 8, DEPTH = 4, BLOCK = 256 << 10, PINGS = 300, PINGS_MS = 700 };

static char block[BLOCK];
static bool high, stopping;
static double rtts[PINGS];
static unsigned int rtt_cnt;
static size_t bulk_got; /* bytes, so far */

/* The first byte tells what a client wants: 'b', without end, or 'p', answers. */
static void serve_both(struct server *server, struct sc_event *event)
{
	bool bulk;

	switch (event->type) {
	case SC_EVENT_RECV:
		if (!event->len) {
			sc_close(event->conn, SC_CLOSE_NOW);
			break;
		}
		bulk = *(char *)event->data == 'b';
		sc_release(event->conn, event->data);
		if (!bulk) {
			assert_int_equal(
				sc_conn_set_priority(event->conn, high ? SC_PRIORITY_HIGH : SC_PRIORITY_NORMAL), 0);
			assert_int_equal(sc_send(event->conn, server->mem, 1, 0), 0);
		}
		for (unsigned int i = 0; bulk && i < DEPTH; i++)
			assert_int_equal(sc_send(event->conn, server->mem, BLOCK, 1), 0);
		break;
	case SC_EVENT_SENT:
		if (event->tag && event->result > 0)
			(void)sc_send(event->conn, server->mem, BLOCK, 1);
		break;
	case SC_EVENT_ERROR:
		sc_close(event->conn, SC_CLOSE_NOW);
		break;
	default:
		break;
	}
}

/* Takes in what all bulk connections get, until told to stop; each byte must be where it belongs. */
static int bulk_peer(struct peer *peer)
{
	static char got[BLOCK];
	struct pollfd fds[BULKS];
	size_t pos[BULKS] = { 0 };

	for (unsigned int i = 0; i < BULKS; i++) {
		fds[i] = (struct pollfd){ .fd = peer_connect(peer->port), .events = POLLIN };
		PEER_CHECK(fds[i].fd >= 0);
		PEER_CHECK(peer_send(fds[i].fd, "b", 1));
	}
	while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
		(void)poll(fds, BULKS, 10);
		for (unsigned int i = 0; i < BULKS; i++) {
			ssize_t len = recv(fds[i].fd, got, sizeof(got), MSG_DONTWAIT);
			size_t first;

			if (len <= 0)
				continue;
			first = BLOCK - pos[i] < (size_t)len ? BLOCK - pos[i] : (size_t)len;
			PEER_CHECK(!memcmp(got, block + pos[i], first));
			PEER_CHECK(!memcmp(got + first, block, (size_t)len - first));
			pos[i] = (pos[i] + (size_t)len) % BLOCK;
			__atomic_add_fetch(&bulk_got, (size_t)len, __ATOMIC_RELAXED);
		}
	}
	for (unsigned int i = 0; i < BULKS; i++)
		close(fds[i].fd);
	return 0;
}

static double now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Until each bulk connection may have got as many blocks more. */
static void await_bulk(unsigned int blocks)
{
	size_t until = __atomic_load_n(&bulk_got, __ATOMIC_RELAXED) + (size_t)blocks * BULKS * BLOCK;

	while (__atomic_load_n(&bulk_got, __ATOMIC_RELAXED) < until)
		usleep(1000);
}

static int ping_peer(struct peer *peer)
{
	int fd = peer_connect(peer->port);
	double start, end;
	char byte;

	PEER_CHECK(fd >= 0);
	await_bulk(1);
	end = now_us() + PINGS_MS * 1e3;
	for (rtt_cnt = 0; rtt_cnt < PINGS && (rtt_cnt < 3 || now_us() < end); rtt_cnt++) {
		start = now_us();
		PEER_CHECK(peer_send(fd, "p", 1));
		PEER_CHECK(peer_recv(fd, &byte, 1));
		PEER_CHECK(byte == *block);
		rtts[rtt_cnt] = now_us() - start;
	}
	await_bulk(DEPTH); /* what has priority has left it in peace, or not */
	close(fd);
	__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
	return 0;
}

static int compare(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void run(bool with_priority, const char *name)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_info info = { .size = sizeof(info) };
	struct peer bulk, ping;
	struct server server;

	high = with_priority;
	bulk_got = 0;
	stopping = false;
	server_open(&server, &options, serve_both);
	server.mem = sc_alloc(server.session, BLOCK);
	assert_non_null(server.mem);
	peer_pattern(block, BLOCK, 3, 0);
	memcpy(server.mem, block, BLOCK);
	peer_start(&bulk, sc_listener_port(server.listener), bulk_peer, NULL);
	peer_start(&ping, sc_listener_port(server.listener), ping_peer, NULL);
	turn_until(&server, peer_done(&bulk) && peer_done(&ping));
	assert_int_equal(peer_join(&bulk), 0);
	assert_int_equal(peer_join(&ping), 0);
	turn_until(&server, server.closed == server.accepted);
	assert_int_equal(sc_info(server.session, &info), 0);
	assert_int_equal(info.counters.bulk_waited > 0, with_priority);
	qsort(rtts, rtt_cnt, sizeof(*rtts), compare);
	printf("# %s, %s: round trip beside %d bulk connections: p50 %.0f us, p99 %.0f us, %u of them, bulk %.0f MB\n",
	       sc_engine_name(info.engine), name, BULKS, rtts[rtt_cnt / 2], rtts[rtt_cnt * 99 / 100], rtt_cnt,
	       (double)info.counters.sent / 1e6);
	sc_close_session(server.session);
}

static void test_beside_bulk(void **state)
{
	(void)state;
	run(false, "no priority");
	run(true, "high priority");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = { cmocka_unit_test(test_beside_bulk) };

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

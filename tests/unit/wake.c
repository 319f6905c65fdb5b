// SPDX-License-Identifier: MIT
/*
 * Sleep against wake, as often as time allows: bytes to and fro, each side a random moment late, so that both the poller and
 * the application are met at every point of their falling asleep. Nothing else goes on: a lost wake-up is never made up for.
 *
 * SC_WAKE_SECONDS: how long for each engine; SC_SEED: of what is random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <sidecore/app.h>

#include "app_peer.h"
#include "app_service.h"

enum {
	CONNS = 12, /* as many answers in one turn let the application sleep at a marker */
	LATE_NS = 50000,
	LINGER_ONE_IN = 32,
	LINGER_FIRST_NS = 4000000,
	LINGER_MAX_NS = 20000000,
	LINGER_STEP_NS = 100000,
	EVENTS = 64,
	LOST_MS = 12000, /* a sleep of that length is one that nobody ended; less than the peer's patience */
	SLEEP_MS = LOST_MS + 10, /* clocks are rounded */
};

/* For each engine. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SECONDS = 4 };
#else
enum { SECONDS = 12 };
#endif

struct game {
	int64_t end_ns;
	uint64_t random; /* the peer's */
	uint64_t cycles;
	int64_t longest_ns;
};

struct server {
	struct sc_session *session;
	uint64_t random;
	unsigned int closed;
	int64_t linger_ns; /* about when the poller falls asleep, looked for by trying */
};

static enum sc_engine engine_under_test;

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* xorshift64 */
static uint64_t chance(uint64_t *random, uint64_t below)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (*random >> 16) % below;
}

/* By looking at the clock: a sleep is too coarse. */
static void dawdle(int64_t ns)
{
	int64_t end = now_ns() + ns;

	while (now_ns() < end)
		;
}

static long from_env(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 10) : otherwise;
}

/* --- the far end --- */

static int cycle(struct game *game, const int *fds)
{
	unsigned int cnt = chance(&game->random, 8) ? 1 : 1 + (unsigned int)chance(&game->random, CONNS);
	int64_t start, took;
	char byte = 'w';

	dawdle((int64_t)chance(&game->random, LATE_NS));
	start = now_ns();
	for (unsigned int i = 0; i < cnt; i++)
		PEER_CHECK(peer_send(fds[i], &byte, 1));
	for (unsigned int i = 0; i < cnt; i++)
		PEER_CHECK(peer_recv(fds[i], &byte, 1)); /* times out when a wake-up was lost */
	took = now_ns() - start;
	if (took > game->longest_ns)
		game->longest_ns = took;
	game->cycles++;
	return 0;
}

static int far_end(struct peer *peer)
{
	struct game *game = peer->arg;
	int fds[CONNS], failed = 0;

	for (int i = 0; i < CONNS; i++) {
		fds[i] = peer_connect(peer->port);
		PEER_CHECK(fds[i] >= 0);
	}
	while (!failed && now_ns() < game->end_ns)
		failed = cycle(game, fds);
	for (int i = 0; i < CONNS; i++)
		close(fds[i]);
	return failed;
}

/* --- the application --- */

static uint64_t doorbells(const struct server *server)
{
	struct sc_info info = { .size = sizeof(info) };

	assert_int_equal(sc_info(server->session, &info), 0);
	return info.counters.doorbells;
}

/*
 * A request at the very moment when the poller falls asleep. When that is depends on the kernel's tick: come later when it
 * was still awake, sooner when it had to be woken.
 */
static void linger(struct server *server, struct sc_event *event)
{
	uint64_t before = doorbells(server);
	struct sc_event none;

	dawdle(server->linger_ns + (int64_t)chance(&server->random, LATE_NS));
	assert_int_equal(sc_send(event->conn, event->data, event->len, (uintptr_t)event->data), 0);
	assert_int_equal(sc_poll(server->session, &none, 0), 0);
	server->linger_ns += doorbells(server) == before ? LINGER_STEP_NS : -LINGER_STEP_NS;
	if (server->linger_ns < 0 || server->linger_ns > LINGER_MAX_NS)
		server->linger_ns = LINGER_FIRST_NS;
}

static void handle(struct server *server, struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_ACCEPT:
		break;
	case SC_EVENT_RECV:
		if (!event->len)
			sc_close(event->conn, 0);
		else if (engine_under_test == SC_ENGINE_DIRECT && !chance(&server->random, LINGER_ONE_IN))
			linger(server, event);
		else
			assert_int_equal(sc_send(event->conn, event->data, event->len, (uintptr_t)event->data), 0);
		break;
	case SC_EVENT_SENT:
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
		break;
	case SC_EVENT_CLOSED:
		server->closed++;
		break;
	default:
		fail_msg("event %d: %d", (int)event->type, event->result);
	}
}

static void must_be_woken(const char *where, int64_t begun_ns)
{
	if (now_ns() - begun_ns >= LOST_MS * 1000000LL)
		fail_msg("asleep %s for %d ms", where, LOST_MS);
}

/* In a loop of the application's own. */
static int sleep_outside(struct server *server, struct sc_event *events)
{
	struct pollfd pollfd = { .fd = sc_fd(server->session), .events = POLLIN };
	int64_t begun = now_ns();
	int armed = sc_arm(server->session);

	assert_true(armed >= 0);
	if (!armed)
		(void)poll(&pollfd, 1, SLEEP_MS);
	must_be_woken("outside", begun);
	return sc_poll(server->session, events, EVENTS);
}

/* What was asleep for so long finds its events all the same, when time is over. */
static int sleep_inside(struct server *server, struct sc_event *events)
{
	int64_t begun = now_ns();
	int cnt = sc_wait(server->session, events, EVENTS, SLEEP_MS);

	must_be_woken("in sc_wait", begun);
	return cnt;
}

static void turn(struct server *server)
{
	struct sc_event events[EVENTS];
	int cnt;

	dawdle((int64_t)chance(&server->random, LATE_NS));
	cnt = chance(&server->random, 4) ? sleep_inside(server, events) : sleep_outside(server, events);
	assert_true(cnt >= 0 || cnt == -EINTR);
	for (int i = 0; i < cnt; i++)
		handle(server, &events[i]);
}

static void play(unsigned int spin_us)
{
	struct sc_options options = SC_OPTIONS_INIT;
	long seed = from_env("SC_SEED", 1), seconds = from_env("SC_WAKE_SECONDS", SECONDS);
	struct game game = { .random = (uint64_t)seed * 2 + 1, .end_ns = now_ns() + seconds * 500000000LL };
	struct server server = { .random = (uint64_t)seed * 4 + 3, .linger_ns = LINGER_FIRST_NS };
	struct sc_info info = { .size = sizeof(info) };
	struct sc_listener *listener;
	struct peer peer;
	int failed;

	options.engine = engine_under_test;
	options.socket_path = service_path();
	options.lanes = 1;
	options.spin_us = spin_us;
	if (sc_open(&options, &server.session) || sc_listen(server.session, "127.0.0.1", 0, 0, &listener))
		fail_msg("%s", sc_reason());
	peer_start(&peer, sc_listener_port(listener), far_end, &game);
	/* Not until the peer's thread is done: nothing would wake us between its last close and that. */
	while (server.closed < CONNS)
		turn(&server);
	failed = peer_join(&peer);
	if (failed)
		fail_msg("an answer did not come, or line %d failed otherwise", failed);
	assert_int_equal(sc_info(server.session, &info), 0);
	printf("# %s, spin %u us: %llu cycles, %llu sleeps, %llu doorbells, longest cycle %lld us, seed %ld\n",
	       sc_engine_name(info.engine), spin_us, (unsigned long long)game.cycles,
	       (unsigned long long)info.counters.sleeps, (unsigned long long)info.counters.doorbells,
	       (long long)game.longest_ns / 1000, seed);
	sc_close_session(server.session);
}

static void test_sleep(void **state)
{
	(void)state;
	play(0);
}

static void test_spin_then_sleep(void **state)
{
	(void)state;
	play(5);
}

static int setup_local(void **state)
{
	(void)state;
	engine_under_test = SC_ENGINE_LOCAL;
	return 0;
}

static int setup_direct(void **state)
{
	(void)state;
	engine_under_test = SC_ENGINE_DIRECT;
	return service_start_idle(1);
}

static int teardown_direct(void **state)
{
	(void)state;
	service_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sleep), cmocka_unit_test(test_spin_then_sleep) };
	int failed = cmocka_run_group_tests_name("local", tests, setup_local, NULL);

	return failed + cmocka_run_group_tests_name("direct", tests, setup_direct, teardown_direct);
}

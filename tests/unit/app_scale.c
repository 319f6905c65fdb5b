// SPDX-License-Identifier: MIT
/* Ten thousand connections: each is served, few stay active among idle ones, and an idle one costs little memory. */
#include "app_server.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1, CONNECTIONS = 1000 };
#else
enum { SANITIZED = 0, CONNECTIONS = 10000 };
#endif
enum { FEW = 64, ROUNDS = 50, BACKLOG = 1000, SPARE_FILES = 500, IDLE_BYTES_MAX = 256 };

static int fds[CONNECTIONS];

static void echo(struct server *server, struct sc_event *event)
{
	(void)server;
	if (event->type == SC_EVENT_RECV && event->len)
		assert_int_equal(sc_send(event->conn, event->data, event->len, (uint64_t)(uintptr_t)event->data), 0);
	else if (event->type == SC_EVENT_SENT)
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
	else if (event->type == SC_EVENT_ERROR || (event->type == SC_EVENT_RECV && !event->len))
		sc_close(event->conn, 0);
}

/*
 * How many connections this process may have: it holds the clients' ends, and on the local engine the others too if they are
 * descriptors.
 */
static unsigned int connections_max(void)
{
	struct rlimit limit;
	unsigned int cnt;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cnt = ((unsigned int)limit.rlim_cur - SPARE_FILES) / (getenv("SIDECORE_DESCRIPTORS") ? 2 : 1);
	return limit.rlim_cur > 2 * SPARE_FILES && cnt < CONNECTIONS ? cnt / FEW * FEW : CONNECTIONS;
}

static size_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kib = 0;
	char line[256];

	assert_non_null(file);
	while (!kib && fgets(line, sizeof(line), file))
		(void)sscanf(line, "Rss: %lu kB", &kib);
	(void)fclose(file);
	assert_true(kib > 0);
	return (size_t)kib << 10;
}

static void clients_open(struct server *server, unsigned int cnt)
{
	for (unsigned int i = 0; i < cnt; i++) {
		fds[i] = peer_connect(sc_listener_port(server->listener));
		assert_true(fds[i] >= 0);
		turn_until(server, server->accepted + BACKLOG > i); /* beyond a full backlog connecting takes seconds */
	}
	turn_until(server, server->accepted == cnt);
}

/* A round trip on each of these, all at a time. */
static void clients_talk(struct server *server, unsigned int first, unsigned int cnt)
{
	unsigned int sent = server->sent;
	char byte;

	for (unsigned int i = first; i < first + cnt; i++)
		assert_true(peer_send(fds[i], &(char){ (char)i }, 1));
	turn_until(server, server->sent == sent + cnt);
	for (unsigned int i = first; i < first + cnt; i++) {
		assert_true(peer_recv(fds[i], &byte, 1));
		assert_int_equal(byte, (char)i);
	}
}

static void clients_close(struct server *server, unsigned int cnt)
{
	for (unsigned int i = 0; i < cnt; i++)
		close(fds[i]);
	turn_until(server, server->closed == cnt);
	sc_close_session(server->session);
}

static void open_for(struct server *server, unsigned int conns)
{
	struct sc_options options = SC_OPTIONS_INIT;

	options.conns = conns;
	options.bufs = FEW; /* they are all used by the first few, and are not what is measured */
	server_open(server, &options, echo);
}

static void test_many(void **state)
{
	unsigned int cnt = connections_max();
	struct server server;
	size_t small, large;

	(void)state;
	memset(fds, 0xff, sizeof(fds));
	(void)mallopt(M_MMAP_THRESHOLD, 65536); /* what was freed is not used again, uncounted */
	open_for(&server, FEW);
	clients_open(&server, FEW);
	for (unsigned int i = 0; i < ROUNDS; i++)
		clients_talk(&server, 0, FEW);
	small = resident_bytes();
	clients_close(&server, FEW);

	open_for(&server, cnt);
	clients_open(&server, cnt);
	for (unsigned int i = 0; i + FEW <= cnt; i += FEW)
		clients_talk(&server, i, FEW);
	for (unsigned int i = 0; i < ROUNDS; i++)
		clients_talk(&server, cnt / 2, FEW);
	large = resident_bytes();
	print_message("%u connections, %ld bytes for an idle one\n", cnt, ((long)large - (long)small) / cnt);
	if (!SANITIZED)
		assert_true(large < small + (size_t)cnt * IDLE_BYTES_MAX);
	clients_close(&server, cnt);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = { cmocka_unit_test(test_many) };

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

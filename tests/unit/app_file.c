// SPDX-License-Identifier: MIT
/* Ranges of files on every engine: whole, in order with other sends, and with a defined end when the file or the arena fails. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app_server.h"

enum { FILE_LEN = (1 << 20) + 17, SENDS = 24, SEED = 21 };

static struct sc_file *file;
static char path[] = "/tmp/sidecore-file-XXXXXX";
static char content[FILE_LEN];
static int fd_of_file;

static int file_make(void **state)
{
	(void)state;
	(void)strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd_of_file = mkstemp(path);
	peer_pattern(content, FILE_LEN, SEED, 0);
	return write(fd_of_file, content, FILE_LEN) == FILE_LEN ? 0 : -1;
}

static int file_remove(void **state)
{
	(void)state;
	(void)unlink(path);
	return close(fd_of_file);
}

/* The nth of the sends: every third of memory, the others of the file, from a byte to more than the chunks hold. */
static size_t range(unsigned int nth, size_t *ret_off)
{
	static const size_t lens[] = { 1, 4095, 65536, 65537, 300000, 131072, 200, FILE_LEN };
	size_t len = lens[nth % 8];

	*ret_off = len == FILE_LEN ? 0 : nth * 7919;
	return len;
}

static void send_all(struct server *server, struct sc_conn *conn)
{
	server->mem = sc_alloc(server->session, FILE_LEN);
	assert_non_null(server->mem);
	memcpy(server->mem, content, FILE_LEN);
	for (unsigned int i = 0; i < SENDS; i++) {
		size_t off, len = range(i, &off);

		assert_int_equal(
			i % 3 ? sc_send_file(conn, file, off, len, i) : sc_send(conn, server->mem + off, len, i), 0);
	}
	assert_int_equal(sc_file_close(file), -EBUSY);
	assert_int_equal(sc_shutdown(conn), 0);
}

static bool beside_high;

static void answer(struct server *server, struct sc_event *event)
{
	size_t off;

	switch (event->type) {
	case SC_EVENT_ACCEPT:
		if (beside_high && server->accepted == 1) {
			assert_int_equal(sc_conn_set_priority(event->conn, SC_PRIORITY_HIGH), 0);
			break;
		}
		send_all(server, event->conn);
		break;
	case SC_EVENT_SENT:
		assert_int_equal(event->tag, server->next_tag);
		assert_int_equal(event->result, range((unsigned int)event->tag, &off));
		server->next_tag++;
		break;
	case SC_EVENT_RECV:
	case SC_EVENT_ERROR:
		if (!event->len)
			sc_close(event->conn, 0);
		break;
	default:
		break;
	}
}

static int reading_peer(struct peer *peer)
{
	int first = beside_high ? peer_connect(peer->port) : -1, fd;
	static _Thread_local char got[FILE_LEN];
	size_t off, len;

	usleep(beside_high ? 20000 : 0); /* the first is accepted first */
	fd = peer_connect(peer->port);
	PEER_CHECK(fd >= 0);
	for (unsigned int i = 0; i < SENDS; i++) {
		len = range(i, &off);
		PEER_CHECK(peer_recv(fd, got, len));
		PEER_CHECK(!memcmp(got, content + off, len));
	}
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	if (first >= 0)
		close(first);
	return 0;
}

static void stream_through(bool high)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	struct peer peer;

	beside_high = high;
	server_open(&server, &options, answer);
	assert_int_equal(sc_file_open(server.session, path, &file), 0);
	assert_int_equal(sc_file_len(file), FILE_LEN);
	peer_start(&peer, sc_listener_port(server.listener), reading_peer, NULL);
	turn_until(&server, peer_done(&peer) && server.sent == SENDS && server.closed == server.accepted);
	assert_int_equal(peer_join(&peer), 0);
	assert_int_equal(sc_file_close(file), 0);
	sc_free(server.session, server.mem);
	assert_non_null(sc_alloc(server.session, 8 << 20)); /* what was read to is free again */
	assert_non_null(sc_alloc(server.session, 8 << 20));
	sc_close_session(server.session);
}

static void test_ranges(void **state)
{
	(void)state;
	stream_through(false);
}

static void test_as_bulk(void **state)
{
	(void)state;
	stream_through(true);
}

/* The file has become shorter: what there is goes out, the send fails, and those behind it; the caller closes. */
static void send_too_much(struct server *server, struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_ACCEPT:
		assert_int_equal(ftruncate(fd_of_file, 200000), 0);
		assert_int_equal(sc_send_file(event->conn, file, 0, FILE_LEN, 0), 0);
		assert_int_equal(sc_send_file(event->conn, file, 0, 1, 1), 0);
		break;
	case SC_EVENT_SENT:
		assert_int_equal(event->result, -ENODATA);
		if (event->tag == 1) {
			assert_int_equal(sc_send_file(event->conn, file, 0, 1, 2), -EPIPE);
			sc_close(event->conn, 0);
		}
		break;
	default:
		break;
	}
	(void)server;
}

static int short_peer(struct peer *peer)
{
	static _Thread_local char got[200000];
	int fd = peer_connect(peer->port);

	PEER_CHECK(fd >= 0);
	PEER_CHECK(peer_recv(fd, got, sizeof(got)));
	PEER_CHECK(!memcmp(got, content, sizeof(got)));
	PEER_CHECK(peer_ends(fd, 0));
	close(fd);
	return 0;
}

static void test_truncated(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;

	(void)state;
	server_open(&server, &options, send_too_much);
	assert_int_equal(sc_file_open_fd(server.session, fd_of_file, &file), 0);
	serve(&server, short_peer, NULL);
	assert_int_equal(server.sent, 2);
	assert_non_null(strstr(sc_strerror(-ENODATA), "shorter"));
}

/* A peer that takes nothing, and a close that does not wait for it. */
static void send_much(struct server *server, struct sc_event *event)
{
	if (event->type != SC_EVENT_ACCEPT)
		return;
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(sc_send_file(event->conn, file, 0, FILE_LEN, i), 0);
	server->held_conn = event->conn;
}

static void test_close_now(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int fd;

	(void)state;
	options.arena_len = 1 << 20;
	server_open(&server, &options, send_much);
	assert_int_equal(sc_file_open(server.session, path, &file), 0);
	fd = peer_connect(sc_listener_port(server.listener));
	assert_true(fd >= 0);
	turn_until(&server, server.held_conn);
	for (unsigned int i = 0; i < 5; i++)
		(void)turn(&server, 10);
	assert_null(sc_alloc(server.session, 1 << 20));
	sc_close(server.held_conn, SC_CLOSE_NOW);
	turn_until(&server, server.closed == 1);
	assert_int_equal(server.sent, 64);
	assert_int_equal(server.last_sent, -ECANCELED);
	assert_non_null(sc_alloc(server.session, 1 << 20));
	assert_int_equal(sc_file_close(file), 0);
	sc_close_session(server.session);
	close(fd);
}

static void hold_only(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_ACCEPT)
		server->held_conn = event->conn;
}

static void test_arena_full(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	char got[10], *mem;
	struct server server;
	int fd;

	(void)state;
	options.arena_len = 1 << 20;
	server_open(&server, &options, hold_only);
	assert_int_equal(sc_file_open(server.session, path, &file), 0);
	fd = peer_connect(sc_listener_port(server.listener));
	turn_until(&server, server.held_conn);
	mem = sc_alloc(server.session, 1 << 20);
	assert_non_null(mem);
	assert_int_equal(sc_send_file(server.held_conn, file, 0, 10, 1), -ENOMEM);
	assert_non_null(strstr(sc_reason(), "arena"));
	sc_free(server.session, mem);
	assert_int_equal(sc_send_file(server.held_conn, file, 0, 10, 1), 0);
	turn_until(&server, server.sent == 1);
	assert_int_equal(server.last_sent, 10);
	assert_true(peer_recv(fd, got, 10));
	assert_memory_equal(got, content, 10);
	sc_close(server.held_conn, 0);
	turn_until(&server, server.closed == 1);
	close(fd);
	sc_close_session(server.session);
}

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int cnt = 0;

	while (readdir(dir))
		cnt++;
	(void)closedir(dir);
	return cnt;
}

static void test_refusals(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_file *files[64];
	struct server server;
	unsigned int before;
	int fd;

	(void)state;
	server_open(&server, &options, hold_only);
	assert_int_equal(sc_file_open(server.session, "/nowhere/at/all", &file), -ENOENT);
	assert_non_null(strstr(sc_reason(), "/nowhere/at/all"));
	assert_int_equal(sc_file_open(server.session, "/tmp", &file), -EINVAL);
	assert_int_equal(sc_file_open_fd(server.session, -1, &file), -EBADF);
	assert_int_equal(sc_file_close(NULL), 0);
	(void)turn(&server, 1);
	before = descriptors();
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(sc_file_open(server.session, path, &files[i]), 0);
	assert_int_equal(sc_file_open(server.session, path, &file), -ENOSPC);
	for (unsigned int i = 1; i < 64; i++)
		assert_int_equal(sc_file_close(files[i]), 0);
	fd = peer_connect(sc_listener_port(server.listener));
	turn_until(&server, server.held_conn);
	assert_int_equal(sc_send_file(server.held_conn, files[0], 0, 0, 0), -EINVAL);
	assert_int_equal(sc_send_file(server.held_conn, files[0], 0, (1UL << 30) + 1, 0), -EINVAL);
	assert_int_equal(sc_send_file(server.held_conn, files[0], UINT64_MAX, 1, 0), -EINVAL);
	assert_int_equal(sc_send_file(server.held_conn, files[0], FILE_LEN, 1, 0), 0);
	turn_until(&server, server.sent == 1);
	assert_int_equal(server.last_sent, -ENODATA);
	assert_int_equal(sc_file_close(files[0]), 0);
	for (unsigned int round = 0; round < 200; round++) { /* a place is used again, when it is free */
		turn_until(&server, sc_file_open(server.session, path, &file) == 0);
		assert_int_equal(sc_file_close(file), 0);
	}
	sc_close(server.held_conn, SC_CLOSE_NOW);
	turn_until(&server, server.closed == 1);
	close(fd);
	turn_until(&server, descriptors() <= before + 1);
	sc_close_session(server.session);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_make, file_remove)

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		TEST(test_ranges),    TEST(test_as_bulk),    TEST(test_truncated),
		TEST(test_close_now), TEST(test_arena_full), TEST(test_refusals),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

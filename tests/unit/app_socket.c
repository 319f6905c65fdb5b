// SPDX-License-Identifier: MIT
/* What sockets can do beside sending and receiving: options, names, limits, directions, resets, addresses of every family. */
#include "app_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MB = 1 << 20 };

/* Takes what comes and keeps the last connection. */
static void keep(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_ACCEPT)
		server->held_conn = event->conn;
	else if (event->type == SC_EVENT_RECV && event->len)
		sc_release(event->conn, event->data);
}

static void close_at_end(struct server *server, struct sc_event *event)
{
	keep(server, event);
	if (event->type == SC_EVENT_ERROR || (event->type == SC_EVENT_RECV && !event->len))
		sc_close(event->conn, 0);
}

static int plain_connect(struct server *server)
{
	int fd = peer_connect(sc_listener_port(server->listener));

	assert_true(fd >= 0);
	return fd;
}

static bool ready(int fd, short events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	return poll(&pollfd, 1, 0) == 1;
}

static unsigned int descriptors(void)
{
	unsigned int cnt = 0;

	for (int fd = 0; fd < 1024; fd++)
		cnt += dup2(fd, fd) == fd;
	return cnt;
}

/* Connections that the server has, in a moment without news. */
static unsigned int settled(struct server *server)
{
	while (turn(server, 30) > 0)
		;
	return server->accepted - server->closed;
}

static void test_options_and_names(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sockaddr_in far = { 0 }, mine, name;
	struct server server;
	socklen_t len = sizeof(mine);
	unsigned int before, local;
	int fd, value;

	(void)state;
	server_open(&server, &options, keep);
	fd = plain_connect(&server);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&mine, &len), 0);
	turn_until(&server, server.held_conn);
	before = descriptors();
	for (int i = 0; i < 50; i++) { /* without a poll in between: what is not taken yet is nobody's */
		len = sizeof(far);
		assert_int_equal(sc_getpeername(server.held_conn, (struct sockaddr *)&far, &len), 0);
		assert_int_equal(far.sin_port, mine.sin_port);
		assert_int_equal(far.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	}
	len = sizeof(name);
	assert_int_equal(sc_getsockname(server.held_conn, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(ntohs(name.sin_port), sc_listener_port(server.listener));
	len = sizeof(value);
	assert_int_equal(sc_getsockopt(server.held_conn, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_int_equal(value, 1); /* inherited from the listener */
	value = 0;
	assert_int_equal(sc_setsockopt(server.held_conn, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)), 0);
	value = 1;
	assert_int_equal(sc_getsockopt(server.held_conn, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	assert_int_equal(value, 0);
	assert_int_equal(sc_setsockopt(server.held_conn, IPPROTO_TCP, 9999, &value, sizeof(value)), -ENOPROTOOPT);
	assert_non_null(strstr(sc_reason(), "Protocol not available"));
	local = descriptors();
	assert_int_equal(local, before);
	/* and the connection is as it was */
	assert_true(peer_send(fd, "abc", 3));
	turn_until(&server, server.bytes == 3);
	sc_close(server.held_conn, 0);
	assert_int_equal(sc_getsockopt(server.held_conn, IPPROTO_TCP, TCP_NODELAY, &value, &len), -EBADF);
	turn_until(&server, server.closed == 1);
	assert_true(peer_ends(fd, 0)); /* no copy of it is left anywhere */
	close(fd);
	sc_close_session(server.session);
}

/* Events that wait when an option is asked for are all told afterwards. */
static void test_options_lose_no_event(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	socklen_t len;
	int fd, value;

	(void)state;
	server_open(&server, &options, keep);
	fd = plain_connect(&server);
	turn_until(&server, server.held_conn);
	for (unsigned int i = 1; i <= 100; i++) {
		assert_true(peer_send(fd, "0123456789", 10));
		len = sizeof(value);
		assert_int_equal(sc_getsockopt(server.held_conn, SOL_SOCKET, SO_TYPE, &value, &len), 0);
		assert_int_equal(value, SOCK_STREAM);
	}
	turn_until(&server, server.bytes == 1000);
	close(fd);
	sc_close_session(server.session);
}

static void test_listener_options(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sockaddr_in name;
	struct server server;
	socklen_t len = sizeof(int);
	uint16_t port;
	int value = 7, fd;

	(void)state;
	server_open(&server, &options, keep);
	port = sc_listener_port(server.listener);
	assert_int_equal(sc_listener_setsockopt(server.listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, sizeof(value)),
			 0);
	value = 0;
	assert_int_equal(sc_listener_getsockopt(server.listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, &len), 0);
	assert_int_equal(value, 7);
	len = sizeof(name);
	assert_int_equal(sc_listener_getsockname(server.listener, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(ntohs(name.sin_port), port);
	sc_listener_close(server.listener);
	assert_int_equal(sc_listener_getsockopt(server.listener, SOL_SOCKET, SO_TYPE, &value, &len), -EBADF);
	for (int i = 0; i < 500; i++) {
		(void)turn(&server, 2);
		fd = peer_connect(port);
		if (fd < 0)
			break;
		close(fd);
	}
	assert_int_equal(fd, -ECONNREFUSED); /* no copy keeps it listening */
	sc_close_session(server.session);
}

/* --- closing --- */

/* Reads what had arrived, which may still be read, then the reset. */
static bool was_reset(int fd)
{
	static char block[65536];
	ssize_t got;

	do
		got = recv(fd, block, sizeof(block), 0);
	while (got > 0 || (got < 0 && errno == EINTR));
	return got < 0 && errno == ECONNRESET;
}

static void test_reset(void **state)
{
	static const unsigned int asked[] = { 0, 3 };
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int fd;

	(void)state;
	options.arena_len = 64 * MB;
	server_open(&server, &options, keep);
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		void *mem = sc_alloc(server.session, 8 * MB);

		server.held_conn = NULL;
		server.closed = 0;
		fd = plain_connect(&server);
		turn_until(&server, server.held_conn);
		for (uint64_t tag = 0; tag < asked[i]; tag++) /* more than the peer, who reads none, has room for */
			assert_int_equal(sc_send(server.held_conn, mem, 8 * MB, tag), 0);
		sc_close(server.held_conn, i ? 0 : SC_CLOSE_RESET);
		(void)turn(&server, 5);
		sc_close(server.held_conn, SC_CLOSE_RESET);
		turn_until(&server, server.closed == 1);
		assert_int_equal(server.sent, asked[i]);
		turn_until(&server, ready(fd, POLLHUP));
		assert_true(was_reset(fd));
		close(fd);
	}
	assert_int_equal(server.last_sent, -ECANCELED);
	sc_close_session(server.session);
}

/* --- directions --- */

/* Each end finishes sending first and goes on receiving. */
static void test_half_close(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	static char want[MB], got[MB];
	struct server server;
	char *mem;
	int fd;

	(void)state;
	server_open(&server, &options, keep);
	mem = sc_alloc(server.session, MB);
	peer_pattern(want, MB, 5, 0);
	memcpy(mem, want, MB);
	fd = plain_connect(&server);
	turn_until(&server, server.held_conn);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	turn_until(&server, server.ends == 1);
	assert_int_equal(sc_send(server.held_conn, mem, MB, 1), 0);
	for (size_t at = 0; at < MB;) {
		ssize_t more = recv(fd, got + at, MB - at, MSG_DONTWAIT);

		at += more > 0 ? (size_t)more : 0;
		(void)turn(&server, 1);
	}
	assert_memory_equal(want, got, MB);
	sc_close(server.held_conn, 0);
	turn_until(&server, server.closed == 1);
	assert_true(peer_ends(fd, 0));
	close(fd);

	server.held_conn = NULL;
	fd = plain_connect(&server);
	turn_until(&server, server.held_conn);
	assert_int_equal(sc_shutdown(server.held_conn), 0);
	turn_until(&server, ready(fd, POLLRDHUP));
	assert_true(peer_ends(fd, 0) && peer_send(fd, want, 1000));
	turn_until(&server, server.bytes == 1000);
	close(fd);
	turn_until(&server, server.ends == 2);
	sc_close(server.held_conn, 0);
	turn_until(&server, server.closed == 2);
	sc_close_session(server.session);
}

/* Receiving ends, sending goes on; on a unix socket the peer sees it. */
static void test_shutdown_recv(void **state)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	struct sc_conn *conn;
	char *mem, text[5];
	int fd, pair[2];

	(void)state;
	server_open(&server, &options, keep);
	mem = sc_alloc(server.session, 5);
	memcpy(mem, "hello", 5);
	fd = plain_connect(&server);
	assert_true(peer_send(fd, "before", 6));
	turn_until(&server, server.bytes == 6);
	assert_int_equal(sc_shutdown_recv(server.held_conn), 0);
	assert_int_equal(sc_shutdown_recv(server.held_conn), 0);
	assert_true(peer_send(fd, "after", 5));
	assert_int_equal(sc_send(server.held_conn, mem, 5, 1), 0);
	turn_until(&server, server.sent == 1);
	assert_true(peer_recv(fd, text, 5) && !memcmp(text, "hello", 5));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(settled(&server), 1);
	assert_int_equal(server.bytes + server.ends + server.errors, 6); /* neither data nor end */
	sc_close(server.held_conn, 0);
	assert_int_equal(sc_shutdown_recv(server.held_conn), -EPIPE);
	turn_until(&server, server.closed == 1);
	close(fd);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	opt.fd = pair[0];
	assert_int_equal(sc_connect(server.session, &opt, &conn), 0);
	assert_int_equal(sc_shutdown_recv(conn), 0); /* before it is known to be connected */
	turn_until(&server, server.connected == 1);
	turn_until(&server, ready(pair[1], POLLHUP | POLLERR) || send(pair[1], "x", 1, MSG_NOSIGNAL) < 0);
	assert_int_equal(send(pair[1], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(server.bytes + server.ends + server.errors, 6);
	assert_int_equal(sc_send(conn, mem, 5, 1), 0);
	assert_int_equal(sc_shutdown(conn), 0);
	turn_until(&server, server.sent == 2);
	assert_true(peer_recv(pair[1], text, 5) && !memcmp(text, "hello", 5));
	sc_close(conn, 0);
	turn_until(&server, server.closed == 2);
	close(pair[1]);
	sc_close_session(server.session);
}

/* --- accepting --- */

static void test_limit(void **state)
{
	enum { CLIENTS = 20, LIMIT = 3 };
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int fds[CLIENTS];

	(void)state;
	server_open(&server, &options, close_at_end);
	assert_int_equal(sc_listener_set_limit(server.listener, LIMIT), 0);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = plain_connect(&server);
	for (unsigned int i = 0; i < CLIENTS; i++) { /* who goes makes room for one who waits */
		turn_until(&server, server.accepted - server.closed == (i > CLIENTS - LIMIT ? CLIENTS - i : LIMIT));
		assert_true(settled(&server) <= LIMIT);
		close(fds[i]);
	}
	turn_until(&server, server.closed == CLIENTS);
	assert_int_equal(server.accepted, CLIENTS);
	sc_close_session(server.session);
}

/* Lowered while accepts are under way, lifted again. */
static void test_limit_changes(void **state)
{
	enum { CLIENTS = 20 };
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_listener *other;
	struct server server;
	int fds[CLIENTS];

	(void)state;
	server_open(&server, &options, close_at_end);
	assert_int_equal(sc_listen(server.session, "::1", 0, 0, &other), 0); /* accepts of another go on */
	fds[0] = plain_connect(&server);
	turn_until(&server, server.accepted == 1);
	assert_int_equal(sc_listener_set_limit(server.listener, 2), 0);
	assert_int_equal(settled(&server), 1); /* the cancelled accepts are gone */
	for (int i = 1; i < CLIENTS; i++)
		fds[i] = plain_connect(&server);
	turn_until(&server, server.accepted == 2);
	assert_int_equal(settled(&server), 2);
	assert_int_equal(sc_listener_set_limit(server.listener, 0), 0);
	turn_until(&server, server.accepted == CLIENTS);
	/* a listener that goes leaves its connections, which count for none that takes its place */
	sc_listener_close(server.listener);
	(void)settled(&server);
	assert_int_equal(sc_listen(server.session, "127.0.0.1", 0, 0, &server.listener), 0);
	assert_int_equal(sc_listener_set_limit(server.listener, 1), 0);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	turn_until(&server, server.closed == CLIENTS);
	fds[0] = plain_connect(&server);
	fds[1] = plain_connect(&server);
	turn_until(&server, server.accepted == CLIENTS + 1);
	assert_int_equal(settled(&server), 1);
	close(fds[0]);
	close(fds[1]);
	turn_until(&server, server.closed == CLIENTS + 2);
	sc_close_session(server.session);
}

/* --- addresses --- */

static int connect_path(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = 10 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)strcpy(addr.sun_path, path);
	assert_true(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) &&
		    !connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	return fd;
}

static void answer(struct server *server, struct sc_event *event)
{
	close_at_end(server, event);
	if (event->type == SC_EVENT_RECV && event->len) {
		void *mem = sc_alloc(server->session, 2);

		memcpy(mem, "ok", 2);
		assert_int_equal(sc_send(event->conn, mem, 2, (uintptr_t)mem), 0);
	}
}

/* Three listeners of three families in one session. */
static void test_several_addresses(void **state)
{
	char dir[] = "/tmp/sidecore-test-XXXXXX", path[64], name[80], text[2];
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_listener *in6, *un;
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct server server;
	int fds[3];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	(void)snprintf(name, sizeof(name), "unix:%s", path);
	server_open(&server, &options, answer);
	assert_int_equal(sc_listen(server.session, "::1", 0, 0, &in6), 0);
	assert_int_equal(sc_listen(server.session, name, 0, 0, &un), 0);
	assert_int_equal(sc_listener_port(un), 0);
	assert_int_equal(sc_listen(server.session, name, 0, 0, &un), -EADDRINUSE);
	assert_non_null(strstr(sc_reason(), "remove the file"));
	addr.sin6_port = htons(sc_listener_port(in6));
	fds[0] = plain_connect(&server);
	fds[1] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[1], (struct sockaddr *)&addr, sizeof(addr)), 0);
	fds[2] = connect_path(path);
	for (int i = 0; i < 3; i++)
		assert_true(peer_send(fds[i], "?", 1));
	turn_until(&server, server.sent == 3);
	for (int i = 0; i < 3; i++) {
		assert_true(peer_recv(fds[i], text, 2) && !memcmp(text, "ok", 2));
		close(fds[i]);
	}
	turn_until(&server, server.closed == 3);
	sc_close_session(server.session);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_options_and_names),
		cmocka_unit_test(test_options_lose_no_event),
		cmocka_unit_test(test_listener_options),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_shutdown_recv),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_limit_changes),
		cmocka_unit_test(test_several_addresses),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

// SPDX-License-Identifier: MIT
/* Connections that libapp makes: their outcome, what is asked before it is known, and closing at any moment. */
#include "app_server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MB = 1 << 20 };

/* A plain listening socket on a free port of the address. */
static int listener_open(int family, int backlog, uint16_t *ret_port)
{
	struct sockaddr_in6 addr = { .sin6_family = (sa_family_t)family };
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;
	socklen_t len = family == AF_INET ? sizeof(*in) : sizeof(addr);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (family == AF_INET)
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		addr.sin6_addr = in6addr_loopback;
	assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&addr, len) && !listen(fd, backlog) &&
		    !getsockname(fd, (struct sockaddr *)&addr, &len));
	*ret_port = ntohs(addr.sin6_port);
	return fd;
}

/* A port that is bound and not listened to: refused until fd is closed. */
static int refusing_open(uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&addr, len) &&
		    !getsockname(fd, (struct sockaddr *)&addr, &len));
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

/* A listener that answers no further connection: its backlog is full. fds keep it so. */
static void deaf_open(int fds[4], uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	fds[0] = listener_open(AF_INET, 0, ret_port);
	addr.sin_port = htons(*ret_port);
	for (int i = 1; i < 4; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (struct sockaddr *)&addr, sizeof(addr));
	}
}

/* Accepts; calls on the socket time out. */
static int plain_accept(int listener)
{
	struct timeval timeout = { .tv_sec = 10 };
	int fd;

	do
		fd = accept(listener, NULL, NULL);
	while (fd < 0 && errno == EINTR);
	assert_true(fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
	return fd;
}

/* The far end has been told of the end of the stream. */
static bool end_told(int fd)
{
	struct pollfd end = { .fd = fd, .events = POLLRDHUP };

	return poll(&end, 1, 0) == 1;
}

static void close_all(const int *fds, int cnt)
{
	for (int i = 0; i < cnt; i++)
		close(fds[i]);
}

static struct sc_conn *must_connect(struct server *app, const struct sc_connect_options *opt)
{
	struct sc_conn *conn;

	if (sc_connect(app->session, opt, &conn))
		fail_msg("%s", sc_reason());
	return conn;
}

static struct sc_conn *connect_to(struct server *app, const char *address, uint16_t port)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;

	opt.address = address;
	opt.port = port;
	return must_connect(app, &opt);
}

static char *hello(struct server *app)
{
	char *mem = sc_alloc(app->session, 6);

	assert_non_null(mem);
	return memcpy(mem, "hello", 6);
}

static void release(struct server *app, struct sc_event *event)
{
	(void)app;
	if (event->type == SC_EVENT_RECV && event->len)
		sc_release(event->conn, event->data);
}

/* Both ends: the plain one answers with what it got. */
static void talk(struct server *app, struct sc_conn *conn, int listener)
{
	char text[6];
	int fd = plain_accept(listener);

	assert_int_equal(sc_send(conn, hello(app), 6, 1), 0);
	turn_until(app, app->sent == 1);
	assert_int_equal(app->last_sent, 6);
	assert_true(peer_recv(fd, text, 6) && !strcmp(text, "hello") && peer_send(fd, text, 6));
	turn_until(app, app->bytes == 6);
	sc_close(conn, 0);
	turn_until(app, app->closed == 1);
	assert_true(peer_ends(fd, 0));
	close(fd);
}

static void test_families(void **state)
{
	static const struct {
		int family;
		const char *address;
	} cases[] = { { AF_INET, "127.0.0.1" }, { AF_INET6, "::1" } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sc_options options = SC_OPTIONS_INIT;
		struct sc_info info = { .size = sizeof(info) };
		struct server app;
		struct sc_conn *conn;
		uint16_t port;
		int listener = listener_open(cases[i].family, 8, &port);

		server_open(&app, &options, release);
		conn = connect_to(&app, cases[i].address, port);
		turn_until(&app, app.connected == 1);
		talk(&app, conn, listener);
		assert_int_equal(sc_info(app.session, &info), 0);
		assert_int_equal(info.counters.connected, 1);
		sc_close_session(app.session);
		close(listener);
	}
}

/* What is sent and shut down before anybody knows whether there is a connection goes out after. */
static void test_sends_wait(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	struct sc_conn *conn;
	uint16_t port;
	int listener = listener_open(AF_INET, 8, &port), fd;
	char text[18];

	(void)state;
	server_open(&app, &options, release);
	conn = connect_to(&app, "127.0.0.1", port);
	for (uint64_t tag = 0; tag < 3; tag++)
		assert_int_equal(sc_send(conn, hello(&app), 6, tag), 0);
	assert_int_equal(sc_shutdown(conn), 0);
	turn_until(&app, app.sent == 3);
	assert_int_equal(app.connected, 1);
	fd = plain_accept(listener);
	turn_until(&app, end_told(fd));
	assert_true(peer_recv(fd, text, 18) && !memcmp(text, "hello\0hello\0hello", 18) && peer_ends(fd, 0));
	assert_true(peer_send(fd, text, 4)); /* the other direction is open */
	turn_until(&app, app.bytes == 4);
	close(fd);
	turn_until(&app, app.ends == 1);
	sc_close(conn, 0);
	turn_until(&app, app.closed == 1);
	sc_close_session(app.session);
	close(listener);
}

/* Closed at once, after sends: they go out all the same, and no outcome is told. */
static void test_close_after_sends(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	struct sc_conn *conn;
	uint16_t port;
	int listener = listener_open(AF_INET, 8, &port), fd;
	char text[6];

	(void)state;
	server_open(&app, &options, release);
	conn = connect_to(&app, "127.0.0.1", port);
	assert_int_equal(sc_send(conn, hello(&app), 6, 1), 0);
	sc_close(conn, 0);
	turn_until(&app, app.closed == 1);
	assert_int_equal(app.sent, 1);
	assert_int_equal(app.last_sent, 6);
	assert_int_equal(app.connected, 0);
	fd = plain_accept(listener);
	assert_true(peer_recv(fd, text, 6) && peer_ends(fd, 0));
	close(fd);
	sc_close_session(app.session);
	close(listener);
}

static void fails_with(struct server *app, const struct sc_connect_options *opt, int err)
{
	struct sc_conn *conn;

	app->connect_result = 0;
	app->sent = 0;
	app->closed = 0;
	conn = must_connect(app, opt);
	assert_int_equal(sc_send(conn, hello(app), 6, 1), 0);
	turn_until(app, app->sent == 1);
	assert_int_equal(app->connect_result, err);
	assert_int_equal(app->last_sent, err);
	assert_int_equal(sc_send(conn, hello(app), 6, 1), -EPIPE);
	sc_close(conn, 0);
	turn_until(app, app->closed == 1);
	assert_int_equal(app->errors + app->ends, 0);
}

static void test_refused(void **state)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	int fd = refusing_open(&opt.port);

	(void)state;
	opt.address = "127.0.0.1";
	server_open(&app, &options, release);
	for (int i = 0; i < 20; i++) {
		opt.timeout_ms = i % 2 ? 10000 : 0;
		fails_with(&app, &opt, -ECONNREFUSED);
	}
	sc_close_session(app.session);
	close(fd);
}

static void test_timeout(void **state)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	int fds[4];

	(void)state;
	deaf_open(fds, &opt.port);
	opt.address = "127.0.0.1";
	opt.timeout_ms = 100;
	server_open(&app, &options, release);
	fails_with(&app, &opt, -ETIMEDOUT);
	sc_close_session(app.session);
	close_all(fds, 4);
}

static void test_close_while_connecting(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	struct sc_conn *conn;
	uint16_t port;
	int fds[4];

	(void)state;
	deaf_open(fds, &port);
	server_open(&app, &options, release);
	app.connect_result = 1;
	for (unsigned int i = 0; i < 40; i++) {
		conn = connect_to(&app, "127.0.0.1", port);
		if (i % 2)
			(void)turn(&app, 1);
		if (i % 4 < 2) {
			assert_int_equal(sc_send(conn, hello(&app), 6, 1), 0);
			sc_close(conn, 0);
			(void)turn(&app, 0);
		}
		sc_close(conn, SC_CLOSE_NOW);
		turn_until(&app, app.closed == i + 1);
	}
	assert_int_equal(app.connect_result, 1); /* nothing was told */
	assert_int_equal(app.sent, 20);
	assert_int_equal(app.last_sent, -ECANCELED);
	sc_close_session(app.session);
	close_all(fds, 4);
}

/* A session that ends with connects under way leaves nothing. */
static void test_session_close_while_connecting(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	uint16_t port;
	int fds[4];

	(void)state;
	deaf_open(fds, &port);
	server_open(&app, &options, release);
	for (int i = 0; i < 3; i++) {
		(void)connect_to(&app, "127.0.0.1", port);
		(void)turn(&app, 1);
	}
	sc_close_session(app.session);
	close_all(fds, 4);
}

static void test_local_address(void **state)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	struct sc_conn *conn;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int listener = listener_open(AF_INET, 8, &opt.port), fd, taken = refusing_open(&opt.local_port);

	(void)state;
	opt.address = "127.0.0.1";
	opt.local_address = "127.0.0.1";
	server_open(&app, &options, release);
	assert_int_equal(sc_connect(app.session, &opt, &conn), -EADDRINUSE);
	close(taken);
	opt.local_address = "127.0.0.2";
	conn = must_connect(&app, &opt);
	turn_until(&app, app.connected == 1);
	fd = accept(listener, (struct sockaddr *)&from, &len);
	assert_int_equal(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK + 1);
	assert_int_equal(ntohs(from.sin_port), opt.local_port);
	close(fd);
	sc_close(conn, 0);
	opt.local_port = 0;
	(void)must_connect(&app, &opt);
	turn_until(&app, app.connected == 2);
	opt.local_address = "192.0.2.1"; /* TEST-NET-1: nobody's */
	assert_int_equal(sc_connect(app.session, &opt, &conn), -EADDRNOTAVAIL);
	sc_close_session(app.session);
	close(listener);
}

static void test_own_socket(void **state)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	struct sc_conn *conn;
	struct sockaddr_in from;
	socklen_t len;
	int listener = listener_open(AF_INET, 8, &opt.port), fd;

	(void)state;
	server_open(&app, &options, release);
	opt.address = "127.0.0.1";
	opt.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	conn = must_connect(&app, &opt);
	assert_int_equal(fcntl(opt.fd, F_GETFD), -1); /* taken over */
	turn_until(&app, app.connected == 1);
	talk(&app, conn, listener);
	opt.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	opt.address = NULL;
	assert_int_equal(sc_connect(app.session, &opt, &conn), -ENOTCONN);
	opt.address = "127.0.0.1";
	opt.local_address = "192.0.2.1";
	assert_int_equal(sc_connect(app.session, &opt, &conn), -EADDRNOTAVAIL);
	opt.local_address = "127.0.0.3";
	(void)must_connect(&app, &opt);
	turn_until(&app, app.connected == 2);
	len = sizeof(from);
	fd = accept(listener, (struct sockaddr *)&from, &len);
	assert_int_equal(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK + 2);
	close(fd);
	opt.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sc_connect(app.session, &opt, &conn), -EPROTOTYPE);
	assert_int_equal(close(opt.fd), 0); /* not taken over */
	opt.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(sc_connect(app.session, &opt, &conn), -ENOTSOCK);
	close(opt.fd);
	sc_close_session(app.session);
	close(listener);
}

static void test_connected_socket(void **state)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	struct sc_conn *conn;
	char text[6];
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	server_open(&app, &options, release);
	opt.fd = pair[0];
	opt.timeout_ms = 1; /* nothing that could time out */
	conn = must_connect(&app, &opt);
	assert_int_equal(sc_send(conn, hello(&app), 6, 1), 0);
	turn_until(&app, app.sent == 1);
	assert_int_equal(app.connected, 1);
	assert_int_equal(fcntl(pair[1], F_SETFL, 0), 0);
	assert_true(peer_recv(pair[1], text, 6) && peer_send(pair[1], text, 6));
	close(pair[1]);
	turn_until(&app, app.ends == 1);
	assert_int_equal(app.bytes, 6);
	sc_close(conn, 0);
	turn_until(&app, app.closed == 1);
	sc_close_session(app.session);
}

static void test_unix(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/tmp/sidecore-test-XXXXXX" };
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	struct sc_conn *conn;
	char name[128];
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;

	(void)state;
	assert_non_null(mkdtemp(addr.sun_path));
	(void)strcat(addr.sun_path, "/s");
	assert_true(!bind(listener, (struct sockaddr *)&addr, sizeof(addr)));
	(void)snprintf(name, sizeof(name), "unix:%s", addr.sun_path);
	opt.address = name;
	server_open(&app, &options, release);
	assert_int_equal(sc_connect(app.session, &opt, &conn), -ECONNREFUSED);
	assert_non_null(strstr(sc_reason(), "listening"));
	assert_int_equal(listen(listener, 1), 0);
	conn = must_connect(&app, &opt);
	turn_until(&app, app.connected == 1);
	talk(&app, conn, listener);
	for (int i = 0; i < 3 && !err; i++) /* nobody accepts */
		err = sc_connect(app.session, &opt, &conn);
	assert_int_equal(err, -EAGAIN);
	assert_non_null(strstr(sc_reason(), "backlog"));
	(void)unlink(addr.sun_path);
	assert_int_equal(sc_connect(app.session, &opt, &conn), -ENOENT);
	*strrchr(addr.sun_path, '/') = '\0';
	(void)rmdir(addr.sun_path);
	sc_close_session(app.session);
	close(listener);
}

/* Both ends in one session: what is connected sends a stream that what is accepted sends back. */
struct loop {
	struct sc_conn *out;
	char *mem;
	uint64_t asked, back;
	size_t total;
};

static void loop_handle(struct server *app, struct sc_event *event)
{
	struct loop *loop = app->arg;
	bool out = event->conn == loop->out;

	if (event->type == SC_EVENT_SENT && !out)
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
	if (event->type != SC_EVENT_RECV)
		return;
	if (!event->len)
		sc_close(event->conn, 0);
	else if (!out)
		assert_int_equal(sc_send(event->conn, event->data, event->len, (uintptr_t)event->data), 0);
	if (!event->len || !out)
		return;
	for (size_t i = 0; i < event->len; i++, loop->back++)
		if (((char *)event->data)[i] != loop->mem[loop->back % MB])
			fail_msg("byte %llu came back wrong", (unsigned long long)loop->back);
	sc_release(event->conn, event->data);
}

static void test_both_ends(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct loop loop = { .total = 16 * MB };
	struct server app;

	(void)state;
	server_open(&app, &options, loop_handle);
	app.arg = &loop;
	loop.mem = sc_alloc(app.session, MB);
	peer_pattern(loop.mem, MB, 11, 0);
	loop.out = connect_to(&app, "127.0.0.1", sc_listener_port(app.listener));
	for (size_t at = 0; at < loop.total; at += MB)
		assert_int_equal(sc_send(loop.out, loop.mem, MB, at), 0);
	assert_int_equal(sc_shutdown(loop.out), 0);
	turn_until(&app, app.closed == 2);
	assert_int_equal(loop.back, loop.total);
	assert_int_equal(app.accepted, 1);
	sc_close_session(app.session);
}

/* More than there is room for are refused, and each place can be used again. */
static void test_many(void **state)
{
	enum { CONNS = 100 };
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	struct sc_conn *conns[CONNS], *more;
	int listener = listener_open(AF_INET, 1000, &opt.port), fds[CONNS];

	(void)state;
	options.conns = CONNS;
	server_open(&app, &options, release);
	sc_listener_close(app.listener);
	opt.address = "127.0.0.1";
	opt.timeout_ms = 20000;
	for (unsigned int round = 1; round <= 5; round++) {
		for (int i = 0; i < CONNS; i++)
			conns[i] = must_connect(&app, &opt);
		assert_int_equal(sc_connect(app.session, &opt, &more), -ENOSPC);
		turn_until(&app, app.connected == round * CONNS);
		for (int i = 0; i < CONNS; i++) {
			fds[i] = accept(listener, NULL, NULL);
			sc_close(conns[i], 0);
		}
		turn_until(&app, app.closed == round * CONNS);
		(void)turn(&app, 0); /* who asks for more events is done with those of the closed */
		close_all(fds, CONNS);
	}
	sc_close_session(app.session);
	close(listener);
}

static void test_refusals(void **state)
{
	struct {
		struct sc_connect_options opt;
		char newer[8];
	} later = { .opt = { .size = sizeof(later), .address = "127.0.0.1", .fd = -1 } };
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct server app;
	struct sc_conn *conn;

	(void)state;
	options.arena_len = 4096;
	server_open(&app, &options, release);
	assert_int_equal(sc_connect(app.session, &opt, &conn), -EINVAL);
	assert_non_null(strstr(sc_reason(), "no address"));
	opt.address = "localhost";
	assert_int_equal(sc_connect(app.session, &opt, &conn), -EINVAL);
	assert_non_null(strstr(sc_reason(), "localhost"));
	opt.address = "::1%nosuchif";
	assert_int_equal(sc_connect(app.session, &opt, &conn), -EINVAL);
	opt.address = "unix:";
	assert_int_equal(sc_connect(app.session, &opt, &conn), -EINVAL);
	later.newer[3] = 1;
	assert_int_equal(sc_connect(app.session, &later.opt, &conn), -E2BIG);
	opt.address = "127.0.0.1";
	assert_non_null(sc_alloc(app.session, 4096));
	assert_int_equal(sc_connect(app.session, &opt, &conn), -ENOMEM);
	sc_close_session(app.session);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_sends_wait),
		cmocka_unit_test(test_close_after_sends),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_close_while_connecting),
		cmocka_unit_test(test_session_close_while_connecting),
		cmocka_unit_test(test_local_address),
		cmocka_unit_test(test_own_socket),
		cmocka_unit_test(test_connected_socket),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_both_ends),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_refusals),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

// SPDX-License-Identifier: MIT
/* Datagrams through libapp against plain sockets: addresses, sizes, bounds, drops, closing. */
#include "app_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UNDER_WAY = 32 };

/* Sends each datagram back where it came from, out of the buffer it came in. */
static void echo(struct server *server, struct sc_event *event)
{
	(void)server;
	switch (event->type) {
	case SC_EVENT_RECV:
		assert_non_null(event->data);
		if (sc_sendto(event->conn, event->data, event->len, event->addr, event->addr_len,
			      (uintptr_t)event->data))
			fail_msg("%s", sc_reason());
		break;
	case SC_EVENT_SENT:
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
		break;
	default:
		break;
	}
}

static void ignore(struct server *server, struct sc_event *event)
{
	(void)server;
	(void)event;
}

static socklen_t loopback(struct sockaddr_in6 *addr, int family, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)addr;

	memset(addr, 0, sizeof(*addr));
	addr->sin6_family = (sa_family_t)family;
	addr->sin6_port = htons(port);
	if (family == AF_INET)
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		addr->sin6_addr = in6addr_loopback;
	return family == AF_INET ? sizeof(*in) : sizeof(*addr);
}

static uint16_t port_of(struct sc_conn *conn)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);

	assert_int_equal(sc_getsockname(conn, (struct sockaddr *)&addr, &len), 0);
	return ntohs(addr.sin6_port);
}

/* A plain socket, connected to the library's. */
static int plain_open(int family, uint16_t port)
{
	struct timeval timeout = { .tv_sec = 10 };
	struct sockaddr_in6 addr;
	socklen_t len = loopback(&addr, family, port);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) &&
		    !connect(fd, (struct sockaddr *)&addr, len));
	return fd;
}

static struct sc_conn *must_open(struct server *server, const char *address)
{
	struct sc_conn *conn;

	if (sc_udp_open(server->session, address, 0, &conn))
		fail_msg("%s", sc_reason());
	return conn;
}

static bool ready(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

static void test_echo(void **state)
{
	static const struct {
		int family;
		const char *address;
	} cases[] = { { AF_INET, "127.0.0.1" }, { AF_INET6, "::1" } };
	static const size_t lens[] = { 1, 0, 100, 3000, 16384 - 72, 7 };
	struct sc_options options = SC_OPTIONS_INIT;
	static char want[16384], got[16385];
	struct server server;

	(void)state;
	server_open(&server, &options, echo);
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		struct sc_conn *conn = must_open(&server, cases[c].address);
		int fds[3];

		for (int i = 0; i < 3; i++)
			fds[i] = plain_open(cases[c].family, port_of(conn));
		for (size_t l = 0; l < sizeof(lens) / sizeof(*lens); l++)
			for (int i = 0; i < 3; i++) { /* each client gets its own back */
				peer_pattern(want, lens[l], (uint64_t)i, l);
				assert_int_equal(send(fds[i], want, lens[l], 0), lens[l]);
				turn_until(&server, ready(fds[i]));
				assert_int_equal(recv(fds[i], got, sizeof(got), 0), lens[l]);
				assert_memory_equal(got, want, lens[l]);
			}
		for (int i = 0; i < 3; i++)
			close(fds[i]);
		sc_close(conn, 0);
		turn_until(&server, server.closed == c + 1);
	}
	assert_int_equal(server.errors, 0);
	sc_close_session(server.session);
}

/* What does not fit a receive buffer is told as its beginning; what is too long for UDP is refused as a whole. */
static void keep_last(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_RECV) {
		server->held_cnt = (unsigned int)event->len;
		server->next_tag = event->flags;
		sc_release(event->conn, event->data);
	}
}

static void test_sizes(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_info info = { .size = sizeof(info) };
	struct sockaddr_in6 addr;
	struct server server;
	struct sc_conn *conn;
	static char data[65507];
	socklen_t len;
	char *mem;
	int fd;

	(void)state;
	options.buf_len = 256;
	server_open(&server, &options, keep_last);
	conn = must_open(&server, "127.0.0.1");
	fd = plain_open(AF_INET, port_of(conn));
	assert_int_equal(send(fd, data, 256 - 72, 0), 256 - 72);
	turn_until(&server, server.held_cnt == 256 - 72);
	assert_int_equal(server.next_tag, 0);
	server.held_cnt = 0;
	assert_int_equal(send(fd, data, 5000, 0), 5000);
	turn_until(&server, server.held_cnt == 256 - 72);
	assert_int_equal(server.next_tag, SC_EVENT_TRUNCATED);
	assert_int_equal(sc_info(server.session, &info), 0);
	assert_int_equal(info.counters.datagrams_truncated, 1);
	assert_int_equal(info.counters.received, 2 * (256 - 72));
	/* the other way */
	len = sizeof(addr);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	mem = sc_alloc(server.session, 65508);
	assert_int_equal(sc_sendto(conn, mem, 65508, (struct sockaddr *)&addr, len, 1), 0);
	turn_until(&server, server.sent == 1);
	assert_int_equal(server.last_sent, -EMSGSIZE);
	assert_int_equal(sc_sendto(conn, mem, 65507, (struct sockaddr *)&addr, len, 1), 0); /* the socket goes on */
	turn_until(&server, server.sent == 2);
	assert_int_equal(server.last_sent, 65507);
	assert_int_equal(recv(fd, data, sizeof(data), 0), 65507);
	close(fd);
	sc_close_session(server.session);
}

static void test_pieces(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sockaddr_in6 addr;
	struct server server;
	struct sc_conn *conn;
	struct iovec iov[4];
	char got[64];
	socklen_t len = sizeof(addr);
	char *mem;
	int fd;

	(void)state;
	server_open(&server, &options, ignore);
	conn = must_open(&server, "127.0.0.1");
	fd = plain_open(AF_INET, port_of(conn));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	mem = sc_alloc(server.session, 64);
	memcpy(mem, "0123456789abcdef", 16);
	for (size_t i = 0; i < 4; i++)
		iov[i] = (struct iovec){ mem + 12 - 4 * i, 4 };
	assert_int_equal(sc_sendtov(conn, iov, 4, (struct sockaddr *)&addr, len, 5), 0);
	turn_until(&server, server.sent == 1);
	assert_int_equal(server.last_sent, 16);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 16);
	assert_memory_equal(got, "cdef89ab45670123", 16);
	close(fd);
	sc_close_session(server.session);
}

/* As many as there may be at once, in order; no more; all of them before a close. */
static void test_many_under_way(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sockaddr_in6 addr;
	struct server server;
	struct sc_conn *conn;
	socklen_t len = sizeof(addr);
	uint32_t *mem, got;
	int fd, sent = 0;

	(void)state;
	server_open(&server, &options, ignore);
	conn = must_open(&server, "127.0.0.1");
	fd = plain_open(AF_INET, port_of(conn));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	mem = sc_alloc(server.session, 256 * sizeof(*mem));
	for (int round = 0; round < 4; round++) {
		int err = 0;

		for (; !err; sent += !err) {
			mem[sent] = (uint32_t)sent;
			err = sc_sendto(conn, &mem[sent], sizeof(*mem), (struct sockaddr *)&addr, len, 1);
		}
		assert_int_equal(err, -EAGAIN);
		if (round < 3)
			turn_until(&server, server.sent == (unsigned int)sent);
	}
	assert_int_equal(sent, 4 * UNDER_WAY);
	sc_close(conn, 0);
	assert_int_equal(sc_sendto(conn, mem, 4, (struct sockaddr *)&addr, len, 1), -EPIPE);
	turn_until(&server, server.closed == 1);
	assert_int_equal(server.sent, sent);
	for (int i = 0; i < sent; i++) {
		assert_int_equal(recv(fd, &got, sizeof(got), 0), sizeof(got));
		assert_int_equal(got, i);
	}
	close(fd);
	sc_close_session(server.session);
}

/* Closed at once: each send is told of, and the port is free. */
static void test_close_now(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sockaddr_in6 addr;
	struct server server;
	struct sc_conn *conn;
	socklen_t len;
	time_t end = time(NULL) + PATIENCE_S;
	uint16_t port;
	char *mem;
	int err;

	(void)state;
	server_open(&server, &options, ignore);
	mem = sc_alloc(server.session, 30000);
	for (unsigned int i = 0; i < 10; i++) {
		conn = must_open(&server, "127.0.0.1");
		port = port_of(conn);
		len = loopback(&addr, AF_INET, 9); /* discard: nobody there minds */
		for (int n = 0; n < UNDER_WAY; n++)
			assert_int_equal(sc_sendto(conn, mem, 30000, (struct sockaddr *)&addr, len, 1), 0);
		if (i % 2)
			(void)turn(&server, 0);
		sc_close(conn, i % 4 < 2 ? SC_CLOSE_NOW : SC_CLOSE_RESET);
		turn_until(&server, server.closed == 2 * i + 1);
		assert_int_equal(server.sent, (i + 1) * UNDER_WAY);
		do /* the kernel gives the port back in its own time */
			err = sc_udp_open(server.session, "127.0.0.1", port, &conn);
		while (err == -EADDRINUSE && !usleep(1000) && time(NULL) < end);
		assert_int_equal(err, 0);
		sc_close(conn, 0);
		turn_until(&server, server.closed == 2 * i + 2);
	}
	sc_close_session(server.session);
}

/* Nobody takes what arrives: it is bounded, and what the kernel drops is counted. Then all is well again. */
static void hold(struct server *server, struct sc_event *event)
{
	if (event->type != SC_EVENT_RECV)
		return;
	assert_true(server->held_cnt < sizeof(server->held) / sizeof(*server->held));
	server->held[server->held_cnt++] = event->data;
}

static void test_drops(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_info info = { .size = sizeof(info) };
	struct server server;
	struct sc_conn *conn;
	static char data[1000];
	unsigned int sent = 5000, got = 0;
	time_t end = time(NULL) + PATIENCE_S;
	int fd;

	(void)state;
	options.bufs = 64;
	options.buf_len = 4096;
	options.window = 16 * 4096;
	server_open(&server, &options, hold);
	conn = must_open(&server, "127.0.0.1");
	fd = plain_open(AF_INET, port_of(conn));
	for (unsigned int i = 0; i < sent; i++) {
		assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
		if (i % 100 == 0)
			(void)turn(&server, 0);
	}
	turn_until(&server, server.held_cnt >= 16);
	assert_true(server.held_cnt <= 64 + 64); /* copies are made when buffers are few */
	do { /* another datagram brings the news of the drops before it */
		got += server.held_cnt;
		for (unsigned int i = 0; i < server.held_cnt; i++)
			sc_release(conn, server.held[i]);
		server.held_cnt = 0;
		if (!turn(&server, 20)) {
			assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
			sent++;
		}
		assert_int_equal(sc_info(server.session, &info), 0);
		assert_true(time(NULL) < end);
	} while (got + server.held_cnt + info.counters.datagrams_dropped != sent);
	assert_true(info.counters.recv_paused > 0);
	assert_true(info.counters.datagrams_dropped > 0);
	close(fd);
	sc_close_session(server.session);
}

/* A port that many send to and connections are served beside each other. */
static void test_beside_streams(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	struct sc_conn *conn;
	char byte = 'x', got[2];
	int stream, fds[UNDER_WAY];

	(void)state;
	server_open(&server, &options, echo);
	conn = must_open(&server, "127.0.0.1");
	stream = peer_connect(sc_listener_port(server.listener));
	turn_until(&server, server.accepted == 1);
	for (int i = 0; i < UNDER_WAY; i++) {
		fds[i] = plain_open(AF_INET, port_of(conn));
		assert_int_equal(send(fds[i], &byte, 1, 0), 1);
	}
	for (int i = 0; i < UNDER_WAY; i++) {
		turn_until(&server, ready(fds[i]));
		assert_int_equal(recv(fds[i], got, 2, 0), 1);
		close(fds[i]);
	}
	close(stream);
	sc_close_session(server.session);
}

/* Every client gets its answer, from whichever session the kernel gives it to; asking again, as a socket closed just now may lose it. */
static void answer_all(struct server *servers, int cnt, uint16_t port)
{
	char byte = 'x', got[2];

	for (int i = 0; i < UNDER_WAY; i++) {
		time_t end = time(NULL) + PATIENCE_S;
		int fd = plain_open(AF_INET, port);

		for (unsigned int turns = 0; !ready(fd); turns++) {
			if (turns % 100 == 0)
				assert_int_equal(send(fd, &byte, 1, 0), 1);
			for (int s = 0; s < cnt; s++)
				(void)turn(&servers[s], 1);
			assert_true(time(NULL) < end);
		}
		assert_int_equal(recv(fd, got, 2, 0), 1);
		close(fd);
	}
}

/* Sessions opened together have a socket each on one port; one that goes leaves all to the other. */
static void test_sessions_share_a_port(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	static struct server servers[2];
	struct sc_session *sessions[2];
	struct sc_conn *conns[2];
	uint16_t port = 0;

	(void)state;
	options.engine = server_engine();
	options.socket_path = server_service();
	if (sc_open_threads(&options, 2, sessions))
		fail_msg("%s", sc_reason());
	for (int i = 0; i < 2; i++) {
		servers[i] = (struct server){ .session = sessions[i], .handle = echo };
		if (sc_udp_open(sessions[i], "127.0.0.1", port, &conns[i]))
			fail_msg("%s", sc_reason());
		port = port_of(conns[i]);
	}
	answer_all(servers, 2, port);
	sc_close(conns[0], 0);
	turn_until(&servers[0], servers[0].closed == 1);
	answer_all(&servers[1], 1, port);
	sc_close_session(sessions[0]);
	answer_all(&servers[1], 1, port);
	sc_close_session(sessions[1]);
}

static void test_refusals(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sockaddr_in6 addr;
	socklen_t len = loopback(&addr, AF_INET, 9);
	struct sc_conn *conn, *other;
	struct server server;
	int outside = 0;
	char *mem;

	(void)state;
	server_open(&server, &options, ignore);
	conn = must_open(&server, "127.0.0.1");
	mem = sc_alloc(server.session, 64);
	assert_int_equal(sc_udp_open(server.session, "127.0.0.1", port_of(conn), &other), -EADDRINUSE);
	assert_non_null(strstr(sc_reason(), "ss -ltunp"));
	assert_int_equal(sc_udp_open(server.session, "unix:/tmp/x", 0, &other), -EAFNOSUPPORT);
	assert_int_equal(sc_udp_open(server.session, "nohost", 0, &other), -EINVAL);
	assert_int_equal(sc_send(conn, mem, 1, 0), -EDESTADDRREQ);
	assert_int_equal(sc_sendto(conn, mem, 1, NULL, 0, 0), -EDESTADDRREQ);
	assert_int_equal(sc_sendto(conn, mem, 1, (struct sockaddr *)&addr, 200, 0), -EDESTADDRREQ);
	assert_int_equal(sc_sendto(conn, &outside, 4, (struct sockaddr *)&addr, len, 0), -EFAULT);
	assert_int_equal(sc_shutdown(conn), -ENOTCONN);
	assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS), -EPROTOTYPE);
	addr.sin6_family = AF_INET6; /* another family than the socket's */
	assert_int_equal(sc_sendto(conn, mem, 1, (struct sockaddr *)&addr, sizeof(addr), 0), 0);
	turn_until(&server, server.sent == 1);
	assert_int_equal(server.last_sent, -EAFNOSUPPORT);
	sc_close_session(server.session);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_echo),	       cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_pieces),	       cmocka_unit_test(test_many_under_way),
		cmocka_unit_test(test_close_now),      cmocka_unit_test(test_drops),
		cmocka_unit_test(test_beside_streams), cmocka_unit_test(test_sessions_share_a_port),
		cmocka_unit_test(test_refusals),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

// SPDX-License-Identifier: MIT
/*
 * libapp when something has run out: buffers, places in the queues, memory, connections, descriptors, a peer's patience. Each has
 * a result that is told, is counted, loses nothing and lets nobody spin.
 */
#include "app_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session.h"

enum { MB = 1 << 20, CROWD = 1100 };

static struct sc_counters counters(const struct server *server)
{
	struct sc_info info = { .size = sizeof(info) };

	assert_int_equal(sc_info(server->session, &info), 0);
	return info.counters;
}

static int64_t cpu_ms(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Nothing can go on: this thread sleeps. */
static void assert_quiet(struct server *server)
{
	int64_t start = cpu_ms();

	for (int i = 0; i < 10; i++)
		(void)turn(server, 20);
	assert_true(cpu_ms() - start < 100);
}

/* A client's socket, connected before the server knows. */
static int client_open(const struct server *server)
{
	int fd = peer_connect(sc_listener_port(server->listener));

	if (fd < 0)
		fail_msg("connect: %s", strerror(-fd));
	return fd;
}

static void client_reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	assert_int_equal(close(fd), 0);
}

/* All that len bytes bring, while the server is served; none is lost. */
static void client_recv_all(struct server *server, int fd, size_t len)
{
	time_t end = time(NULL) + PATIENCE_S;
	static char bytes[65536];

	while (len) {
		ssize_t got = recv(fd, bytes, sizeof(bytes) < len ? sizeof(bytes) : len, MSG_DONTWAIT);

		if (got > 0)
			len -= (size_t)got;
		else if (got < 0 && (errno == EAGAIN || errno == EINTR))
			(void)turn(server, 1);
		else
			fail_msg("%zu bytes never came: %s", len, got ? strerror(errno) : "end of the stream");
		if (time(NULL) > end)
			fail_msg("%zu bytes never came", len);
	}
}

static void finish(struct server *server)
{
	const struct lane *lane = &server->session->lanes[0];

	turn_until(server, server->closed == server->accepted);
	assert_int_equal(lane->bufs_held, 0);
	sc_close_session(server->session);
}

/* --- handlers --- */

static void close_ended(struct sc_event *event)
{
	if (event->type == SC_EVENT_ERROR || (event->type == SC_EVENT_RECV && !event->len))
		sc_close(event->conn, SC_CLOSE_NOW);
}

static struct sc_conn *holders[4096]; /* whose server.held[i] is */

/* Keeps what it receives. */
static void keep(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_ACCEPT)
		server->held_conn = event->conn;
	if (event->type == SC_EVENT_RECV && event->len) {
		holders[server->held_cnt] = event->conn;
		server->held[server->held_cnt++] = event->data;
	}
	close_ended(event);
}

static void release_all(struct server *server)
{
	for (; server->held_cnt; server->held_cnt--)
		sc_release(holders[server->held_cnt - 1], server->held[server->held_cnt - 1]);
}

static void drop(struct server *server, struct sc_event *event)
{
	(void)server;
	if (event->type == SC_EVENT_RECV && event->len)
		sc_release(event->conn, event->data);
	close_ended(event);
}

static void echo(struct server *server, struct sc_event *event)
{
	(void)server;
	if (event->type == SC_EVENT_RECV && event->len)
		assert_int_equal(sc_send(event->conn, event->data, event->len, (uint64_t)(uintptr_t)event->data), 0);
	else if (event->type == SC_EVENT_SENT)
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
	close_ended(event);
}

/* Remembers the last connection accepted; nothing of its own is released. */
static void note(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_ACCEPT)
		server->held_conn = event->conn;
	drop(server, event);
}

/* --- receive buffers --- */

/* One connection's bytes fill all buffers, and the application keeps them: another's wait in its socket, and are all told. */
static void test_no_buffers(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	char bytes[4096] = { 0 };
	struct server server;
	int fds[2];

	(void)state;
	options.bufs = 8;
	options.buf_len = 256;
	options.window = 64 << 10;
	options.arena_len = 4096;
	server_open(&server, &options, keep);
	assert_non_null(sc_alloc(server.session, 4096)); /* nothing to copy to */
	fds[0] = client_open(&server);
	assert_true(peer_send(fds[0], bytes, sizeof(bytes)));
	turn_until(&server, server.held_cnt == options.bufs);
	fds[1] = client_open(&server);
	assert_true(peer_send(fds[1], "hello", 5));
	turn_until(&server, server.accepted == 2 && counters(&server).recv_starved);
	assert_quiet(&server);
	assert_int_equal(server.bytes, 8 * 256);
	release_all(&server);
	server.handle = drop;
	turn_until(&server, server.bytes == sizeof(bytes) + 5);
	close(fds[0]);
	close(fds[1]);
	finish(&server);
}

/* --- the queues --- */

static struct sc_conn *crowd[CROWD];

static void crowd_note(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_ACCEPT)
		crowd[server->accepted - 1] = event->conn;
	drop(server, event);
}

/* Connections of this process's own: two descriptors each in the worst case. */
static void files_raise(void)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 4 * CROWD && limit.rlim_max >= 4 * CROWD)
		limit.rlim_cur = 4 * CROWD;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* More requests between two polls than the queue has places. A poller that is asleep takes none before sc_poll wakes it. */
static void test_queue_full(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	static int fds[CROWD];
	struct server server;
	unsigned int rounds = 0;
	char *mem, byte;

	(void)state;
	files_raise();
	server_open(&server, &options, crowd_note);
	mem = sc_alloc(server.session, 1);
	assert_non_null(mem);
	*mem = 'x';
	for (unsigned int i = 0; i < CROWD; i++) {
		fds[i] = client_open(&server);
		(void)turn(&server, 0);
	}
	turn_until(&server, server.accepted == CROWD);
	for (; !counters(&server).sq_full; rounds++) {
		assert_true(rounds < 100);
		usleep(200000); /* the poller goes to sleep after 100 ms */
		for (unsigned int i = 0; i < CROWD; i++)
			assert_int_equal(sc_send(crowd[i], mem, 1, i), 0);
		turn_until(&server, server.sent == (rounds + 1) * CROWD);
		assert_int_equal(server.last_sent, 1);
	}
	for (unsigned int i = 0; i < CROWD; i++) {
		for (unsigned int round = 0; round < rounds; round++) {
			assert_true(peer_recv(fds[i], &byte, 1));
			assert_int_equal(byte, 'x');
		}
		close(fds[i]);
	}
	finish(&server);
}

/* Requests whose completions nobody hears of, as the direct engine's markers. */
static void flood(struct server *server, unsigned int cnt)
{
	struct lane *lane = &server->session->lanes[0];
	time_t end = time(NULL) + PATIENCE_S;

	while (cnt) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&lane->ring);

		if (sqe) {
			io_uring_prep_nop(sqe);
			io_uring_sqe_set_data64(sqe, ~1ULL);
			cnt--;
		} else {
			assert_int_equal(sc_poll(server->session, NULL, 0),
					 0); /* submits, and looks at no completion */
			assert_true(time(NULL) < end);
		}
	}
	assert_int_equal(sc_poll(server->session, NULL, 0), 0);
}

/* What finds the queue full is all that will complete: whoever sleeps now has it sent and is woken by it all the same. */
static void test_queue_full_before_sleep(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_event events[8];
	struct io_uring_sqe *sqe;
	struct server server;
	struct lane *lane;
	char *mem;
	int fd;

	(void)state;
	options.conns = 8;
	server_open(&server, &options, keep);
	fd = client_open(&server);
	turn_until(&server, server.accepted == 1);
	lane = &server.session->lanes[0];
	mem = sc_alloc(server.session, 1);
	*mem = 'x';
	while ((sqe = sc_lane_sqe(lane))) {
		io_uring_prep_nop(sqe);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		io_uring_sqe_set_data64(sqe, SC_TAG_NOBODY);
	}
	assert_int_equal(sc_send(server.held_conn, mem, 1, 0), 0);
	assert_int_equal(sc_wait(server.session, events, 8, PATIENCE_S * 1000), 1);
	assert_int_equal(events[0].type, SC_EVENT_SENT);
	assert_int_equal(events[0].result, 1);
	client_recv_all(&server, fd, 1);
	close(fd);
	finish(&server);
}

/* More completions than their queue holds: the kernel keeps the rest, receives end and are asked for again. */
static void test_completions_overflow(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	char bytes[600];
	int fd;

	(void)state;
	options.conns = 8;
	options.bufs = 8;
	options.window = 64 << 10;
	server_open(&server, &options, echo);
	fd = client_open(&server);
	assert_true(peer_send(fd, "before", 6));
	turn_until(&server, server.sent == 1);
	for (int round = 0; round < 5; round++) {
		flood(&server, server.session->lanes[0].ring.cq.ring_entries + 100);
		for (int i = 0; i < 10; i++)
			assert_true(peer_send(fd, bytes, 60));
		turn_until(&server, server.bytes == 6 + 600U * (unsigned int)(round + 1));
	}
	turn_until(&server, counters(&server).sent == 6 + 5 * 600);
	assert_true(counters(&server).cq_overflow > 0);
	client_recv_all(&server, fd, 6 + 5 * 600);
	close(fd);
	finish(&server);
}

/* --- memory --- */

/* Nothing left to allocate: what needs none goes on, and what is freed can be had again. */
static void test_arena_full(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	void *mem = NULL, *last = NULL;
	struct server server;
	int fd;

	(void)state;
	options.arena_len = MB;
	server_open(&server, &options, echo);
	for (size_t len = MB; len >= 256; len /= 2)
		while ((mem = sc_alloc(server.session, len)))
			last = mem;
	assert_int_equal(counters(&server).arena_full, 13);
	assert_non_null(strstr(sc_reason(), "arena"));
	fd = client_open(&server);
	assert_true(peer_send(fd, "hello", 5));
	client_recv_all(&server, fd, 5);
	sc_free(server.session, last);
	assert_ptr_equal(sc_alloc(server.session, 1), last);
	close(fd);
	finish(&server);
}

/* One connection asks for as many sends as there may be: the next is refused, those before all arrive, and it may go on. */
static void test_no_sends(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	unsigned int asked = 0;
	struct server server;
	char *mem;
	int fd, err;

	(void)state;
	options.conns = 1;
	server_open(&server, &options, note);
	mem = sc_alloc(server.session, 1);
	*mem = 'x';
	fd = client_open(&server);
	turn_until(&server, server.accepted == 1);
	while (!(err = sc_send(server.held_conn, mem, 1, asked)))
		asked++;
	assert_int_equal(err, -ENOMEM);
	assert_non_null(strstr(sc_reason(), "SC_EVENT_SENT"));
	assert_in_range(asked, 1024, 2048);
	assert_int_equal(counters(&server).sends_full, 1);
	turn_until(&server, server.sent == asked);
	assert_int_equal(sc_send(server.held_conn, mem, 1, 0), 0);
	client_recv_all(&server, fd, asked + 1);
	close(fd);
	finish(&server);
}

/* --- connections --- */

/* Every place is taken: clients wait in the backlog, one gets in for each that leaves. */
static void test_no_places(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int fds[10];

	(void)state;
	options.conns = 4;
	server_open(&server, &options, note);
	for (int i = 0; i < 10; i++)
		fds[i] = client_open(&server);
	turn_until(&server, server.accepted == 4 && counters(&server).conns_full);
	assert_quiet(&server);
	assert_int_equal(server.accepted, 4);
	assert_int_equal(counters(&server).conns_full, 1);
	for (unsigned int i = 0; i < 10; i++) {
		close(fds[i]);
		turn_until(&server, server.closed == i + 1 && server.accepted == (i < 6 ? i + 5 : 10));
	}
	finish(&server);
}

/* Accepting needs a descriptor of this process, where sockets are descriptors on the local engine: it is tried again. */
static void test_no_descriptors(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct rlimit limit, none;
	struct server server;
	int fds[2], next;

	(void)state;
	options.conns = 2; /* not more than one accept at a time */
	server_open(&server, &options, note);
	if (server.session->ops != &sc_engine_local || !server.session->lanes[0].descriptors) {
		sc_close_session(server.session);
		skip();
	}
	fds[0] = client_open(&server);
	turn_until(&server, server.accepted == 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	next = dup(STDIN_FILENO);
	close(next);
	none = (struct rlimit){ .rlim_cur = (rlim_t)next + 1, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	(void)turn(&server, 0); /* the next accept is asked for, within this limit */
	fds[1] = client_open(&server); /* the last descriptor */
	turn_until(&server, counters(&server).accept_failed > 0);
	assert_quiet(&server);
	assert_int_equal(server.accepted, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	turn_until(&server, server.accepted == 2);
	close(fds[0]);
	close(fds[1]);
	finish(&server);
}

/* --- peers --- */

/* A peer that sends and never reads: it is not read from any more, holds a window of buffers, and gets all in the end. */
static void test_never_reads(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	static char bytes[65536];
	struct server server;
	size_t sent = 0;
	int fd;

	(void)state;
	server_open(&server, &options, echo);
	fd = client_open(&server);
	for (int quiet = 0; quiet < 20; quiet++) {
		ssize_t now = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (now > 0) {
			sent += (size_t)now;
			quiet = 0;
		}
		(void)turn(&server, 2);
		assert_true(sent < 256 * (size_t)MB);
	}
	assert_quiet(&server);
	assert_true(counters(&server).recv_paused > 0);
	/* a window, and what was under way when it was full: more where receives have no limit on their bytes */
	assert_in_range(server.session->lanes[0].bufs_held, 1,
			getenv("SIDECORE_DESCRIPTORS") ? server.session->lanes[0].buf_cnt / 2 : 48);
	client_recv_all(&server, fd, sent);
	assert_int_equal(server.bytes, sent);
	close(fd);
	finish(&server);
}

/* A point at which the peer resets: what the server has done by then, and whether it was closing already. */
struct point {
	const char *name;
	unsigned int sends; /* of 4 MiB, more than a socket holds */
	bool before_accept, data, shutdown, closing, close_now, release_late, zerocopy, from_file;
};

static const struct point points[] = {
	{ "before it is accepted", .before_accept = true },
	{ "before it is accepted, with data", .before_accept = true, .data = true },
	{ "after it is accepted", .data = false },
	{ "with data unread", .data = true },
	{ "with data released after the close", .data = true, .release_late = true },
	{ "in the middle of a send", .sends = 1 },
	{ "in the middle of sends", .sends = 3 },
	{ "in the middle of sends without a copy", .sends = 3, .zerocopy = true },
	{ "during a close after sends without a copy", .sends = 2, .zerocopy = true, .closing = true },
	{ "in the middle of a file", .sends = 1, .from_file = true },
	{ "in the middle of files", .sends = 3, .from_file = true },
	{ "during a close after files", .sends = 2, .from_file = true, .closing = true },
	{ "during a close now of files", .sends = 2, .from_file = true, .closing = true, .close_now = true },
	{ "in the middle of both directions", .sends = 2, .data = true },
	{ "after a shutdown", .shutdown = true },
	{ "during a shutdown", .sends = 2, .shutdown = true },
	{ "during a close", .sends = 2, .closing = true },
	{ "during a close now", .sends = 3, .closing = true, .close_now = true },
	{ "during a close after data", .sends = 1, .closing = true, .data = true, .release_late = true },
};

static void sends_ask(struct server *server, const struct point *at, char *mem, struct sc_file *file)
{
	if (at->zerocopy)
		assert_int_equal(sc_conn_set_zerocopy(server->held_conn, SC_ZC_ALWAYS), 0);
	for (unsigned int i = 0; i < at->sends; i++)
		assert_int_equal(at->from_file ? sc_send_file(server->held_conn, file, 0, 4 * MB, i) :
						 sc_send(server->held_conn, mem, 4 * MB, i),
				 0);
}

static void reset_at(struct server *server, const struct point *at, char *mem, struct sc_file *file)
{
	unsigned int accepted = server->accepted, sent = server->sent;
	uint64_t broken = counters(server).broken;
	int fd = client_open(server);

	if (!at->before_accept)
		turn_until(server, server->accepted == accepted + 1);
	if (at->data)
		assert_true(peer_send(fd, mem, 1000));
	sends_ask(server, at, mem, file);
	if (at->shutdown)
		assert_int_equal(sc_shutdown(server->held_conn), 0);
	if (at->data && !at->before_accept)
		turn_until(server, server->held_cnt);
	else
		(void)turn(server, 1);
	if (at->closing)
		sc_close(server->held_conn, at->close_now ? SC_CLOSE_NOW : 0);
	if (!at->release_late)
		release_all(server);
	client_reset(fd);
	turn_until(server, server->accepted == accepted + 1);
	if (at->release_late) {
		(void)turn(server, 1);
		turn_until(server, server->sent == sent + at->sends);
		release_all(server);
	}
	turn_until(server, server->closed == server->accepted);
	release_all(server);
	assert_int_equal(server->sent - sent, at->sends);
	if (at->sends)
		assert_true(server->last_sent < 0);
	assert_int_equal(counters(server).broken - broken, !at->closing);
	assert_int_equal(server->session->lanes[0].bufs_held, 0);
}

/* --- peers that are connected to --- */

static int listener_open(uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(addr);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

static int connect_result;

static void outgoing(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_CONNECT)
		connect_result = event->result;
	if (event->type == SC_EVENT_CONNECT && event->result < 0)
		sc_close(event->conn, 0);
	else
		drop(server, event);
}

/* With two sends asked for at once. The peer refuses, or (listener >= 0) resets. Every send is told of. */
static void connect_and_lose(struct server *server, uint16_t port, int listener, char *mem)
{
	struct sc_connect_options options = SC_CONNECT_OPTIONS_INIT;
	unsigned int closed = server->closed, sent = server->sent;
	uint64_t broken = counters(server).broken;
	struct sc_conn *conn;
	int fd;

	connect_result = 1;
	options.address = "127.0.0.1";
	options.port = port;
	assert_int_equal(sc_connect(server->session, &options, &conn), 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(sc_send(conn, mem, 4 * MB, i), 0);
	if (listener >= 0) {
		turn_until(server, (fd = accept(listener, NULL, NULL)) >= 0);
		turn_until(server, connect_result != 1);
		client_reset(fd);
	}
	turn_until(server, server->closed == closed + 1);
	assert_int_equal(connect_result, listener < 0 ? -ECONNREFUSED : 0);
	assert_int_equal(server->sent, sent + 2);
	assert_true(server->last_sent < 0);
	assert_int_equal(counters(server).broken, broken + 1);
}

static void test_connect_resets(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	uint16_t port;
	int listener;
	char *mem;

	(void)state;
	server_open(&server, &options, outgoing);
	mem = sc_alloc(server.session, 4 * MB);
	assert_non_null(mem);
	listener = listener_open(&port);
	for (int i = 0; i < 10; i++)
		connect_and_lose(&server, port, listener, mem);
	close(listener);
	for (int i = 0; i < 10; i++)
		connect_and_lose(&server, port, -1, mem);
	sc_close_session(server.session);
}

static void test_resets(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct server server;
	struct sc_file *file;
	char *mem;

	(void)state;
	assert_int_equal(ftruncate(fd, 4 * MB), 0);
	server_open(&server, &options, keep);
	mem = sc_alloc(server.session, 4 * MB);
	assert_non_null(mem);
	assert_int_equal(sc_file_open_fd(server.session, fd, &file), 0);
	close(fd);
	for (unsigned int i = 0; i < sizeof(points) / sizeof(*points); i++) {
		print_message("reset %s\n", points[i].name);
		for (int round = 0; round < 10; round++)
			reset_at(&server, &points[i], mem, file);
	}
	assert_int_equal(sc_file_close(file), 0); /* no send of it is left */
	finish(&server);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_no_buffers),
		cmocka_unit_test(test_queue_full),
		cmocka_unit_test(test_queue_full_before_sleep),
		cmocka_unit_test(test_completions_overflow),
		cmocka_unit_test(test_arena_full),
		cmocka_unit_test(test_no_sends),
		cmocka_unit_test(test_no_places),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_never_reads),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_connect_resets),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

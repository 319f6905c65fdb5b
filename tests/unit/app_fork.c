// SPDX-License-Identifier: MIT
/* fork: a child is refused on its parent's session, may have its own, and the parent notices nothing of either. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app_server.h"

enum { EVENTS = 16 };

static void echo(struct server *server, struct sc_event *event)
{
	if (event->type == SC_EVENT_ACCEPT)
		server->held_conn = event->conn;
	else if (event->type == SC_EVENT_RECV && event->len)
		assert_int_equal(sc_send(event->conn, event->data, event->len, (uintptr_t)event->data), 0);
	else if (event->type == SC_EVENT_SENT)
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
	else if (event->type == SC_EVENT_RECV || event->type == SC_EVENT_ERROR)
		sc_close(event->conn, 0);
}

/* What the peer sends comes back, while the server is driven. */
static void echo_once(struct server *server, int fd)
{
	char text[6] = { 0 };

	assert_true(peer_send(fd, "hello", 6));
	turn_until(server, recv(fd, text, sizeof(text), MSG_DONTWAIT) == 6);
	assert_string_equal(text, "hello");
}

/* Nobody listens there any more, at the latest in a moment: see sc_close_session. */
static void must_refuse(uint16_t port)
{
	int fd = 0;

	for (int i = 0; i < 1000 && fd != -ECONNREFUSED; i++) {
		fd = peer_connect(port);
		if (fd < 0)
			continue;
		close(fd);
		usleep(5000);
	}
	assert_int_equal(fd, -ECONNREFUSED);
}

/* Every call on the parent's session; 0 or the line that failed. */
static int refused(struct server *server, char *mem, struct sc_segment *registered)
{
	struct sc_info info = { .size = sizeof(info) };
	struct sc_connect_options connect = SC_CONNECT_OPTIONS_INIT;
	struct sc_event events[EVENTS];
	struct sc_listener *listener;
	struct sc_segment *segment;
	struct sc_conn *conn;
	struct sc_job *job;
	int value = 0;
	socklen_t len = sizeof(value);

	PEER_CHECK(sc_poll(server->session, events, EVENTS) == -ESTALE);
	PEER_CHECK(strstr(sc_reason(), "open an own session"));
	PEER_CHECK(sc_wait(server->session, events, EVENTS, -1) == -ESTALE);
	PEER_CHECK(sc_arm(server->session) == -ESTALE);
	PEER_CHECK(sc_fd(server->session) == -ESTALE);
	PEER_CHECK(sc_info(server->session, &info) == -ESTALE);
	PEER_CHECK(sc_listen(server->session, "127.0.0.1", 0, 0, &listener) == -ESTALE);
	PEER_CHECK(sc_listener_set_limit(server->listener, 5) == -ESTALE);
	PEER_CHECK(!sc_alloc(server->session, 100));
	PEER_CHECK(sc_register_mem(server->session, 4096, &segment) == -ESTALE);
	PEER_CHECK(sc_deregister_mem(registered) == -ESTALE);
	PEER_CHECK(sc_send(server->held_conn, mem, 1, 0) == -ESTALE);
	PEER_CHECK(sc_shutdown(server->held_conn) == -ESTALE);
	PEER_CHECK(sc_conn_set_priority(server->held_conn, SC_PRIORITY_HIGH) == -ESTALE);
	PEER_CHECK(sc_conn_set_zerocopy(server->held_conn, SC_ZC_NEVER) == -ESTALE);
	PEER_CHECK(sc_async_recv(server->held_conn, mem, 1, 0, &job) == -ESTALE);
	PEER_CHECK(sc_async_send(server->held_conn, mem, 1, &job) == -ESTALE);
	PEER_CHECK(sc_async_sendv(server->held_conn, NULL, 0, &job) == -ESTALE);
	PEER_CHECK(sc_sync_recv(server->held_conn, mem, 1, 0, -1) == -ESTALE);
	PEER_CHECK(sc_sync_accept(server->listener, -1, &conn) == -ESTALE);
	PEER_CHECK(sc_getsockopt(server->held_conn, SOL_SOCKET, SO_TYPE, &value, &len) == -ESTALE);
	connect.address = "127.0.0.1";
	connect.port = 9;
	PEER_CHECK(sc_connect(server->session, &connect, &conn) == -ESTALE);
	sc_close(server->held_conn, SC_CLOSE_NOW);
	sc_listener_close(server->listener);
	sc_free(server->session, mem);
	return 0;
}

/* In the child: a session of its own, which serves one connection of its own. */
static int serves_itself(void)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_event events[EVENTS];
	struct sc_listener *listener;
	struct sc_session *session;
	char byte = 0;
	int fd, cnt;

	options.engine = server_engine();
	options.socket_path = server_service();
	PEER_CHECK(!sc_open(&options, &session));
	PEER_CHECK(!sc_listen(session, "127.0.0.1", 0, 0, &listener));
	fd = peer_connect(sc_listener_port(listener));
	PEER_CHECK(fd >= 0 && peer_send(fd, "x", 1));
	while (recv(fd, &byte, 1, MSG_DONTWAIT) != 1) {
		cnt = sc_wait(session, events, EVENTS, 1000);
		PEER_CHECK(cnt >= 0 || cnt == -EINTR);
		for (int i = 0; i < cnt; i++)
			if (events[i].type == SC_EVENT_RECV && events[i].len)
				PEER_CHECK(!sc_send(events[i].conn, events[i].data, events[i].len, 0));
	}
	PEER_CHECK(byte == 'x');
	sc_close_session(session);
	return 0;
}

/* As the child's exit code: the line that failed. */
static int child(struct server *server, char *mem, struct sc_segment *segment)
{
	int line = refused(server, mem, segment);

	if (line)
		return line;
	sc_close_session(server->session);
	return serves_itself();
}

static void child_must_succeed(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("child: status 0x%x", status);
}

static void test_fork(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int fd, fresh;
	uint16_t port;
	pid_t pid;
	struct sc_segment *segment;
	char *mem;

	(void)state;
	server_open(&server, &options, echo);
	assert_int_equal(sc_register_mem(server.session, 4096, &segment), 0);
	port = sc_listener_port(server.listener);
	fd = peer_connect(port);
	echo_once(&server, fd);
	mem = sc_alloc(server.session, 100);
	assert_true(peer_send(fd, "before", 6)); /* lies in the queue, or comes there, while there are two of us */
	pid = fork();
	if (!pid)
		_exit(child(&server, mem, segment) & 0xff);
	child_must_succeed(pid);
	turn_until(&server, server.sent == 2);
	assert_true(peer_recv(fd, (char[6]){ 0 }, 6));
	echo_once(&server, fd);
	fresh = peer_connect(port);
	echo_once(&server, fresh);
	memset(sc_segment_mem(segment), 1, 4096); /* what the child gave up is here still */
	assert_int_equal(sc_deregister_mem(segment), 0);
	sc_free(server.session, mem);
	close(fd);
	close(fresh);
	turn_until(&server, server.closed == 2);
	sc_close_session(server.session);
	must_refuse(port);
}

/* The parent gives all back though a child has copies of everything. */
static void test_parent_closes_first(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct server server;
	int fd, ready[2];
	uint16_t port;
	pid_t pid;

	(void)state;
	server_open(&server, &options, echo);
	port = sc_listener_port(server.listener);
	fd = peer_connect(port);
	echo_once(&server, fd);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		close(ready[1]);
		(void)!read(ready[0], ready, 1); /* until the parent has closed the session */
		sc_close_session(server.session);
		_exit(0);
	}
	sc_close_session(server.session);
	if (!getenv("SIDECORE_DESCRIPTORS")) /* of a descriptor the child has a copy */
		assert_true(peer_ends(fd, 0));
	close(ready[1]);
	child_must_succeed(pid);
	assert_true(peer_ends(fd, 0));
	must_refuse(port);
	close(ready[0]);
	close(fd);
}

/* Of sessions opened together, each is stale. */
static void test_fork_with_threads(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_session *sessions[3];
	struct sc_event events[EVENTS];
	pid_t pid;

	(void)state;
	options.engine = server_engine();
	options.socket_path = server_service();
	options.conns = 64;
	assert_int_equal(sc_open_threads(&options, 3, sessions), 0);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 3; i++) {
			if (sc_poll(sessions[i], events, EVENTS) != -ESTALE)
				_exit(1);
			sc_close_session(sessions[i]);
		}
		_exit(serves_itself() & 0xff);
	}
	child_must_succeed(pid);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sc_poll(sessions[i], events, EVENTS), 0);
		sc_close_session(sessions[i]);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_parent_closes_first),
		cmocka_unit_test(test_fork_with_threads),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

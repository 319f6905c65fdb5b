// SPDX-License-Identifier: MIT
/* Sessions opened together: a thread each, one port, one memory, and an end of their own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app_server.h"

enum { THREADS = 4, EVENTS = 64, CLIENTS = 64 };

/* A thread that sends back what its session receives. Fields after the line are its own until it has ended. */
struct worker {
	struct sc_session *session;
	const char *greeting; /* lies in another session's memory, is sent on accept */
	uint16_t port; /* where to listen; 0: has been done */
	bool stop; /* atomic */
	bool listens; /* atomic */
	pthread_t thread;
	/* -- */
	unsigned int accepted, closed;
	int failed; /* line */
};

#define WORKER_CHECK(worker, expr)                   \
	do {                                         \
		if (!(expr) && !(worker)->failed)    \
			(worker)->failed = __LINE__; \
	} while (0)

static void worker_handle(struct worker *worker, struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_ACCEPT:
		worker->accepted++;
		if (worker->greeting)
			WORKER_CHECK(worker, !sc_send(event->conn, worker->greeting, strlen(worker->greeting), 0));
		break;
	case SC_EVENT_RECV:
		if (!event->len)
			sc_close(event->conn, 0);
		else
			WORKER_CHECK(worker, !sc_send(event->conn, event->data, event->len, (uintptr_t)event->data));
		break;
	case SC_EVENT_SENT:
		if (event->tag)
			sc_release(event->conn, (void *)(uintptr_t)event->tag);
		break;
	case SC_EVENT_ERROR:
		sc_close(event->conn, SC_CLOSE_NOW);
		break;
	case SC_EVENT_CLOSED:
		worker->closed++;
		break;
	default:
		WORKER_CHECK(worker, false);
	}
}

static void worker_turn(struct worker *worker, int timeout_ms)
{
	struct sc_event events[EVENTS];
	int cnt = sc_wait(worker->session, events, EVENTS, timeout_ms);

	WORKER_CHECK(worker, cnt >= 0 || cnt == -EINTR);
	for (int i = 0; i < cnt; i++)
		worker_handle(worker, &events[i]);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct sc_listener *listener;

	if (worker->port)
		WORKER_CHECK(worker, !sc_listen(worker->session, "127.0.0.1", worker->port, 0, &listener));
	__atomic_store_n(&worker->listens, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&worker->stop, __ATOMIC_ACQUIRE) || worker->closed != worker->accepted)
		worker_turn(worker, 10);
	return NULL;
}

static void worker_start(struct worker *worker)
{
	assert_int_equal(pthread_create(&worker->thread, NULL, worker_main, worker), 0);
}

static void worker_stop(struct worker *worker)
{
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(worker->thread, NULL), 0);
	if (worker->failed)
		fail_msg("line %d", worker->failed);
}

static void open_threads(struct sc_session **sessions, unsigned int cnt)
{
	struct sc_options options = SC_OPTIONS_INIT;

	options.engine = server_engine();
	options.socket_path = server_service();
	options.conns = 200;
	options.arena_len = 1 << 20;
	if (sc_open_threads(&options, cnt, sessions))
		fail_msg("%s", sc_reason());
}

static int echo_once(uint16_t port, int *ret_fd)
{
	char text[6];
	int fd = peer_connect(port);

	PEER_CHECK(fd >= 0);
	PEER_CHECK(peer_send(fd, "hello", 6) && peer_recv(fd, text, 6) && !strcmp(text, "hello"));
	*ret_fd = fd;
	return 0;
}

/* --- scenarios --- */

/* Opened by one thread, used by others: one listens before they run, the others by themselves. */
static void test_threads_share_a_port(void **state)
{
	struct sc_session *sessions[THREADS];
	struct worker workers[THREADS] = { 0 };
	struct sc_info info = { .size = sizeof(info) };
	unsigned int accepted = 0, most = 0;
	struct sc_listener *listener;
	int fds[CLIENTS];

	(void)state;
	open_threads(sessions, THREADS);
	assert_int_equal(sc_listen(sessions[0], "127.0.0.1", 0, 0, &listener), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(sc_info(sessions[i], &info), 0);
		assert_int_equal(info.lanes, 1);
		workers[i].session = sessions[i];
		workers[i].port = i ? sc_listener_port(listener) : 0;
		worker_start(&workers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		while (!__atomic_load_n(&workers[i].listens, __ATOMIC_ACQUIRE))
			usleep(100);
	for (int i = 0; i < CLIENTS; i++) {
		assert_int_equal(echo_once(sc_listener_port(listener), &fds[i]), 0);
	}
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	for (int i = 0; i < THREADS; i++) {
		worker_stop(&workers[i]);
		accepted += workers[i].accepted;
		most = workers[i].accepted > most ? workers[i].accepted : most;
	}
	assert_true(accepted >= CLIENTS);
	assert_true(most < accepted); /* by the hash of the ports no thread gets all */
	for (int i = 0; i < THREADS; i++)
		sc_close_session(sessions[i]);
}

/* What one session has allocated, and another has received, is sent by a third. */
static void test_memory_is_common(void **state)
{
	struct worker workers[2] = { 0 };
	struct sc_session *sessions[2];
	struct sc_listener *listener;
	char text[16] = { 0 };
	char *greeting;
	int fd;

	(void)state;
	open_threads(sessions, 2);
	greeting = sc_alloc(sessions[1], 6);
	assert_non_null(greeting);
	strcpy(greeting, "thread");
	workers[0].greeting = greeting;
	assert_int_equal(sc_listen(sessions[0], "127.0.0.1", 0, 0, &listener), 0);
	for (int i = 0; i < 2; i++) {
		workers[i].session = sessions[i];
		worker_start(&workers[i]);
	}
	fd = peer_connect(sc_listener_port(listener));
	assert_true(fd >= 0);
	assert_true(peer_recv(fd, text, 6));
	assert_string_equal(text, "thread");
	close(fd);
	for (int i = 0; i < 2; i++)
		worker_stop(&workers[i]);
	sc_free(sessions[1], greeting);
	for (int i = 0; i < 2; i++)
		sc_close_session(sessions[i]);
}

/* The end of one session is the end of its connections and listeners, and of nobody else's. */
static void test_one_leaves(void **state)
{
	struct worker workers[2] = { 0 };
	struct sc_listener *listeners[2];
	struct sc_session *sessions[2];
	int fds[2];
	uint16_t late;
	char byte;

	(void)state;
	open_threads(sessions, 2);
	for (int i = 0; i < 2; i++) {
		workers[i].session = sessions[i];
		assert_int_equal(sc_listen(sessions[i], "127.0.0.1", 0, 0, &listeners[i]), 0);
		fds[i] = peer_connect(sc_listener_port(listeners[i]));
		assert_true(fds[i] >= 0);
		while (!workers[i].accepted)
			worker_turn(&workers[i], 20);
	}
	late = sc_listener_port(listeners[0]);
	sc_close_session(sessions[0]);
	assert_true(peer_ends(fds[0], 0));
	assert_int_equal(peer_connect(late), -ECONNREFUSED);
	assert_true(peer_send(fds[1], "x", 1));
	while (recv(fds[1], &byte, 1, MSG_DONTWAIT) != 1)
		worker_turn(&workers[1], 20);
	assert_int_equal(workers[1].failed, 0);
	sc_close_session(sessions[1]);
	assert_true(peer_ends(fds[1], 0));
	close(fds[0]);
	close(fds[1]);
}

static void test_thread_refusals(void **state)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_session *sessions[17];

	(void)state;
	options.engine = server_engine();
	options.socket_path = server_service();
	assert_int_equal(sc_open_threads(&options, 0, sessions), -EINVAL);
	assert_int_equal(sc_open_threads(&options, 17, sessions), -EINVAL);
	assert_non_null(strstr(sc_reason(), "open several times"));
	options.lanes = 2;
	assert_int_equal(sc_open_threads(&options, 2, sessions), -EINVAL);
	options.lanes = 0;
	options.arena_len = 512U << 20;
	assert_int_equal(sc_open_threads(&options, 2, sessions), -EINVAL);
	assert_non_null(strstr(sc_reason(), "arena_len"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_threads_share_a_port),
		cmocka_unit_test(test_memory_is_common),
		cmocka_unit_test(test_one_leaves),
		cmocka_unit_test(test_thread_refusals),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

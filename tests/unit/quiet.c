// SPDX-License-Identifier: MIT
/*
 * On the direct engine no call that sends, receives or waits makes a system call, as long as the poller is awake and the application
 * spins. A thread warms up and then has the kernel tell another of each system call that it makes.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cmocka.h>

#include <sidecore/app.h>

#include "app_peer.h"
#include "app_service.h"

enum { LEN = 512, WARM_ROUNDS = 100, ROUNDS = 500, WAIT_MS = 20000, IDLE_MS = 10000, SPIN_US = 1000000 };
/*
 * When nothing has completed for that long, libapp looks whether the service is there: CHECK_MS in libapp/direct.c. Who waits longer
 * waits for a processor that others use, and may fall asleep as well; what a call does then does not count.
 */
enum { QUIET_MS = 10 };

struct app {
	enum sc_engine engine;
	uint16_t port; /* of the peer */
	bool (*round)(struct app *app);
	int told; /* atomic: of system calls by this descriptor; 0: not yet */
	int64_t begun_ms; /* atomic: the round before the one that counts: each session had completions since; 0: none counts */
	unsigned int rounds; /* atomic */
	unsigned int quick; /* of them: those that count */
	const char *failure;

	struct sc_session *session, *other; /* of one group */
	struct sc_conn *conn, *socket; /* a stream, and datagrams */
	struct sockaddr_in peer; /* where those go */
	char *mem, bytes[LEN];
};

/* --- one round each: LEN bytes to the peer, and back; true if they came --- */

static bool sync_calls(struct app *app)
{
	return !sc_sync_send(app->conn, app->mem, LEN, WAIT_MS) &&
	       sc_sync_recv(app->conn, app->bytes, LEN, SC_RECV_ALL, WAIT_MS) == LEN;
}

static bool jobs_waited_for(struct app *app)
{
	struct sc_job *sent, *received;
	ssize_t out, in;

	return !sc_async_recv(app->conn, app->bytes, LEN, SC_RECV_ALL, &received) &&
	       !sc_async_send(app->conn, app->mem, LEN, &sent) && sc_job_wait(sent, WAIT_MS, &out) == 1 &&
	       sc_job_wait(received, WAIT_MS, &in) == 1 && out == LEN && in == LEN;
}

static bool jobs_asked_after(struct app *app)
{
	struct sc_job *sent, *received;
	ssize_t out, in;
	int ret;

	if (sc_async_recv(app->conn, app->bytes, LEN, SC_RECV_ALL, &received) ||
	    sc_async_send(app->conn, app->mem, LEN, &sent))
		return false;
	while (!(ret = sc_job_done(sent, &out)))
		;
	if (ret < 0)
		return false;
	while (!(ret = sc_job_done(received, &in)))
		;
	return ret == 1 && out == LEN && in == LEN;
}

/* A receive that is taken back, too. */
static bool jobs_cancelled(struct app *app)
{
	struct sc_job *early;
	ssize_t none;

	if (sc_async_recv(app->conn, app->bytes, LEN, 0, &early))
		return false;
	sc_job_cancel(early);
	return sc_job_done(early, &none) == 1 && none == -ECANCELED && jobs_waited_for(app);
}

static bool datagrams(struct app *app)
{
	struct sc_event events[8];
	bool came = false, went = false;

	if (sc_sendto(app->socket, app->mem, LEN, (struct sockaddr *)&app->peer, sizeof(app->peer), 0))
		return false;
	while (!came || !went) {
		int cnt = sc_wait(app->session, events, 8, WAIT_MS);

		if (cnt <= 0)
			return false;
		for (int i = 0; i < cnt; i++) {
			went |= events[i].type == SC_EVENT_SENT;
			if (events[i].type != SC_EVENT_RECV)
				continue;
			came = true;
			sc_release(events[i].conn, events[i].data);
		}
	}
	return true;
}

/* From one session of the group to another. */
static bool given(struct app *app)
{
	struct sc_session *to = app->other;
	struct sc_conn *taken = NULL;
	struct sc_event event;
	bool gone = false;

	if (sc_conn_give(app->conn, to))
		return false;
	while (!gone || !taken) {
		if (sc_poll(app->session, &event, 1) == 1)
			gone |= event.type == SC_EVENT_GIVEN && !event.result;
		if (sc_poll(to, &event, 1) == 1 && event.type == SC_EVENT_TAKEN)
			taken = event.conn;
	}
	app->other = app->session;
	app->session = to;
	app->conn = taken;
	return sync_calls(app);
}

/* --- the application --- */

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Each system call of this thread waits from now on until another lets it go. */
static int tell_of_calls(void)
{
	struct sock_filter always = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	struct sock_fprog program = { .len = 1, .filter = &always };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static const char *app_open(struct app *app)
{
	struct sc_connect_options to = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_session *sessions[2];
	struct sc_event event;

	options.engine = app->engine;
	options.socket_path = service_path();
	options.spin_us = SPIN_US;
	options.arena_len = 1 << 20;
	if (sc_open_threads(&options, 2, sessions))
		return sc_reason();
	app->session = sessions[0];
	app->other = sessions[1];
	to.address = "127.0.0.1";
	to.port = app->port;
	app->mem = sc_alloc(app->session, LEN);
	memset(app->mem, 'q', LEN);
	app->peer = (struct sockaddr_in){ .sin_family = AF_INET,
					  .sin_port = htons(app->port),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (sc_sync_connect(app->session, &to, &app->conn) || sc_udp_open(app->session, to.address, 0, &app->socket) ||
	    sc_poll(app->other, &event, 1))
		return sc_reason();
	return NULL;
}

static void *app_main(void *arg)
{
	struct app *app = arg;
	int64_t begun_ms = now_ms();

	app->failure = app_open(app);
	for (int i = 0; i < WARM_ROUNDS && !app->failure; i++)
		app->failure = app->round(app) ? NULL : "a round failed before those that count";
	__atomic_store_n(&app->begun_ms, begun_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&app->told, app->failure ? -1 : tell_of_calls(), __ATOMIC_RELEASE);
	while (app->rounds < ROUNDS && app->told >= 0 && app->round(app)) {
		__atomic_store_n(&app->rounds, app->rounds + 1, __ATOMIC_RELAXED);
		app->quick += now_ms() - app->begun_ms < QUIET_MS;
		__atomic_store_n(&app->begun_ms, begun_ms, __ATOMIC_RELAXED);
		begun_ms = now_ms();
	}
	__atomic_store_n(&app->begun_ms, 0, __ATOMIC_RELEASE);
	if (app->session) {
		sc_close_session(app->session);
		sc_close_session(app->other);
	}
	return NULL;
}

/* --- who is told --- */

/* The first system call that belongs to a round, or -1. Ends with the thread. */
static int calls_watch(struct app *app, unsigned int *ret_round)
{
	struct pollfd pollfd = { .fd = app->told, .events = POLLIN };
	int first = -1;

	while (poll(&pollfd, 1, -1) == 1 && pollfd.revents & POLLIN) {
		struct seccomp_notif_resp go = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
		struct seccomp_notif call = { 0 };
		int64_t begun_ms;

		if (ioctl(app->told, SECCOMP_IOCTL_NOTIF_RECV, &call))
			continue;
		begun_ms = __atomic_load_n(&app->begun_ms, __ATOMIC_ACQUIRE);
		if (first < 0 && begun_ms && now_ms() - begun_ms < QUIET_MS) {
			first = call.data.nr;
			*ret_round = __atomic_load_n(&app->rounds, __ATOMIC_RELAXED);
		}
		go.id = call.id;
		(void)ioctl(app->told, SECCOMP_IOCTL_NOTIF_SEND, &go);
	}
	return first;
}

/* --- the far end: what comes goes back --- */

static int listen_both(int *ret_socket, uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	*ret_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*ret_socket, (struct sockaddr *)&addr, len), 0);
	*ret_port = ntohs(addr.sin_port);
	return listener;
}

static int echo_stream(struct peer *peer)
{
	int fd = accept4(*(int *)peer->arg, NULL, NULL, SOCK_CLOEXEC);
	char bytes[LEN];
	ssize_t got;

	PEER_CHECK(fd >= 0);
	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		PEER_CHECK(peer_send(fd, bytes, (size_t)got));
	(void)close(fd);
	return 0;
}

static int echo_datagrams(struct peer *peer)
{
	int fd = *(int *)peer->arg;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char bytes[LEN];
	ssize_t got;

	while ((got = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len)) > 0)
		(void)sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, len);
	return 0;
}

/* --- scenarios --- */

static const struct way {
	const char *calls;
	bool (*round)(struct app *app);
} ways[] = {
	{ "sc_sync_send, sc_sync_recv", sync_calls },
	{ "sc_async_send, sc_async_recv, sc_job_wait", jobs_waited_for },
	{ "sc_job_done", jobs_asked_after },
	{ "sc_job_cancel", jobs_cancelled },
	{ "sc_sendto, sc_release, sc_wait", datagrams },
	{ "sc_conn_give, sc_poll", given },
};
enum { WAYS = sizeof(ways) / sizeof(*ways) };

/* The first system call in the quick of ROUNDS rounds, or -1. */
static int play(enum sc_engine engine, bool (*round)(struct app *), unsigned int *ret_round)
{
	struct app app = { .engine = engine, .round = round };
	struct peer stream, socket;
	int listener, socket_fd, call;
	pthread_t thread;

	listener = listen_both(&socket_fd, &app.port);
	peer_start(&stream, 0, echo_stream, &listener);
	peer_start(&socket, 0, echo_datagrams, &socket_fd);
	assert_int_equal(pthread_create(&thread, NULL, app_main, &app), 0);
	while (!__atomic_load_n(&app.told, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (app.told < 0)
		fail_msg("%s", app.failure ? app.failure : "seccomp tells nothing");
	call = calls_watch(&app, ret_round);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(shutdown(socket_fd, SHUT_RD) &&
		    errno == ENOTCONN); /* which ends the peer's recvfrom all the same */
	assert_int_equal(peer_join(&stream), 0);
	assert_int_equal(peer_join(&socket), 0);
	(void)close(app.told);
	(void)close(listener);
	(void)close(socket_fd);
	assert_int_equal(app.rounds, ROUNDS);
	print_message("# %u of %d rounds were quick enough to count\n", app.quick, ROUNDS);
	if (!app.quick)
		skip();
	return call;
}

static void test_none(void **state)
{
	const struct way *way = *state;
	unsigned int round;
	int call = play(SC_ENGINE_DIRECT, way->round, &round);

	if (call >= 0)
		fail_msg("system call %d in round %u", call, round);
}

/* So that one that is made would be seen. */
static void test_local_is_seen_to(void **state)
{
	unsigned int round;

	(void)state;
	assert_int_equal(play(SC_ENGINE_LOCAL, sync_calls, &round), SYS_io_uring_enter);
}

static int setup(void **state)
{
	(void)state;
	return service_start_idle(IDLE_MS);
}

static int teardown(void **state)
{
	(void)state;
	service_stop();
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[WAYS + 1] = { [WAYS] = cmocka_unit_test(test_local_is_seen_to) };

	for (int i = 0; i < WAYS; i++)
		tests[i] = (struct CMUnitTest){ .name = ways[i].calls,
						.test_func = test_none,
						.initial_state = (void *)(uintptr_t)&ways[i] };
	return cmocka_run_group_tests_name("no system call", tests, setup, teardown);
}

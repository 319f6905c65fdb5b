// SPDX-License-Identifier: MIT
/* A server on libapp as the scenarios drive it, on every engine: local, direct with a ringsvc of its own, both with descriptors. */
#include "app_server.h"

#include <errno.h>
#include <stdlib.h>

#include "app_service.h"

enum { EVENTS = 64 };

static enum sc_engine engine_under_test;

void server_options(struct sc_options *options)
{
	options->engine = engine_under_test;
	options->socket_path = service_path();
	options->lanes = 1;
}

void server_open(struct server *server, struct sc_options *options, void (*handle)(struct server *, struct sc_event *))
{
	server_options(options);
	*server = (struct server){ .handle = handle };
	if (sc_open(options, &server->session))
		fail_msg("%s", sc_reason());
	if (sc_listen(server->session, "127.0.0.1", 0, 0, &server->listener))
		fail_msg("%s", sc_reason());
}

enum sc_engine server_engine(void)
{
	return engine_under_test;
}

const char *server_service(void)
{
	return service_path();
}

static void count(struct server *server, const struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_ACCEPT:
		server->accepted++;
		break;
	case SC_EVENT_RECV:
		server->bytes += event->len;
		server->ends += !event->len;
		break;
	case SC_EVENT_SENT:
		server->sent++;
		server->last_sent = event->result;
		break;
	case SC_EVENT_ERROR:
		server->errors++;
		server->last_error = event->result;
		break;
	case SC_EVENT_CLOSED:
		server->closed++;
		break;
	case SC_EVENT_GIVEN:
	case SC_EVENT_TAKEN:
		break;
	case SC_EVENT_LOST:
		fail_msg("engine lost: %d", event->result);
		break;
	case SC_EVENT_CONNECT:
		server->connected += !event->result;
		server->connect_result = event->result;
		break;
	}
}

int turn(struct server *server, int timeout_ms)
{
	struct sc_event events[EVENTS];
	int cnt = sc_wait(server->session, events, EVENTS, timeout_ms);

	assert_true(cnt >= 0 || cnt == -EINTR); /* the kernel may still be ending the ring of the test before */
	for (int i = 0; i < cnt; i++) {
		count(server, &events[i]);
		server->handle(server, &events[i]);
	}
	return cnt;
}

void serve(struct server *server, int (*run)(struct peer *), void *arg)
{
	struct peer peer;

	peer_start(&peer, sc_listener_port(server->listener), run, arg);
	turn_until(server, peer_done(&peer));
	assert_int_equal(peer_join(&peer), 0);
	turn_until(server, server->closed == server->accepted);
	sc_close_session(server->session);
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
	return service_start();
}

static int teardown_direct(void **state)
{
	(void)state;
	service_stop();
	return 0;
}

/* As on kernels before 6.13: sockets are descriptors, not slots. */
static int setup_local_descriptors(void **state)
{
	return setenv("SIDECORE_DESCRIPTORS", "1", 1) ? -1 : setup_local(state);
}

static int setup_direct_descriptors(void **state)
{
	return setenv("SIDECORE_DESCRIPTORS", "1", 1) ? -1 : setup_direct(state);
}

/* Whether this kernel leaves no choice: where sockets are descriptors, segments are not registered. */
static bool has_slots(void)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_info info = { .size = sizeof(info) };
	struct sc_segment *segment;
	struct sc_session *session;

	options.engine = SC_ENGINE_LOCAL;
	if (sc_open(&options, &session))
		return true; /* the scenarios will tell why */
	if (sc_register_mem(session, 4096, &segment) || sc_info(session, &info))
		info.segments_registered = 1;
	sc_close_session(session);
	return info.segments_registered;
}

int server_run(const struct CMUnitTest *scenarios, size_t cnt, const char *filter)
{
	int failed = 0;

	if (filter)
		cmocka_set_test_filter(filter);
	if (has_slots()) {
		failed = _cmocka_run_group_tests("local", scenarios, cnt, setup_local, NULL);
		failed += _cmocka_run_group_tests("direct", scenarios, cnt, setup_direct, teardown_direct);
	}
	failed += _cmocka_run_group_tests("local, descriptors", scenarios, cnt, setup_local_descriptors, NULL);
	return failed + _cmocka_run_group_tests("direct, descriptors", scenarios, cnt, setup_direct_descriptors,
						teardown_direct);
}

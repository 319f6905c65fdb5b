// SPDX-License-Identifier: MIT
/* Sends each datagram back where it came from, from the very buffer it was received into. */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

#include "engine.h"
#include "options.h"
#include "signals.h"
#include "usage.h"

enum { EVENTS_MAX = 128 };

struct options {
	struct sc_listen_options listen;
	struct sc_options engine;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &options->listen;
	state->child_inputs[1] = &options->engine;
	return 0;
}

static const struct argp_child children[] = { { .argp = &sc_listen_argp }, { .argp = &sc_engine_argp }, { 0 } };
static const struct argp argp = {
	.parser = parse,
	.children = children,
	.doc = "Sends UDP datagrams back where they came from, through libapp. What is longer than a receive buffer is not sent back.",
};

static uint64_t echoed;

/*
 * The buffer is given back when its datagram has been sent. If as many are under way as may be, this one is dropped: UDP promises no
 * more, and who sends faster than answers go out is told so by the loss.
 */
static void handle(const struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_RECV:
		if (event->flags & SC_EVENT_TRUNCATED || sc_sendto(event->conn, event->data, event->len, event->addr,
								   event->addr_len, (uintptr_t)event->data))
			sc_release(event->conn, event->data);
		break;
	case SC_EVENT_SENT:
		echoed += event->result >= 0;
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
		break;
	default:
		break;
	}
}

static bool serve(struct sc_session *session)
{
	struct sc_event events[EVENTS_MAX];
	int cnt = 0;

	while (cnt >= 0 && !sc_signals_caught()) {
		cnt = sc_engine_wait(session, events, EVENTS_MAX);
		for (int i = 0; i < cnt; i++)
			handle(&events[i]);
	}
	return cnt >= 0;
}

/* Asked of the socket, because port 0 was the kernel's choice. */
static bool port_get(struct sc_conn *conn, uint16_t *ret_port)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);

	if (sc_getsockname(conn, (struct sockaddr *)&addr, &len)) {
		warnx("%s", sc_reason());
		return false;
	}
	*ret_port = ntohs(addr.sin6_port); /* at the same place for both families */
	return true;
}

/* One socket per lane: the kernel deals out datagrams among them by address. */
static bool open_sockets(struct sc_session *session, const struct sc_listen_options *options)
{
	struct sc_info info = { .size = sizeof(info) };
	uint16_t port = options->port;

	(void)sc_info(session, &info);
	for (unsigned int i = 0; i < info.lanes; i++) {
		struct sc_conn *conn;

		if (sc_udp_open(session, options->address, port, &conn)) {
			warnx("%s", sc_reason());
			return false;
		}
		if (!port_get(conn, &port))
			return false;
	}
	sc_engine_ready(session, port, options);
	return true;
}

int main(int argc, char **argv)
{
	struct options options = { .listen = SC_LISTEN_OPTIONS_INIT, .engine = SC_OPTIONS_INIT };
	struct sc_session *session;
	bool ok;

	sc_usage_parse(&argp, 0, argc, argv, &options);
	sc_signals_catch();
	if (!sc_listen_pin(&options.listen))
		return EXIT_FAILURE;
	session = sc_engine_open(&options.engine);
	ok = session && open_sockets(session, &options.listen) && serve(session);
	if (ok && options.listen.stats)
		sc_engine_report(session, echoed);
	sc_close_session(session);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

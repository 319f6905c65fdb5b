// SPDX-License-Identifier: MIT
/* Sends back what it receives, from the very buffers it was received into. */
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
	.doc = "Sends back what it receives, through libapp.",
};

static uint64_t echoed;

/*
 * The buffer is given back when it has been sent. A client that does not read leaves its buffers unreleased: libapp
 * stops reading from it at the window.
 */
static void handle(const struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_RECV:
		if (!event->len) {
			sc_close(event->conn, 0); /* after what is still on its way back */
		} else if (sc_send(event->conn, event->data, event->len, (uintptr_t)event->data)) {
			sc_release(event->conn, event->data);
			sc_close(event->conn, SC_CLOSE_NOW);
		}
		break;
	case SC_EVENT_SENT:
		echoed++;
		sc_release(event->conn, (void *)(uintptr_t)event->tag);
		if (event->result < 0)
			sc_close(event->conn, SC_CLOSE_NOW);
		break;
	case SC_EVENT_ERROR:
		sc_close(event->conn, SC_CLOSE_NOW);
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
	ok = session && sc_engine_listen(session, &options.listen) && serve(session);
	if (ok && options.listen.stats)
		sc_engine_report(session, echoed);
	sc_close_session(session);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

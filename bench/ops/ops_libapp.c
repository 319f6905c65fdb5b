// SPDX-License-Identifier: MIT
/* Single operations through libapp: sends back, sends, receives, or accepts and closes. */
#include <stdint.h>
#include <stdlib.h>

#include "engine.h"
#include "listen.h"
#include "ops.h"
#include "options.h"
#include "signals.h"
#include "usage.h"

enum { EVENTS_MAX = 128 };

struct options {
	struct sc_listen_options listen;
	struct sc_options engine;
	bool accept_only;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &options->listen;
	state->child_inputs[1] = &options->engine;
	state->child_inputs[2] = &options->accept_only;
	return 0;
}

static const struct argp_child children[] = { { .argp = &sc_listen_argp },
					      { .argp = &sc_engine_argp },
					      { .argp = &sc_ops_argp },
					      { 0 } };
static const struct argp argp = {
	.parser = parse,
	.children = children,
	.doc = "Does what its client's first message asks for, through libapp.",
};

static bool accept_only;
static const void *message; /* what SC_OPS_SEND sends, SC_OPS_LEN_MAX bytes of the arena */

/* All there is to know of a connection fits into its word: nothing is allocated for one. 0: its first message is to come. */
static uintptr_t word_of(struct sc_ops_hello hello)
{
	return (uintptr_t)hello.kind << 32 | hello.len;
}

static struct sc_ops_hello hello_of(const struct sc_conn *conn)
{
	uintptr_t word = (uintptr_t)sc_conn_data(conn);

	return (struct sc_ops_hello){ .kind = (uint32_t)(word >> 32), .len = (uint32_t)word };
}

/* The buffer is given back when it has been sent. */
static void echo(struct sc_conn *conn, void *data, size_t len)
{
	if (!sc_send(conn, data, len, (uintptr_t)data))
		return;
	sc_release(conn, data);
	sc_close(conn, SC_CLOSE_NOW);
}

static void send_message(struct sc_conn *conn, uint32_t len)
{
	if (sc_send(conn, message, len, 0))
		sc_close(conn, SC_CLOSE_NOW);
}

static void begin(struct sc_conn *conn, void *data, size_t len)
{
	struct sc_ops_hello hello;

	if (!sc_ops_hello_read(&hello, data, len)) {
		sc_release(conn, data);
		sc_close(conn, SC_CLOSE_NOW);
		return;
	}
	sc_conn_set_data(conn, (void *)word_of(hello));
	echo(conn, data, len);
	for (unsigned int i = 0; hello.kind == SC_OPS_SEND && i < sc_ops_ahead(hello.len); i++)
		send_message(conn, hello.len);
}

static void receive(struct sc_conn *conn, void *data, size_t len)
{
	struct sc_ops_hello hello = hello_of(conn);

	if (!len)
		sc_close(conn, SC_CLOSE_NOW);
	else if (!hello.kind)
		begin(conn, data, len);
	else if (hello.kind == SC_OPS_ECHO)
		echo(conn, data, len);
	else
		sc_release(conn, data);
}

static void sent(struct sc_conn *conn, uintptr_t tag, int result)
{
	if (tag)
		sc_release(conn, (void *)tag);
	if (result < 0)
		sc_close(conn, SC_CLOSE_NOW);
	else if (!tag)
		send_message(conn, hello_of(conn).len);
}

static void handle(const struct sc_event *event)
{
	switch (event->type) {
	case SC_EVENT_ACCEPT:
		if (accept_only)
			sc_close(event->conn, 0);
		break;
	case SC_EVENT_RECV:
		receive(event->conn, event->data, event->len);
		break;
	case SC_EVENT_SENT:
		sent(event->conn, event->tag, event->result);
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
	accept_only = options.accept_only;
	sc_signals_catch();
	sc_listen_raise_files(); /* the local engine's file table is bounded by it */
	if (!sc_listen_pin(&options.listen))
		return EXIT_FAILURE;
	session = sc_engine_open(&options.engine);
	ok = session && (message = sc_alloc(session, SC_OPS_LEN_MAX)) && sc_engine_listen(session, &options.listen) &&
	     serve(session);
	if (ok && options.listen.stats)
		sc_engine_report(session, 0);
	sc_close_session(session);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

// SPDX-License-Identifier: MIT
/* Connects each client to another server and relays both ways. */
#include <err.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "options.h"
#include "relay.h"
#include "signals.h"
#include "usage.h"

enum { EVENTS_MAX = 128, CONNS_DEFAULT = 4096, TIMEOUT_MS = 5000, UNIX_PATH_MAX = 107 };
enum { OPTION_TO = 0x1000, OPTION_TO_PORT, OPTION_TIMEOUT_MS };

struct options {
	struct sc_listen_options listen;
	struct sc_options engine;
	struct sc_connect_options to;
};

static const struct argp_option own_options[] = {
	{ "to", OPTION_TO, "ADDRESS", 0, "Relay to the server at this address, numeric or unix:/path", 1 },
	{ "to-port", OPTION_TO_PORT, "PORT", 0, "Its port", 1 },
	{ "timeout-ms", OPTION_TIMEOUT_MS, "N", 0, "Give it N ms to take a connection (default 5000)", 1 },
	{ 0 },
};

/* Now, and not when the first client comes. */
static void check_to(const struct argp_state *state, const struct sc_connect_options *to)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST };
	struct addrinfo *numeric;

	if (!to->address)
		sc_usage(state, "no server: name it with --to");
	if (!strncmp(to->address, "unix:", 5)) {
		if (!to->address[5] || strlen(to->address + 5) > UNIX_PATH_MAX)
			sc_usage(state, "--to %.40s: the path is to have 1 to %d bytes", to->address, UNIX_PATH_MAX);
		return;
	}
	if (getaddrinfo(to->address, NULL, &hints, &numeric))
		sc_usage(state, "--to %s: not a numeric address, nor unix:/path", to->address);
	freeaddrinfo(numeric);
	if (!to->port)
		sc_usage(state, "--to %s: no port of it: name it with --to-port", to->address);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->listen;
		state->child_inputs[1] = &options->engine;
		return 0;
	case OPTION_TO:
		options->to.address = arg;
		return 0;
	case OPTION_TO_PORT:
		options->to.port = (uint16_t)sc_option_number(state, "to-port", arg, 1, UINT16_MAX);
		return 0;
	case OPTION_TIMEOUT_MS:
		options->to.timeout_ms = (unsigned int)sc_option_number(state, "timeout-ms", arg, 1, 3600000);
		return 0;
	case ARGP_KEY_SUCCESS:
		check_to(state, &options->to);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &sc_listen_argp }, { .argp = &sc_engine_argp }, { 0 } };
static const struct argp argp = {
	.options = own_options,
	.parser = parse,
	.children = children,
	.doc = "Relays connections to another server, through libapp.",
};

static bool serve(struct sc_session *session, const struct sc_connect_options *to)
{
	struct sc_event events[EVENTS_MAX];
	int cnt = 0;

	while (cnt >= 0 && !sc_signals_caught()) {
		cnt = sc_engine_wait(session, events, EVENTS_MAX);
		for (int i = 0; i < cnt; i++)
			if (events[i].type == SC_EVENT_ACCEPT)
				sc_relay_start(session, events[i].conn, to);
			else
				sc_relay_handle(&events[i]);
	}
	return cnt >= 0;
}

/* Half of the connections are for clients, or there would be none to the server left; the others wait in the backlog. */
static bool listen_half(struct sc_session *session, const struct options *options)
{
	unsigned int conns = options->engine.conns ? options->engine.conns : CONNS_DEFAULT;
	struct sc_info info = { .size = sizeof(info) };
	struct sc_listener *listener;

	(void)sc_info(session, &info);
	if (sc_listen(session, options->listen.address, options->listen.port, 0, &listener) ||
	    sc_listener_set_limit(listener, conns * info.lanes / 2)) {
		warnx("%s", sc_reason());
		return false;
	}
	sc_engine_ready(session, sc_listener_port(listener), &options->listen);
	return true;
}

int main(int argc, char **argv)
{
	struct options options = { SC_LISTEN_OPTIONS_INIT, SC_OPTIONS_INIT, SC_CONNECT_OPTIONS_INIT };
	struct sc_session *session;
	bool ok;

	options.to.timeout_ms = TIMEOUT_MS;
	sc_usage_parse(&argp, 0, argc, argv, &options);
	sc_signals_catch();
	if (!sc_listen_pin(&options.listen))
		return EXIT_FAILURE;
	session = sc_engine_open(&options.engine);
	ok = session && listen_half(session, &options) && serve(session, &options.to);
	if (ok && options.listen.stats)
		sc_engine_report(session, sc_relay_ended());
	sc_close_session(session);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

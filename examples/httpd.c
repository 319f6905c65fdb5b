// SPDX-License-Identifier: MIT
/* A web server on libapp: the files of a directory over HTTP/1.0 and 1.1, sent from the arena they are cached in. */
#include <stdlib.h>

#include "connection.h"
#include "engine.h"
#include "options.h"
#include "signals.h"
#include "site.h"
#include "usage.h"

enum {
	EVENTS_MAX = 128,
	CONNS = 4096, /* unless --conns says otherwise */
};

struct options {
	struct sc_listen_options listen;
	struct sc_site_options site;
	struct sc_options engine;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &options->listen;
	state->child_inputs[1] = &options->site;
	state->child_inputs[2] = &options->engine;
	return 0;
}

static const struct argp_child children[] = {
	{ .argp = &sc_listen_argp },
	{ .argp = &sc_site_argp },
	{ .argp = &sc_engine_argp },
	{ 0 },
};
static const struct argp argp = {
	.parser = parse,
	.children = children,
	.doc = "Serves the files of a directory over HTTP, through libapp.",
};

/* One allocation for all bodies, which the arena rounds up to a power of two, and a block for each connection. */
static size_t arena_len(const struct sc_files *files, unsigned int conns)
{
	size_t bodies = 1;

	while (bodies < sc_files_bytes(files))
		bodies *= 2;
	return bodies + (size_t)conns * SC_CONNECTION_BLOCK_LEN;
}

static bool turn(struct sc_session *session, struct sc_connections *connections)
{
	struct sc_event events[EVENTS_MAX];
	int cnt = sc_engine_wait(session, events, EVENTS_MAX);

	sc_date_refresh(&connections->handler->date);
	for (int i = 0; i < cnt; i++)
		sc_connections_event(connections, &events[i]);
	sc_connections_tick(connections);
	return cnt >= 0;
}

static bool serve(struct sc_session *session, struct sc_handler *handler)
{
	struct sc_connections connections;
	bool ok = true;

	sc_connections_init(&connections, handler, session);
	while (ok && !sc_signals_caught())
		ok = turn(session, &connections);
	sc_connections_exit(&connections);
	return ok;
}

static bool run(struct options *options, struct sc_handler *handler)
{
	struct sc_session *session = sc_engine_open(&options->engine);
	bool ok = session && sc_site_load(handler, sc_alloc(session, sc_files_bytes(handler->files))) &&
		  sc_engine_listen(session, &options->listen) && serve(session, handler);

	if (ok && options->listen.stats)
		sc_engine_report(session, handler->requests);
	sc_close_session(session);
	return ok;
}

int main(int argc, char **argv)
{
	struct options options = {
		.listen = SC_LISTEN_OPTIONS_INIT,
		.site = SC_SITE_OPTIONS_INIT,
		.engine = SC_OPTIONS_INIT,
	};
	struct sc_handler handler;
	bool ok;

	options.engine.conns = CONNS;
	sc_usage_parse(&argp, 0, argc, argv, &options);
	sc_signals_catch();
	if (!sc_listen_pin(&options.listen) || !sc_site_init(&handler, &options.site))
		return EXIT_FAILURE;
	options.engine.arena_len = arena_len(handler.files, options.engine.conns);
	ok = run(&options, &handler);
	sc_site_exit(&handler);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

// SPDX-License-Identifier: MIT
/* Options and life of a baseline server. */
#include <stdio.h>
#include <stdlib.h>

#include "baseline.h"
#include "listen.h"
#include "options.h"
#include "report.h"
#include "site.h"
#include "workers.h"

struct options {
	struct sc_listen_options listen;
	struct sc_site_options site;
	unsigned int workers;
};

static const struct argp_option option_table[] = {
	{ "workers", SC_OPTION_WORKERS, "N", 0,
	  "Run N processes on one port, on CPUs from that of --cpu on (default 1)", 2 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->listen;
		state->child_inputs[1] = &options->site;
		return 0;
	case SC_OPTION_WORKERS:
		options->workers = (unsigned int)sc_option_number(state, "workers", arg, 1, SC_WORKERS_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &sc_listen_argp }, { .argp = &sc_site_argp }, { 0 } };
static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.children = children,
	.doc = "Serves the files of a directory over HTTP, without libapp: what examples/httpd is measured against.",
};

struct worker {
	struct sc_handler *handler;
	sc_baseline_serve_fn serve;
	const char *engine;
	bool stats;
};

static bool work(void *context, int listener)
{
	struct worker *worker = context;
	char extra[64];

	if (!worker->serve(worker->handler, listener))
		return false;
	(void)snprintf(extra, sizeof(extra), ", \"engine\": \"%s\"", worker->engine);
	if (worker->stats)
		sc_report_stats(worker->handler->requests, extra);
	return true;
}

int sc_baseline_main(int argc, char **argv, const char *engine, sc_baseline_serve_fn serve)
{
	struct options options = { .listen = SC_LISTEN_OPTIONS_INIT, .site = SC_SITE_OPTIONS_INIT, .workers = 1 };
	struct sc_handler handler;
	struct worker worker = { .handler = &handler, .serve = serve, .engine = engine };
	void *bodies;
	bool ok;

	sc_options_parse(&argp, argc, argv, &options);
	worker.stats = options.listen.stats;
	sc_listen_raise_files();
	if (!sc_listen_pin(&options.listen) || !sc_site_init(&handler, &options.site))
		return EXIT_FAILURE;
	bodies = aligned_alloc(SC_FILES_ALIGN, sc_files_bytes(handler.files));
	ok = sc_site_load(&handler, bodies) && sc_workers_run(engine, &options.listen, options.workers, work, &worker);
	free(bodies);
	sc_site_exit(&handler);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

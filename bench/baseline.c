// SPDX-License-Identifier: MIT
/* Options and life of a baseline server. */
#include <stdio.h>
#include <stdlib.h>

#include "baseline.h"
#include "listen.h"
#include "options.h"
#include "report.h"
#include "site.h"
#include "usage.h"
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

struct job {
	struct sc_handler *handler;
	sc_baseline_serve_fn serve;
};

static bool work(void *context, const struct sc_worker *worker)
{
	struct job *job = context;
	char extra[64];

	if (!job->serve(job->handler, worker))
		return false;
	(void)snprintf(extra, sizeof(extra), ", \"engine\": \"%s\"", worker->all->engine);
	if (worker->all->options->stats)
		sc_report_stats(job->handler->requests, extra);
	return true;
}

int sc_baseline_main(int argc, char **argv, const char *engine, sc_baseline_serve_fn serve)
{
	struct options options = { .listen = SC_LISTEN_OPTIONS_INIT, .site = SC_SITE_OPTIONS_INIT, .workers = 1 };
	struct sc_handler handler;
	struct job job = { .handler = &handler, .serve = serve };
	struct sc_workers workers = {
		.engine = engine,
		.options = &options.listen,
		.serve = work,
		.context = &job,
	};
	void *bodies;
	bool ok;

	sc_usage_parse(&argp, 0, argc, argv, &options);
	workers.cnt = options.workers;
	sc_listen_raise_files();
	if (!sc_listen_pin(&options.listen) || !sc_site_init(&handler, &options.site))
		return EXIT_FAILURE;
	bodies = aligned_alloc(SC_FILES_ALIGN, sc_files_bytes(handler.files));
	ok = sc_site_load(&handler, bodies) && sc_workers_run(&workers);
	free(bodies);
	sc_site_exit(&handler);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

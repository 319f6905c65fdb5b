// SPDX-License-Identifier: MIT
/* Makes a handler from a directory and an amount of work per request. */
#include <err.h>
#include <string.h>

#include "options.h"
#include "site.h"

enum { REASON_LEN = 512 };

static const struct argp_option site_options[] = {
	{ "root", SC_OPTION_ROOT, "DIR", 0, "Serve the files below this directory, read once at start (default .)", 1 },
	{ "work-us", SC_OPTION_WORK_US, "N", 0, "Compute for N µs per request, as an application would (default 0)",
	  1 },
	{ 0 }
};

static error_t parse_site(int key, char *arg, struct argp_state *state)
{
	struct sc_site_options *options = state->input;

	switch (key) {
	case SC_OPTION_ROOT:
		options->root = arg;
		return 0;
	case SC_OPTION_WORK_US:
		options->work_us = (unsigned int)sc_option_number(state, "work-us", arg, 0, 1000000);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp sc_site_argp = { .options = site_options, .parser = parse_site };

bool sc_site_init(struct sc_handler *handler, const struct sc_site_options *options)
{
	char reason[REASON_LEN];

	memset(handler, 0, sizeof(*handler));
	if (sc_files_open(options->root, &handler->files, reason, sizeof(reason))) {
		warnx("%s", reason);
		return false;
	}
	sc_work_init(&handler->work, options->work_us);
	sc_date_refresh(&handler->date);
	return true;
}

bool sc_site_load(struct sc_handler *handler, void *bodies)
{
	char reason[REASON_LEN];

	if (!bodies) {
		warnx("%zu bytes of files: no memory: serve a smaller directory", sc_files_bytes(handler->files));
		return false;
	}
	if (!sc_files_load(handler->files, bodies, reason, sizeof(reason)))
		return true;
	warnx("%s", reason);
	return false;
}

void sc_site_exit(struct sc_handler *handler)
{
	sc_files_free(handler->files);
}

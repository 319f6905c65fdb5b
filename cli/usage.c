// SPDX-License-Identifier: MIT
// Command lines by argp, with a usage error always one line and exit code 2.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "usage.h"

enum {
	STATUS = 2,
	OPTION_USAGE = 0x1000, /* above those of every program */
};

void sc_usage(const struct argp_state *state, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", state->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; see %s --help\n", state->name);
	exit(STATUS);
}

/* argp and getopt do not tell which word it was. */
static _Noreturn void refuse_option(const struct argp_state *state)
{
	const char *word = state->argv[state->next - 1];

	/* Within a cluster of short options getopt has not moved on yet. */
	if (word[0] != '-' && state->next < state->argc)
		word = state->argv[state->next];
	sc_usage(state, "%s: unknown option, or its value is missing or one too many", word);
}

/*
 * argp's own message for a bad option takes two lines. ARGP_NO_ERRS keeps it quiet, but --help as well: so the options
 * argp would add are our own, and lift the flag.
 */
static error_t parse_help(int key, char *arg, struct argp_state *state)
{
	state->flags &= ~(key == '?' || key == OPTION_USAGE ? ARGP_NO_ERRS : 0);
	switch (key) {
	case '?':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case OPTION_USAGE:
		argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
		return 0;
	case 'V':
		printf("%s %s\n", program_invocation_short_name, SC_VERSION);
		exit(EXIT_SUCCESS);
	case ARGP_KEY_ARG: /* the last to be asked: nobody wanted it */
		sc_usage(state, "%s: too many arguments", arg);
	case ARGP_KEY_ERROR:
		refuse_option(state);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option help_options[] = {
	{ "help", '?', NULL, 0, "Give this help list", -1 },
	{ "usage", OPTION_USAGE, NULL, 0, "Give a short usage message", 0 },
	{ "version", 'V', NULL, 0, "Print program version", 0 },
	{ 0 },
};

static const struct argp help_argp = { .options = help_options, .parser = parse_help };

void sc_usage_parse(const struct argp *argp, unsigned int flags, int argc, char **argv, void *input)
{
	/* Without a parser of its own the first child gets the input. */
	const struct argp_child children[] = { { .argp = argp }, { .argp = &help_argp }, { 0 } };
	const struct argp all = { .children = children };

	/* Errors do not come back: the parsers exit. */
	(void)argp_parse(&all, argc, argv, flags | ARGP_NO_ERRS | ARGP_NO_HELP, NULL, input);
}

// SPDX-License-Identifier: MIT
// Command lines by argp, with a usage error always one line and exit code 2.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "log.h"

enum {
	OPTION_BPFFS = 0x100,
	OPTION_USAGE,
};

void sc_usage(const struct argp_state *state, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", state->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "; see %s --help\n", state->name);
	exit(SC_EXIT_USAGE);
}

/*
 * argp's own message for a bad option takes two lines. ARGP_NO_ERRS keeps it quiet, but --help as well: so the options
 * argp would add are our own, and lift the flag.
 */
static error_t parse_help(int key, char *arg, struct argp_state *state)
{
	const char *word;

	(void)arg;
	state->flags &= ~(key == '?' || key == OPTION_USAGE ? ARGP_NO_ERRS : 0);
	switch (key) {
	case '?':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case OPTION_USAGE:
		argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
		return 0;
	case 'V':
		puts(SC_PROGRAM " " SC_VERSION);
		exit(SC_EXIT_OK);
	case ARGP_KEY_ERROR:
		word = state->argv[state->next - 1];
		/* Within a cluster of short options getopt has not moved on yet. */
		if (word[0] != '-' && state->next < state->argc)
			word = state->argv[state->next];
		sc_usage(state, "%s: unknown option, or its value is missing", word);
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
static const struct argp_child help_children[] = { { .argp = &help_argp }, { 0 } };

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct sc_common *common = state->input;

	switch (key) {
	case OPTION_BPFFS:
		common->bpffs = arg;
		return 0;
	case 'v':
		sc_log_verbose();
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option common_options[] = {
	{ "bpffs", OPTION_BPFFS, "DIR", 0, "BPF file system that holds the pins (default /sys/fs/bpf)", 10 },
	{ "verbose", 'v', NULL, 0, "Show what libbpf and the verifier say", 10 },
	{ 0 },
};

static const struct argp common_argp = { .options = common_options, .parser = parse_common };

const struct argp_child sc_common_children[] = { { .argp = &common_argp }, { .argp = &help_argp }, { 0 } };

void sc_cli_parse(const struct argp *argp, int argc, char **argv, struct sc_common *input)
{
	input->bpffs = "/sys/fs/bpf";
	/* Errors do not come back: the parsers exit. */
	(void)argp_parse(argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, input);
}

struct dispatch {
	const struct sc_command *table;
	const struct sc_command *chosen;
};

static error_t parse_command(int key, char *arg, struct argp_state *state)
{
	struct dispatch *dispatch = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		for (dispatch->chosen = dispatch->table; dispatch->chosen->name; dispatch->chosen++)
			if (!strcmp(dispatch->chosen->name, arg))
				break;
		if (!dispatch->chosen->name)
			sc_usage(state, "%s: no such command", arg);
		/* The rest is the command's. */
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		sc_usage(state, "no command given");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The list of commands below --help comes from the table, so it cannot be out of date. */
static char *command_help(int key, const char *text, void *input)
{
	const struct dispatch *dispatch = input;
	const struct sc_command *command;
	size_t len;
	char *list;
	FILE *out;

	if (key != ARGP_KEY_HELP_POST_DOC || !dispatch)
		return (char *)text;
	out = open_memstream(&list, &len);
	if (!out)
		return NULL;
	fprintf(out, "Commands:\n");
	for (command = dispatch->table; command->name; command++)
		fprintf(out, "  %-10s %s\n", command->name, command->help);
	fclose(out);
	return list;
}

int sc_cli_dispatch(const struct sc_command *table, const char *path, const char *doc, int argc, char **argv)
{
	const struct argp argp = {
		.parser = parse_command,
		.args_doc = "COMMAND [OPTION...]",
		.doc = doc,
		.help_filter = command_help,
		.children = help_children,
	};
	struct dispatch dispatch = { .table = table };
	char name[64];
	int word = 1;

	argv[0] = (char *)path;
	(void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &dispatch);
	while (strcmp(argv[word], dispatch.chosen->name))
		word++;
	snprintf(name, sizeof(name), "%s %s", path, dispatch.chosen->name);
	argv[word] = name;
	return dispatch.chosen->run(argc - word, argv + word);
}

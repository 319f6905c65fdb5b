// SPDX-License-Identifier: MIT
// Dispatch to commands by table, and the options that all of them share.
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "describe.h"
#include "log.h"
#include "usage.h"

enum {
	OPTION_BPFFS = 0x100,
};

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

const struct argp sc_common_argp = { .options = common_options, .parser = parse_common };

const struct argp_child sc_common_children[] = { { .argp = &sc_common_argp }, { 0 } };

void sc_cli_parse(const struct argp *argp, int argc, char **argv, struct sc_common *input)
{
	sc_describe_options(argp);
	input->bpffs = "/sys/fs/bpf";
	sc_usage_parse(argp, 0, argc, argv, input);
}

static const struct sc_command *commands;

const struct sc_command *sc_cli_commands(void)
{
	return commands;
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
		if (command->help)
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
	};
	struct dispatch dispatch = { .table = table };
	char name[64];
	int word = 1;

	sc_describe_table(table);
	if (!commands)
		commands = table;
	argv[0] = (char *)path;
	sc_usage_parse(&argp, ARGP_IN_ORDER, argc, argv, &dispatch);
	while (strcmp(argv[word], dispatch.chosen->name))
		word++;
	snprintf(name, sizeof(name), "%s %s", path, dispatch.chosen->name);
	argv[word] = name;
	return dispatch.chosen->run(argc - word, argv + word);
}

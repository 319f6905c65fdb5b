// SPDX-License-Identifier: MIT
// Command completions: writes what a shell needs to complete our command line.
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "complete.h"
#include "usage.h"

struct shell {
	const char *name;
	void (*print)(const struct sc_command *table);
};

static const struct shell shells[] = {
	{ "bash", sc_complete_bash },
	{ "zsh", sc_complete_zsh },
	{ "fish", sc_complete_fish },
	{ 0 },
};

struct options {
	struct sc_common common;
	const struct shell *shell;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case ARGP_KEY_ARG:
		if (options->shell)
			sc_usage(state, "%s: one shell at a time", arg);
		for (options->shell = shells; options->shell->name; options->shell++)
			if (!strcmp(options->shell->name, arg))
				return 0;
		sc_usage(state, "%s: not one of bash, zsh, fish", arg);
	case ARGP_KEY_END:
		if (!options->shell)
			sc_usage(state, "no shell given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "bash|zsh|fish",
	.doc = "Prints the completion of this command line for a shell.",
	.children = sc_common_children,
};

int sc_cmd_completions(int argc, char **argv)
{
	struct options options = { 0 };

	sc_cli_parse(&argp, argc, argv, &options.common);
	options.shell->print(sc_cli_commands());
	return fflush(stdout) ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

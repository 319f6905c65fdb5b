// SPDX-License-Identifier: MIT
// Command completions: writes what a shell needs to complete our command line.
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "describe.h"
#include "usage.h"

struct options {
	struct sc_common common;
	bool chosen;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case ARGP_KEY_ARG:
		if (options->chosen || strcmp(arg, "bash"))
			sc_usage(state, "%s: the shell must be bash", arg);
		options->chosen = true;
		return 0;
	case ARGP_KEY_END:
		if (!options->chosen)
			sc_usage(state, "no shell given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "bash",
	.doc = "Prints the completion of this command line for a shell.",
	.children = sc_common_children,
};

/* What may stand for a word of --help. */
static const struct {
	const char *word;
	const char *values; /* shell code within double quotes */
} values[] = {
	{ "IF", "$(command ls /sys/class/net)" },
	{ "SERVICE", "tcp/ udp/" },
	{ "MODE", "native skb auto" },
};

static const char *find_values(const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (!strcmp(word, values[i].word))
			return values[i].values;
	return "";
}

static void print_option_values(const struct sc_description *description)
{
	const struct sc_option *option;

	printf("\t\tcase $prev in\n");
	for (option = description->options; option < description->options + description->option_cnt; option++) {
		if (!option->arg)
			continue;
		printf("\t\t--%s", option->name);
		if (option->letter)
			printf(" | -%c", option->letter);
		if (!strcmp(option->arg, "DIR") || !strcmp(option->arg, "FILE"))
			printf(") mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n");
		else
			printf(") words=\"%s\" ;;\n", find_values(option->arg));
	}
	printf("\t\t*) ;;\n\t\tesac ;;\n");
}

static void print_words(const struct sc_description *description)
{
	size_t i;
	int j;

	printf("\t\twords=\"");
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (strstr(description->words, values[i].word))
			printf("%s ", values[i].values);
	printf("\"\n\t\t[[ $cur != -* ]] || words=\"--help --usage --version");
	for (j = 0; j < description->option_cnt; j++)
		printf(" --%s", description->options[j].name);
	printf("\"\n");
}

static void print_names(const struct sc_command *table)
{
	printf("\t\twords=\"");
	for (; table->name; table++)
		if (table->help)
			printf("%s ", table->name);
	printf("\" ;;\n");
}

/* path: the words before, with a space behind them if there are any. */
static void print_cases(const struct sc_command *table, const char *path)
{
	struct sc_description description;
	char below[64];

	for (; table->name; table++) {
		if (!table->help)
			continue;
		sc_describe(table, &description);
		printf("\t\"%s%s\")\n", path, table->name);
		if (description.table) {
			print_names(description.table);
			snprintf(below, sizeof(below), "%s%s ", path, table->name);
			print_cases(description.table, below);
		} else {
			print_words(&description);
			print_option_values(&description);
		}
	}
}

static void print_paths(const struct sc_command *table, const char *path)
{
	struct sc_description description;
	char below[64];

	for (; table->name; table++) {
		if (!table->help)
			continue;
		printf(" | \"%s%s\"", path, table->name);
		sc_describe(table, &description);
		snprintf(below, sizeof(below), "%s%s ", path, table->name);
		if (description.table)
			print_paths(description.table, below);
	}
}

static void print_bash(const struct sc_command *table)
{
	printf("# bash completion of " SC_PROGRAM ", written by " SC_PROGRAM " completions bash\n"
	       "_sidecore_loader() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' i\n"
	       "\t[[ $cur != = ]] || cur=''\n"
	       "\t[[ $prev != = ]] || prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase \"${command:+$command }${COMP_WORDS[i]}\" in\n\t\t''");
	print_paths(table, "");
	printf(") command=\"${command:+$command }${COMP_WORDS[i]}\" ;;\n\t\tesac\n\tdone\n\tcase $command in\n\t'')\n");
	print_names(table);
	print_cases(table, "");
	printf("\tesac\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
	       "complete -F _sidecore_loader " SC_PROGRAM "\n");
}

int sc_cmd_completions(int argc, char **argv)
{
	struct options options = { 0 };

	sc_cli_parse(&argp, argc, argv, &options.common);
	print_bash(sc_cli_commands());
	return fflush(stdout) ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

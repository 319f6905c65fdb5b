// SPDX-License-Identifier: MIT
// Command manual: copies a man page, and writes usage and options of all commands where it asks for them.
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "describe.h"
#include "log.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

static const struct argp argp = {
	.parser = parse,
	.doc = "Copies a man page from standard input to standard output and fills in usage and options.",
	.children = sc_common_children,
};

static void print_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			printf("\\e");
		else if (*text == '-')
			printf("\\-");
		else
			putchar(*text);
	}
}

static void print_usage(const char *path, const struct sc_description *description)
{
	printf(".B " SC_PROGRAM " %s\n", path);
	if (description->words[0]) {
		printf(".I \"");
		print_text(description->words);
		/* Dots are no end of a sentence here. */
		printf("\\&\"\n");
	}
	printf(".RI [ OPTION ...]\n.br\n");
}

static void print_option(const struct sc_option *option)
{
	printf(".TP\n\\fB");
	if (option->letter)
		printf("\\-%c\\fR, \\fB", option->letter);
	printf("\\-\\-");
	print_text(option->name);
	printf("\\fR");
	if (option->arg)
		printf("=\\fI%s\\fR", option->arg);
	/* \& keeps a dot at the start from being a request. */
	printf("\n\\&");
	print_text(option->help);
	printf(".\n");
}

static void print_options(const char *path, const struct sc_description *description)
{
	bool headed = false;
	int i;

	for (i = 0; i < description->option_cnt; i++) {
		if (description->options[i].common)
			continue;
		if (!headed)
			printf(".SS %s\n", path);
		headed = true;
		print_option(&description->options[i]);
	}
}

static void print_common(const struct sc_command *any)
{
	struct sc_description description;
	int i;

	sc_describe(any, &description);
	printf(".SS Every command\n");
	for (i = 0; i < description.option_cnt; i++)
		if (description.options[i].common)
			print_option(&description.options[i]);
}

static void for_each_command(const struct sc_command *table, const char *path,
			     void (*visit)(const char *path, const struct sc_description *description))
{
	struct sc_description description;
	char below[64];

	for (; table->name; table++) {
		if (!table->help)
			continue;
		snprintf(below, sizeof(below), "%s%s%s", path, path[0] ? " " : "", table->name);
		sc_describe(table, &description);
		if (description.table)
			for_each_command(description.table, below, visit);
		else
			visit(below, &description);
	}
}

int sc_cmd_manual(int argc, char **argv)
{
	const struct sc_command *table = sc_cli_commands();
	struct sc_common common;
	char line[1024];

	sc_cli_parse(&argp, argc, argv, &common);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, ".\\\" @usage@\n")) {
			for_each_command(table, "", print_usage);
		} else if (!strcmp(line, ".\\\" @options@\n")) {
			for_each_command(table, "", print_options);
			print_common(table);
		} else {
			fputs(line, stdout);
		}
	}
	if (!ferror(stdin) && !fflush(stdout))
		return SC_EXIT_OK;
	sc_error("man page: cannot be copied; give it as standard input, and room for standard output");
	return SC_EXIT_FAILURE;
}

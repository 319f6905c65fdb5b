// SPDX-License-Identifier: MIT
// The completion for zsh: a function for each command, with what --help says of its options.
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "complete.h"

/* Within single quotes, in a specification that is divided by colons and brackets. */
static void print_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\'') {
			printf("'\\''");
			continue;
		}
		if (strchr("[]:", *text))
			putchar('\\');
		putchar(*text);
	}
}

static void print_fill(const struct sc_word *word)
{
	putchar(':');
	print_text(word->name);
	putchar(':');
	switch (word->fill) {
	case SC_FILL_CHOICE:
		printf("(%s)", word->choice);
		return;
	case SC_FILL_INTERFACE:
		printf("($(command ls /sys/class/net))");
		return;
	case SC_FILL_FILE:
		printf("_files");
		return;
	case SC_FILL_ANYTHING:
		putchar(' ');
	}
}

static void print_option(const struct sc_option *option)
{
	const char *value = option->arg ? "=" : "";
	struct sc_word word;

	if (option->letter)
		printf(" \\\n\t\t'*'{-%c%s,--%s%s}'[", option->letter, option->arg ? "+" : "", option->name, value);
	else
		printf(" \\\n\t\t'*--%s%s[", option->name, value);
	print_text(option->help);
	putchar(']');
	if (option->arg) {
		word = sc_complete_value(option->arg);
		print_fill(&word);
	}
	putchar('\'');
}

static void print_leaf(const struct sc_description *description)
{
	struct sc_word words[SC_WORDS_MAX];
	int i, cnt = sc_complete_words(description->words, words);

	printf("\t_arguments -s");
	for (i = 0; i < description->option_cnt; i++)
		print_option(&description->options[i]);
	printf(" \\\n\t\t'(- *)--help[Give this help list]' '(- *)--version[Print program version]'");
	for (i = 0; i < cnt; i++) {
		if (words[i].repeated)
			printf(" \\\n\t\t'*");
		else
			printf(" \\\n\t\t'%d", i + 1);
		print_fill(&words[i]);
		putchar('\'');
	}
	putchar('\n');
}

static void print_branch(const struct sc_command *table, const char *path)
{
	printf("\tlocal curcontext=$curcontext state line\n\tlocal -a commands=(");
	for (; table->name; table++) {
		if (!table->help)
			continue;
		printf("\n\t\t'%s:", table->name);
		print_text(table->help);
		putchar('\'');
	}
	printf(")\n\t_arguments -C '1: :->command' '*:: :->rest'\n\tcase $state in\n"
	       "\tcommand) _describe command commands ;;\n"
	       "\trest) ((!$+functions[_%s-$line[1]])) || _%s-$line[1] ;;\n\tesac\n",
	       path, path);
}

/* Named after the program and its words. */
static void print_function(const struct sc_station *station)
{
	char name[sizeof(SC_PROGRAM) + 1 + SC_COMMAND_PATH_LEN], *space;

	snprintf(name, sizeof(name), SC_PROGRAM "-%s", station->path);
	while ((space = strchr(name, ' ')))
		*space = '-';
	printf("_%s() {\n", name);
	if (station->description.table)
		print_branch(station->description.table, name);
	else
		print_leaf(&station->description);
	printf("}\n\n");
}

void sc_complete_zsh(const struct sc_command *table)
{
	printf("#compdef " SC_PROGRAM "\n# Written by " SC_PROGRAM " completions zsh\n\n");
	sc_complete_walk(table, "", print_function);
	printf("_" SC_PROGRAM "() {\n");
	print_branch(table, SC_PROGRAM);
	/* As a file in fpath it is the function's first call; sourced, it only makes it known. */
	printf("}\n\n"
	       "if [[ $funcstack[1] == _" SC_PROGRAM " ]]; then\n\t_" SC_PROGRAM " \"$@\"\nelse\n\tcompdef _" SC_PROGRAM
	       " " SC_PROGRAM "\nfi\n");
}

// SPDX-License-Identifier: MIT
// The completion for fish: a line for each option, with what --help says of it.
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "complete.h"

/* Within single quotes. */
static void print_text(const char *text)
{
	for (; *text; text++) {
		if (strchr("'\\", *text))
			putchar('\\');
		putchar(*text);
	}
}

/* path: of the command, "": before the first. */
static void print_head(const char *path)
{
	printf("complete -c " SC_PROGRAM " -n '__sidecore_loader_at");
	if (*path)
		printf(" \"%s\"", path);
	putchar('\'');
}

static void print_fill(const struct sc_word *word)
{
	switch (word->fill) {
	case SC_FILL_CHOICE:
		printf(" -a '%s'", word->choice);
		return;
	case SC_FILL_INTERFACE:
		printf(" -a '(command ls /sys/class/net)'");
		return;
	case SC_FILL_FILE:
		printf(" -F");
		return;
	case SC_FILL_ANYTHING:
		return;
	}
}

static void print_option(const struct sc_option *option, const char *path)
{
	struct sc_word word;

	print_head(path);
	printf(" -l %s", option->name);
	if (option->letter)
		printf(" -s %c", option->letter);
	if (option->arg) {
		printf(" -r");
		word = sc_complete_value(option->arg);
		print_fill(&word);
	}
	printf(" -d '");
	print_text(option->help);
	printf("'\n");
}

static void print_leaf(const struct sc_description *description, const char *path)
{
	static const struct sc_option common[] = {
		{ .name = "help", .help = "Give this help list" },
		{ .name = "usage", .help = "Give a short usage message" },
		{ .name = "version", .letter = 'V', .help = "Print program version" },
	};
	struct sc_word words[SC_WORDS_MAX];
	int i, cnt = sc_complete_words(description->words, words);

	for (i = 0; i < description->option_cnt; i++)
		print_option(&description->options[i], path);
	for (i = 0; i < (int)(sizeof(common) / sizeof(common[0])); i++)
		print_option(&common[i], path);
	for (i = 0; i < cnt; i++) {
		if (words[i].fill == SC_FILL_ANYTHING)
			continue;
		print_head(path);
		print_fill(&words[i]);
		putchar('\n');
	}
}

static void print_command(const struct sc_station *station)
{
	print_head(station->above);
	printf(" -a %s -d '", station->command->name);
	print_text(station->command->help);
	printf("'\n");
	if (!station->description.table)
		print_leaf(&station->description, station->path);
}

static void print_path(const struct sc_station *station)
{
	printf(" '%s'", station->path);
}

void sc_complete_fish(const struct sc_command *table)
{
	printf("# fish completion of " SC_PROGRAM ", written by " SC_PROGRAM " completions fish\n"
	       "function __sidecore_loader_at\n"
	       "\tset -l path\n"
	       "\tfor word in (commandline -opc)[2..-1]\n"
	       "\t\tset -l longer (string trim -- \"$path $word\")\n"
	       "\t\tcontains -- $longer");
	sc_complete_walk(table, "", print_path);
	printf("; and set path $longer\n"
	       "\tend\n"
	       "\ttest \"$path\" = \"$argv\"\n"
	       "end\n"
	       "complete -c " SC_PROGRAM " -f\n");
	sc_complete_walk(table, "", print_command);
}

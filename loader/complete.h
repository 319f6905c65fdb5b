/* SPDX-License-Identifier: MIT */
/* What a shell needs to complete our command line, and how each shell wants it. */
#ifndef SC_LOADER_COMPLETE_H
#define SC_LOADER_COMPLETE_H

#include <stdbool.h>

#include "command.h"
#include "describe.h"

/* What stands for a word of --help. */
enum sc_fill {
	SC_FILL_ANYTHING,
	SC_FILL_CHOICE, /* one of the words */
	SC_FILL_INTERFACE,
	SC_FILL_FILE,
};

struct sc_word {
	char name[32]; /* as in --help, without brackets and dots */
	enum sc_fill fill;
	char choice[64]; /* with spaces between; SC_FILL_CHOICE only */
	bool repeated;
};

enum {
	SC_WORDS_MAX = 4,
	SC_COMMAND_PATH_LEN = 64,
};

/* A command on the way through the table. */
struct sc_station {
	const struct sc_command *command;
	const char *above; /* the words before it, such as "service"; "": none */
	const char *path; /* with its own, such as "service add" */
	struct sc_description description;
};

/* The value of an option, such as FILE or on|off. */
struct sc_word sc_complete_value(const char *name);

/* The words of a command, such as "IF SERVICE..."; options among them are left out. Returns how many. */
int sc_complete_words(const char *words, struct sc_word ret_words[SC_WORDS_MAX]);

/* Visits each command that --help lists, and then those below it. above: "" for the whole table. */
void sc_complete_walk(const struct sc_command *table, const char *above,
		      void (*visit)(const struct sc_station *station));

/* Each prints the completion for one shell. */
void sc_complete_bash(const struct sc_command *table);
void sc_complete_zsh(const struct sc_command *table);
void sc_complete_fish(const struct sc_command *table);

#endif

/* SPDX-License-Identifier: MIT */
/* The options of a command, taken from the very table that parses them. */
#ifndef SC_LOADER_DESCRIBE_H
#define SC_LOADER_DESCRIBE_H

#include <argp.h>
#include <stdbool.h>

#include "command.h"

struct sc_option {
	const char *name;
	char letter; /* 0: none */
	const char *arg; /* NULL: takes none */
	const char *help;
	bool common; /* every command has it */
};

struct sc_description {
	char words[32]; /* as in --help */
	const struct sc_command *table; /* of a command of commands, NULL: it is none */
	int option_cnt;
	struct sc_option options[32];
};

/* Calls the command, which goes no further than to its tables. One thread. */
void sc_describe(const struct sc_command *command, struct sc_description *ret_description);

/* For the parsers: do not return if the command is only described. */
void sc_describe_options(const struct argp *argp);
void sc_describe_table(const struct sc_command *table);

#endif

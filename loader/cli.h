/* SPDX-License-Identifier: MIT */
/* Command lines: dispatch by table, options all commands share. */
#ifndef SC_LOADER_CLI_H
#define SC_LOADER_CLI_H

#include <argp.h>

#include "command.h"

#define SC_PROGRAM "sidecore-loader"

/* Options every command takes: input of sc_common_argp, which each command's argp has as its first child. */
struct sc_common {
	const char *bpffs;
};

extern const struct argp sc_common_argp;
extern const struct argp_child sc_common_children[];

/* Parses or exits. The first member of *input must be a struct sc_common; its defaults are set here. */
void sc_cli_parse(const struct argp *argp, int argc, char **argv, struct sc_common *input);

/*
 * Runs the command of the table that the first word names, with argv[0] = "path name", and returns its exit code.
 * `path` is what the user typed to get here. The table ends with a NULL name.
 */
int sc_cli_dispatch(const struct sc_command *table, const char *path, const char *doc, int argc, char **argv);

/* The table of the program, once it was dispatched by. */
const struct sc_command *sc_cli_commands(void);

#endif

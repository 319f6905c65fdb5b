/* SPDX-License-Identifier: MIT */
/* The commands: each parses its own command line and returns the exit code. */
#ifndef SC_LOADER_COMMAND_H
#define SC_LOADER_COMMAND_H

enum sc_exit {
	SC_EXIT_OK = 0,
	SC_EXIT_FAILURE = 1,
};

struct sc_command {
	const char *name;
	const char *help; /* NULL: --help does not list it */
	int (*run)(int argc, char **argv);
};

int sc_cmd_attach(int argc, char **argv);
int sc_cmd_upgrade(int argc, char **argv);
int sc_cmd_confirm(int argc, char **argv);
int sc_cmd_detach(int argc, char **argv);
int sc_cmd_status(int argc, char **argv);
int sc_cmd_stats(int argc, char **argv);
int sc_cmd_top(int argc, char **argv);
int sc_cmd_monitor(int argc, char **argv);
int sc_cmd_cpus(int argc, char **argv);
int sc_cmd_service(int argc, char **argv);
int sc_cmd_features(int argc, char **argv);
int sc_cmd_doctor(int argc, char **argv);
int sc_cmd_deny(int argc, char **argv);
int sc_cmd_allow(int argc, char **argv);
int sc_cmd_screen(int argc, char **argv);
int sc_cmd_limit(int argc, char **argv);
int sc_cmd_syn(int argc, char **argv);
int sc_cmd_completions(int argc, char **argv);
int sc_cmd_manual(int argc, char **argv);
int sc_cmd_clean(int argc, char **argv);

#endif

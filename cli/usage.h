/* SPDX-License-Identifier: MIT */
/* Command lines of all programs: --help, --usage, --version, and usage errors of one line. */
#ifndef CLI_USAGE_H
#define CLI_USAGE_H

#include <argp.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Prints "program: text; see program --help" and exits with status 2. For parsers, which need no hint of their own. */
void sc_usage(const struct argp_state *state, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/*
 * argp_parse with --help, --usage and --version added, for one thread. Returns only if all of the command line was taken:
 * errors, and words that no parser takes, end the program as sc_usage does. flags: 0 or ARGP_IN_ORDER.
 */
void sc_usage_parse(const struct argp *argp, unsigned int flags, int argc, char **argv, void *input);

#ifdef __cplusplus
}
#endif
#endif

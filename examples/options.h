/* SPDX-License-Identifier: MIT */
/* Options that every server here has. */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Above any character, distinct over all tables of a program. */
enum sc_option_key {
	SC_OPTION_CPU = 0x100,
	SC_OPTION_STATS,
	SC_OPTION_ROOT,
	SC_OPTION_WORK_US,
	SC_OPTION_ENGINE,
	SC_OPTION_LANES,
	SC_OPTION_SOCKET,
	SC_OPTION_SPIN_US,
	SC_OPTION_CONNS,
	SC_OPTION_WORKERS,
};

struct sc_listen_options {
	const char *address;
	uint16_t port;
	int cpu; /* -1: wherever */
	bool stats;
};
#define SC_LISTEN_OPTIONS_INIT                                \
	{                                                     \
		.address = "0.0.0.0", .port = 8080, .cpu = -1 \
	}

/* Its input is a struct sc_listen_options. Use as a child of a program's own. */
extern const struct argp sc_listen_argp;

/* A whole number of min..max, or the program ends with the usage status and a line that names the option. */
unsigned long sc_option_number(const struct argp_state *state, const char *option, const char *arg, unsigned long min,
			       unsigned long max);

/* Keeps this thread, and those it starts, on the CPU asked for. False after a message. */
bool sc_listen_pin(const struct sc_listen_options *options);

#ifdef __cplusplus
}
#endif
#endif

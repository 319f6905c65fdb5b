// SPDX-License-Identifier: MIT
/* Address, port, CPU and statistics of a server. */
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "usage.h"

static const struct argp_option listen_options[] = {
	{ "address", 'a', "ADDRESS", 0, "Listen on this numeric address (default 0.0.0.0; :: for IPv6)", 0 },
	{ "port", 'p', "PORT", 0, "Listen on this port (default 8080; 0 takes a free one)", 0 },
	{ "cpu", SC_OPTION_CPU, "N", 0, "Run on this CPU alone", 0 },
	{ "stats", SC_OPTION_STATS, NULL, 0, "Print counters as one line of JSON at the end", 0 },
	{ 0 }
};

unsigned long sc_option_number(const struct argp_state *state, const char *option, const char *arg, unsigned long min,
			       unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(arg, &end, 10);
	if (*arg < '0' || *arg > '9' || *end || errno || value < min || value > max)
		sc_usage(state, "--%s %s: not a whole number of %lu to %lu", option, arg, min, max);
	return value;
}

static error_t parse_listen(int key, char *arg, struct argp_state *state)
{
	struct sc_listen_options *options = state->input;

	switch (key) {
	case 'a':
		options->address = arg;
		return 0;
	case 'p':
		options->port = (uint16_t)sc_option_number(state, "port", arg, 0, UINT16_MAX);
		return 0;
	case SC_OPTION_CPU:
		options->cpu = (int)sc_option_number(state, "cpu", arg, 0, CPU_SETSIZE - 1);
		return 0;
	case SC_OPTION_STATS:
		options->stats = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp sc_listen_argp = { .options = listen_options, .parser = parse_listen };

bool sc_listen_pin(const struct sc_listen_options *options)
{
	cpu_set_t set;

	if (options->cpu < 0)
		return true;
	CPU_ZERO(&set);
	CPU_SET(options->cpu, &set);
	if (!sched_setaffinity(0, sizeof(set), &set))
		return true;
	warnx("CPU %d: %s: take one that is online and allowed to this process (taskset -pc $$)", options->cpu,
	      errno == EINVAL ? "offline, absent or outside the cpuset" : strerror(errno));
	return false;
}

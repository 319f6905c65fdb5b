// SPDX-License-Identifier: MIT
/* The command line. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sockload.h"
#include "usage.h"

enum { CONNECTIONS_MAX = 60000 };

static const char doc[] =
	"Load a server from ordinary sockets, and print JSON.\n"
	"\v"
	"KIND is what one operation is: `echo` a round trip of a message, `send` a message from the server, `receive` one to "
	"the server, each with ops_epoll or ops_libapp as the server; `accept` a connection that the server closes at once; "
	"`churn` a connection with one HTTP/1.0 request; `idle` only opens the connections. Says so when all are open, goes "
	"on until SIGTERM, then reports; operations, bytes and latencies are those after the warm-up. Exit status: 0, or 1 "
	"if there was an error or no operation.";

static const struct argp_option option_table[] = {
	{ "target", 't', "ADDR:PORT", 0, "The server, IPv4", 0 },
	{ "kind", 'k', "KIND", 0, "echo, send, receive, accept, churn or idle (default echo)", 0 },
	{ "size", 'n', "BYTES", 0, "Length of a message (default 64)", 0 },
	{ "connections", 'c', "N", 0, "Connections at a time (default 64)", 0 },
	{ "warmup", 'w', "S", 0, "Seconds before it begins to count (default 1)", 0 },
	{ "path", 'p', "PATH", 0, "What churn asks for (default /)", 0 },
	{ 0 },
};

static const char *const kinds[] = {
	[LOAD_ECHO] = "echo",	  [LOAD_SEND] = "send",	  [LOAD_RECEIVE] = "receive",
	[LOAD_ACCEPT] = "accept", [LOAD_CHURN] = "churn", [LOAD_IDLE] = "idle",
};

static unsigned int number(struct argp_state *state, const char *name, const char *arg, unsigned long min,
			   unsigned long max)
{
	char *end;
	unsigned long value = strtoul(arg, &end, 10);

	if (!isdigit((unsigned char)arg[0]) || *end || value < min || value > max)
		sc_usage(state, "%s: '%s' is not a number from %lu to %lu", name, arg, min, max);
	return (unsigned int)value;
}

static double seconds(struct argp_state *state, const char *name, const char *arg)
{
	char *end;
	double value = strtod(arg, &end);

	if (end == arg || *end || !(value >= 0 && value <= 86400))
		sc_usage(state, "%s: '%s' is not a time from 0 to 86400 seconds", name, arg);
	return value;
}

static void parse_target(struct argp_state *state, struct sockaddr_in *target, const char *arg)
{
	const char *colon = strrchr(arg, ':');
	char address[INET_ADDRSTRLEN] = "";

	if (colon && (size_t)(colon - arg) < sizeof(address))
		memcpy(address, arg, (size_t)(colon - arg));
	target->sin_family = AF_INET;
	if (inet_pton(AF_INET, address, &target->sin_addr) != 1)
		sc_usage(state, "target: '%s' is not ADDR:PORT with an IPv4 address, like 10.0.0.1:8080", arg);
	target->sin_port = htons((in_port_t)number(state, "target port", colon + 1, 1, 65535));
}

static enum load_kind parse_kind(struct argp_state *state, const char *arg)
{
	for (unsigned int kind = LOAD_ECHO; kind <= LOAD_IDLE; kind++)
		if (!strcmp(arg, kinds[kind]))
			return kind;
	sc_usage(state, "kind: '%s' is not echo, send, receive, accept, churn or idle", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct load_options *options = state->input;

	switch (key) {
	case 't':
		parse_target(state, &options->target, arg);
		return 0;
	case 'k':
		options->kind = parse_kind(state, arg);
		return 0;
	case 'n':
		options->len = number(state, "size", arg, 1, SC_OPS_LEN_MAX);
		return 0;
	case 'c':
		options->connections = number(state, "connections", arg, 1, CONNECTIONS_MAX);
		return 0;
	case 'w':
		options->warmup_s = seconds(state, "warmup", arg);
		return 0;
	case 'p':
		options->path = arg;
		return 0;
	case ARGP_KEY_END:
		if (!options->target.sin_port)
			sc_usage(state, "--target is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void load_options_parse(struct load_options *options, int argc, char **argv)
{
	static const struct argp argp = { .options = option_table, .parser = parse, .doc = doc };

	*options = (struct load_options){ .kind = LOAD_ECHO, .len = 64, .connections = 64, .warmup_s = 1, .path = "/" };
	sc_usage_parse(&argp, 0, argc, argv, options);
}

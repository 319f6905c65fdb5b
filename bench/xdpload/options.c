// SPDX-License-Identifier: MIT
// The command line.
#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "options.h"
#include "usage.h"

static const char doc[] =
	"Load an HTTP/1.1 server from an XDP program on this end of its veth pair.\n"
	"\v"
	"Each connection has one request outstanding: a closed loop. Two ordinary requests first teach what a response looks "
	"like; every response must then begin with the same status and have the same length, or it is an error and its "
	"connection is lost. IPv4 only. Exit status: 0, or 1 if there was an error, a lost connection or no response.\n\n"
	"The server's end of the pair must poll, or what the program sends never gets there: `ethtool -K VETH gro on`, or "
	"attach an XDP program there; give it a queue too, or bursts over 256 packets are dropped: `tc qdisc add dev VETH "
	"root pfifo limit 10000`. Attaching here switches that end's TSO off. The program runs on the CPU that transmits "
	"the server's packets; sysctl kernel.bpf_stats_enabled=1 makes the report say what it costs per packet. All packets "
	"from the target to the source ports go to xdpload, none to this host's TCP.\n\n"
	"Requests, bytes and latencies are those of the measured time, latencies rounded up by at most 1.6 %; faults are "
	"those of the whole run. retransmits counts segments received twice, stalled the times a connection made no step "
	"for 200 ms and was helped, lost the connections reset, closed, broken or unanswered.";

static const struct argp_option options[] = {
	{ "iface", 'i', "IF", 0, "Interface to attach to: the client's end", 0 },
	{ "target", 't', "ADDR:PORT", 0, "The server, IPv4", 0 },
	{ "path", 'p', "PATH", 0, "What to GET (default /)", 0 },
	{ "connections", 'c', "N", 0, "Connections kept busy, 1 to 16384 (default 64)", 0 },
	{ "duration", 'd', "S", 0, "Measured seconds (default 10)", 0 },
	{ "warmup", 'w', "S", 0, "Seconds before that (default 1)", 0 },
	{ "cpu", 'C', "LIST", 0, "CPUs for xdpload's own thread, like 0,2-3", 0 },
	{ "source-port", 's', "BASE", 0, "First source port, one per connection (default 10000)", 0 },
	{ "json", 'j', NULL, 0, "Print JSON", 0 },
	{ 0 },
};

static unsigned long number(struct argp_state *state, const char *name, const char *arg, unsigned long min,
			    unsigned long max)
{
	unsigned long value;
	char *end;

	value = strtoul(arg, &end, 10);
	if (!isdigit((unsigned char)arg[0]) || *end || value < min || value > max)
		sc_usage(state, "%s: '%s' is not a number from %lu to %lu", name, arg, min, max);
	return value;
}

static double time_s(struct argp_state *state, const char *name, const char *arg)
{
	double value;
	char *end;

	value = strtod(arg, &end);
	if (end == arg || *end || !isfinite(value) || value < 0 || value > 86400)
		sc_usage(state, "%s: '%s' is not a time from 0 to 86400 seconds", name, arg);
	return value;
}

static void parse_target(struct argp_state *state, struct sc_probe *probe, const char *arg)
{
	const char *colon = strrchr(arg, ':');
	char address[INET_ADDRSTRLEN] = "";

	if (colon && (size_t)(colon - arg) < sizeof(address))
		memcpy(address, arg, (size_t)(colon - arg));
	probe->target.sin_family = AF_INET;
	if (inet_pton(AF_INET, address, &probe->target.sin_addr) != 1)
		sc_usage(state, "target: '%s' is not ADDR:PORT with an IPv4 address, like 10.0.0.1:8080", arg);
	probe->target.sin_port = htons((in_port_t)number(state, "target port", colon + 1, 1, 65535));
	snprintf(probe->name, sizeof(probe->name), "%s:%u", address, ntohs(probe->target.sin_port));
}

static void parse_path(struct argp_state *state, struct sc_probe *probe, const char *arg)
{
	bool good = arg[0] == '/';

	for (const char *p = arg; *p; p++)
		good = good && isgraph((unsigned char)*p) && *p != '"' && *p != '\\';
	if (!good)
		sc_usage(state, "path: '%s' is not a path: begin with / and percent-encode spaces and quotes", arg);
	probe->path = arg;
}

static void parse_cpus(struct argp_state *state, struct sc_options *o, const char *arg)
{
	char *list = strdup(arg), *rest = list, *item;

	while ((item = strsep(&rest, ","))) {
		char *last = strchr(item, '-');
		unsigned long cpu, end;

		if (last)
			*last++ = '\0';
		cpu = number(state, "cpu", item, 0, CPU_SETSIZE - 1);
		end = last ? number(state, "cpu", last, cpu, CPU_SETSIZE - 1) : cpu;
		for (; cpu <= end; cpu++)
			CPU_SET(cpu, &o->cpus);
	}
	free(list);
	o->pinned = true;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct sc_options *o = state->input;

	switch (key) {
	case 'i':
		o->probe.ifname = arg;
		return 0;
	case 't':
		parse_target(state, &o->probe, arg);
		return 0;
	case 'p':
		parse_path(state, &o->probe, arg);
		return 0;
	case 'c':
		o->connections = (__u32)number(state, "connections", arg, 1, XDPLOAD_CONNS_MAX);
		return 0;
	case 'd':
		o->duration_s = time_s(state, "duration", arg);
		return 0;
	case 'w':
		o->warmup_s = time_s(state, "warmup", arg);
		return 0;
	case 'C':
		parse_cpus(state, o, arg);
		return 0;
	case 's':
		o->source_port = (__u16)number(state, "source-port", arg, 1, 65535);
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case ARGP_KEY_END:
		if (!o->probe.ifname || !o->probe.name[0])
			sc_usage(state, "--iface and --target are needed");
		if (o->source_port + o->connections > 65536)
			sc_usage(state, "source-port: %u connections from port %u do not fit below 65536",
				 o->connections, o->source_port);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void sc_options_parse(struct sc_options *o, int argc, char **argv)
{
	static const struct argp argp = { options, parse_option, NULL, doc, NULL, NULL, NULL };

	*o = (struct sc_options){
		.probe = { .path = "/" },
		.connections = 64,
		.source_port = 10000,
		.duration_s = 10,
		.warmup_s = 1,
	};
	sc_usage_parse(&argp, 0, argc, argv, o);
}

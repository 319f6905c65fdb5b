// SPDX-License-Identifier: MIT
// Command monitor: shows samples of the packets on an interface, and what became of each.
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "log.h"
#include "reasons.h"
#include "report.h"
#include "sampling.h"
#include "signals.h"
#include "target.h"
#include "usage.h"

enum {
	OPTION_RATE = 0x200,
	EVERY_MAX = 1000000000,
	POLL_MS = 100,
	END_LEN = INET6_ADDRSTRLEN + 8, /* [address]:port */
	FLAGS_LEN = 7,
	DONE = -ECANCELED, /* of show(): enough */
};

struct options {
	struct sc_target target;
	__u32 every;
	unsigned long count; /* 0: no end */
};

struct watch {
	const struct options *options;
	unsigned long shown;
	struct timespec offset; /* from CLOCK_MONOTONIC to the time of day */
};

static bool parse_number(const char *text, unsigned long max, unsigned long *ret_value)
{
	char *end;

	*ret_value = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *ret_value && *ret_value <= max;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	unsigned long value;

	switch (key) {
	case OPTION_RATE:
		if (strncmp(arg, "1/", 2) || !parse_number(arg + 2, EVERY_MAX, &value))
			sc_usage(state, "--rate %s: not a share such as 1/100, at least 1/%d", arg, EVERY_MAX);
		options->every = value;
		return 0;
	case 'n':
		if (!parse_number(arg, EVERY_MAX, &options->count))
			sc_usage(state, "--count %s: not a number from 1 to %d", arg, EVERY_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "rate", OPTION_RATE, "1/N", 0, "Take one packet in N, at random (default 1/100)", 0 },
	{ "count", 'n', "N", 0, "End after N samples", 0 },
	{ 0 },
};

static const struct argp extra = { .options = option_table, .parser = parse };

static const char *verdict_name(const struct sc_sample *sample)
{
	if (sample->reason == SC_REASON_COOKIE)
		return "answer";
	if (sample->reason == SC_REASON_SOCKET)
		return "hand";
	switch (sample->verdict) {
	case XDP_PASS:
		return "pass";
	case XDP_DROP:
		return "drop";
	case XDP_REDIRECT:
		return "steer";
	default:
		return "abort";
	}
}

static const char *protocol_name(const struct sc_sample *sample, char text[8])
{
	if (sample->protocol == IPPROTO_TCP)
		return "tcp";
	if (sample->protocol == IPPROTO_UDP)
		return "udp";
	snprintf(text, 8, "%u", sample->protocol);
	return text;
}

static const char *flag_letters(const struct sc_sample *sample, char text[FLAGS_LEN])
{
	static const char letters[] = "FSRPAU";
	int i, len = 0;

	for (i = 0; letters[i]; i++)
		if (sample->tcp_flags & 1U << i)
			text[len++] = letters[i];
	text[len] = '\0';
	return text;
}

static void format_address(const struct sc_sample *sample, const __be32 addr[4], char text[INET6_ADDRSTRLEN])
{
	text[0] = '\0';
	if (sample->family)
		inet_ntop(sample->family == SC_STEER_IPV4 ? AF_INET : AF_INET6, addr, text, INET6_ADDRSTRLEN);
}

/* Without a port where the packet shows none. */
static void format_end(const struct sc_sample *sample, const __be32 addr[4], __be16 port, char text[END_LEN])
{
	char address[INET6_ADDRSTRLEN];

	format_address(sample, addr, address);
	if (!sample->from_port && !sample->to_port)
		snprintf(text, END_LEN, "%s", address);
	else
		snprintf(text, END_LEN, sample->family == SC_STEER_IPV4 ? "%s:%u" : "[%s]:%u", address, ntohs(port));
}

static struct timespec time_of_day(const struct watch *watch, const struct sc_sample *sample)
{
	const __u64 second_ns = 1000000000;
	__u64 ns = sample->time_ns % second_ns + watch->offset.tv_nsec;

	return (struct timespec){
		.tv_sec = watch->offset.tv_sec + sample->time_ns / second_ns + ns / second_ns,
		.tv_nsec = ns % second_ns,
	};
}

static void print_text(const struct watch *watch, const struct sc_sample *sample)
{
	char from[END_LEN], to[END_LEN], protocol[8], flags[FLAGS_LEN], clock[16];
	struct timespec when = time_of_day(watch, sample);
	struct tm local;

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&when.tv_sec, &local));
	printf("%s.%06ld CPU %u %-6s %-16s ", clock, when.tv_nsec / 1000, sample->cpu, verdict_name(sample),
	       sc_reason_name(sample->reason));
	if (!sample->family) {
		printf("%u bytes\n", sample->len);
		return;
	}
	format_end(sample, sample->from_addr, sample->from_port, from);
	format_end(sample, sample->to_addr, sample->to_port, to);
	flag_letters(sample, flags);
	printf("%s > %s %s%s%s, %u bytes\n", from, to, protocol_name(sample, protocol), flags[0] ? " " : "", flags,
	       sample->len);
}

static void print_json(const struct watch *watch, const struct sc_sample *sample)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], protocol[8], flags[FLAGS_LEN];
	struct timespec when = time_of_day(watch, sample);
	json_t *root;

	format_address(sample, sample->from_addr, from);
	format_address(sample, sample->to_addr, to);
	root = json_pack("{s:i, s:s, s:f, s:i, s:s, s:s, s:i, s:s, s:i, s:s, s:i, s:s, s:s, s:i}", "schema_version",
			 SC_REPORT_SCHEMA, "interface", watch->options->target.ifname, "time",
			 when.tv_sec + when.tv_nsec / 1e9, "cpu", (int)sample->cpu, "verdict", verdict_name(sample),
			 "reason", sc_reason_name(sample->reason), "family", (int)sample->family, "from", from,
			 "from_port", (int)ntohs(sample->from_port), "to", to, "to_port", (int)ntohs(sample->to_port),
			 "protocol", protocol_name(sample, protocol), "tcp_flags", flag_letters(sample, flags), "len",
			 (int)sample->len);
	(void)json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(16));
	putchar('\n');
	json_decref(root);
}

static int show(const struct sc_sample *sample, void *context)
{
	struct watch *watch = context;

	if (watch->options->target.json)
		print_json(watch, sample);
	else
		print_text(watch, sample);
	watch->shown++;
	return watch->options->count && watch->shown >= watch->options->count ? DONE : 0;
}

static void say_lost(const struct sc_place *place, __u64 lost, __u64 *said)
{
	if (lost > *said)
		sc_warn("%s: %llu samples lost, they come faster than they are written; choose a smaller --rate",
			place->ifname, (unsigned long long)(lost - *said));
	*said = lost;
}

/* Until there are enough, somebody asks us to end, nobody reads, or the interface is detached. */
static int watch_on(const struct sc_place *place, struct sc_sampling_run *run)
{
	__u64 said = 0;
	int err = 0;

	while (!err && !sc_signals_wait(0)) {
		if (!sc_place_is_attached(place)) {
			sc_error("%s: detached meanwhile; attach it and run monitor again", place->ifname);
			return -ENOENT;
		}
		err = sc_sampling_poll(run, POLL_MS);
		say_lost(place, sc_sampling_lost(run), &said);
		if (fflush(stdout))
			return -EPIPE;
	}
	return err;
}

static int end(struct sc_place *place, struct sc_sampling_run *run, bool has_enough)
{
	struct sc_pins pins;
	bool attached;
	int err;

	err = sc_place_relock(place);
	if (err)
		return err;
	run->discard = has_enough;
	attached = sc_place_is_attached(place) && !sc_pins_open(&pins, place->dir);
	err = sc_sampling_exit(run, place, attached ? &pins : NULL);
	if (attached)
		sc_pins_close(&pins);
	return err;
}

static void clock_offset(struct timespec *ret_offset)
{
	struct timespec day, monotonic;

	clock_gettime(CLOCK_REALTIME, &day);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	ret_offset->tv_sec = day.tv_sec - monotonic.tv_sec;
	ret_offset->tv_nsec = day.tv_nsec - monotonic.tv_nsec;
	if (ret_offset->tv_nsec < 0) {
		ret_offset->tv_sec--;
		ret_offset->tv_nsec += 1000000000;
	}
}

int sc_cmd_monitor(int argc, char **argv)
{
	static struct options options = {
		.target.doc = "Shows samples of the packets on IF with verdict and reason, one per line, until Ctrl-C.",
		.target.takes_json = true,
		.target.extra = &extra,
		.target.extra_input = &options,
		.every = 100,
	};
	struct watch watch = { .options = &options };
	struct sc_sampling_run run;
	struct sc_place place;
	struct sc_pins pins;
	int err, end_err;

	sc_target_parse(&options.target, argc, argv);
	if (sc_target_open(&options.target, &place, &pins))
		return SC_EXIT_FAILURE;
	/* However it ends, sampling is switched off after it; who goes away from a pipe ends it too. */
	sc_signals_hold();
	clock_offset(&watch.offset);
	err = sc_sampling_init(&run, &place, &pins, options.every, show, &watch);
	/* An open link would outlive a detach. */
	sc_pins_close(&pins);
	if (!err) {
		sc_place_unlock(&place);
		err = watch_on(&place, &run);
		end_err = end(&place, &run, err);
		err = err && err != DONE && err != -EPIPE ? err : end_err;
	}
	sc_place_close(&place);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

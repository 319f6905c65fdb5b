// SPDX-License-Identifier: MIT
// Command limit: sets, takes away and lists rate limits.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buckets.h"
#include "cli.h"
#include "hint.h"
#include "log.h"
#include "modules.h"
#include "report.h"
#include "target.h"
#include "usage.h"

enum {
	OPTION_PER_SOURCE = 0x200,
	OPTION_SYN,
	OPTION_RATE,
	OPTION_BURST,
};

struct options {
	struct sc_target target;
	struct sc_limit_entry entry;
};

static void take_service(struct sc_limit_entry *entry, const char *text, struct argp_state *state)
{
	if (sc_spec_parse(text, &entry->spec))
		sc_usage(state,
			 "--service %s: not a service such as tcp/8080, udp/53, tcp/10.0.0.1:80, tcp/[fd00::1]:80",
			 text);
	entry->all = false;
}

static void take_rate(struct sc_rate *rate, const char *text, struct argp_state *state)
{
	__u32 burst = rate->burst;
	int err = sc_rate_parse(text, rate);

	if (err == -ERANGE)
		sc_usage(state, "--rate %s: not from 1 to 100000000", text);
	if (err)
		sc_usage(state, "--rate %s: not a rate such as 1000/s, 30/m, 5/h", text);
	rate->burst = burst;
}

static void take_burst(struct sc_rate *rate, const char *text, struct argp_state *state)
{
	if (sc_burst_parse(text, rate))
		sc_usage(state, "--burst %s: not a number from 1 to %d", text, SC_BURST_MAX);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		options->entry.all = true;
		options->entry.kind = SC_LIMIT_TOTAL;
		return 0;
	case 's':
		take_service(&options->entry, arg, state);
		return 0;
	case OPTION_PER_SOURCE:
		options->entry.kind &= ~SC_LIMIT_TOTAL_BIT;
		return 0;
	case OPTION_SYN:
		options->entry.kind |= SC_LIMIT_SYN;
		return 0;
	case ARGP_KEY_END:
		if (options->entry.kind & SC_LIMIT_SYN && options->entry.spec.protocol == IPPROTO_UDP)
			sc_usage(state, "--syn: only for TCP");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option which_table[] = {
	{ "service", 's', "SERVICE", 0, "Limit this one; default: all services together", 0 },
	{ "per-source", OPTION_PER_SOURCE, NULL, 0,
	  "Limit each IPv4 address and each IPv6 network of 64 bits by itself; default: all sources together", 0 },
	{ "syn", OPTION_SYN, NULL, 0, "Limit SYNs, that is new TCP connections; default: packets", 0 },
	{ 0 },
};

static const struct argp which = { .options = which_table, .parser = parse };

static error_t parse_add(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options;
		return 0;
	case OPTION_RATE:
		take_rate(&options->entry.rate, arg, state);
		return 0;
	case OPTION_BURST:
		take_burst(&options->entry.rate, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (!options->entry.rate.cnt)
			sc_usage(state, "no rate given, --rate RATE is needed");
		if (sc_rate_complete(&options->entry.rate))
			sc_usage(state, "--burst %u: takes more than a year to come at this rate",
				 options->entry.rate.burst);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option add_table[] = {
	{ "rate", OPTION_RATE, "RATE", 0, "Let so many through, such as 1000/s, 30/m or 5/h", 0 },
	{ "burst", OPTION_BURST, "N", 0,
	  "Let so many through at once after a pause; default: what comes in a second at RATE, one at least", 0 },
	{ 0 },
};

static const struct argp_child which_children[] = { { .argp = &which }, { 0 } };
static const struct argp add = { .options = add_table, .parser = parse_add, .children = which_children };

static const char *service_text(const struct sc_limit_entry *entry, char text[SC_SPEC_LEN])
{
	if (!entry->all)
		return sc_spec_format(&entry->spec, text);
	return strcpy(text, "all services");
}

/* Limits that are not there cost nothing. */
static int settle(const struct sc_place *place, struct sc_pins *pins)
{
	static struct sc_limit_entry entries[SC_LIMITS_MAX];
	int cnt = sc_limits_list(pins, entries);

	if (cnt < 0) {
		sc_hint_error(place->ifname, SC_STEP_MAPS, cnt);
		return cnt;
	}
	return sc_modules_switch(place, pins, SC_MODULE_LIMITS, cnt > 0);
}

static int print_json(const struct sc_place *place, const struct sc_pins *pins)
{
	static struct sc_limit_entry entries[SC_LIMITS_MAX];
	int cnt = sc_limits_list(pins, entries);

	return sc_report_print(json_pack("{s:i, s:s, s:o}", "schema_version", SC_REPORT_SCHEMA, "interface",
					 place->ifname, "limits", sc_limits_json(entries, cnt < 0 ? 0 : cnt)));
}

static int change(struct options *options, int (*apply)(const struct sc_pins *, const struct sc_limit_entry *),
		  const char *missing)
{
	const struct sc_limit_entry *entry = &options->entry;
	char text[SC_SPEC_LEN];
	struct sc_place place;
	struct sc_pins pins;
	int err;

	if (sc_target_open(&options->target, &place, &pins))
		return SC_EXIT_FAILURE;
	/* No limit is listed that no program keeps. */
	if (apply == sc_limits_set && sc_modules_switch(&place, &pins, SC_MODULE_LIMITS, true)) {
		sc_target_close(&place, &pins);
		return SC_EXIT_FAILURE;
	}
	err = apply(&pins, entry);
	if (err == -ENOENT)
		sc_error("%s: %s on %s; see sidecore-loader %s list %s", service_text(entry, text), missing,
			 place.ifname, apply == sc_limits_set ? "service" : "limit", place.ifname);
	else if (err)
		sc_hint_error(place.ifname, SC_STEP_MAPS, err);
	err = settle(&place, &pins) ?: err;
	if (!err && options->target.json)
		err = print_json(&place, &pins);
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

static int limit_add(int argc, char **argv)
{
	static struct options options = {
		.target.doc =
			"Drops what comes faster than RATE. A limit of the same service, kind and sources is changed.",
		.target.takes_json = true,
		.target.extra = &add,
		.target.extra_input = &options,
	};

	sc_target_parse(&options.target, argc, argv);
	return change(&options, sc_limits_set, "no such service");
}

static int limit_del(int argc, char **argv)
{
	static struct options options = {
		.target.doc = "Takes a limit away: that of the same service, kind and sources.",
		.target.takes_json = true,
		.target.extra = &which,
		.target.extra_input = &options,
	};

	sc_target_parse(&options.target, argc, argv);
	return change(&options, sc_limits_del, "no such limit");
}

static void print_text(const struct sc_limit_entry *entries, int cnt)
{
	char text[SC_LIMIT_LEN];
	int i;

	for (i = 0; i < cnt; i++)
		puts(sc_limit_format(&entries[i], text));
}

static int limit_list(int argc, char **argv)
{
	static struct sc_limit_entry entries[SC_LIMITS_MAX];
	static struct sc_target target = { .doc = "Lists the limits of IF.", .takes_json = true };
	struct sc_place place;
	struct sc_pins pins;
	int cnt, err = 0;

	sc_target_parse(&target, argc, argv);
	if (sc_target_open(&target, &place, &pins))
		return SC_EXIT_FAILURE;
	cnt = sc_limits_list(&pins, entries);
	if (cnt < 0)
		sc_hint_error(place.ifname, SC_STEP_MAPS, err = cnt);
	else if (target.json)
		err = print_json(&place, &pins);
	else
		print_text(entries, cnt);
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

static const struct sc_command commands[] = {
	{ "add", "set or change a limit", limit_add },
	{ "del", "take a limit away", limit_del },
	{ "list", "list the limits", limit_list },
	{ 0 },
};

int sc_cmd_limit(int argc, char **argv)
{
	return sc_cli_dispatch(commands, argv[0], "Limits packets or new connections per service and per source.", argc,
			       argv);
}

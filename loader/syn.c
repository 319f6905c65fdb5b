// SPDX-License-Identifier: MIT
// Command syn: switches the answering of SYNs with SYN cookies.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "cli.h"
#include "cookies.h"
#include "hint.h"
#include "report.h"
#include "target.h"
#include "usage.h"

enum {
	OPTION_RATE = 0x200,
	OPTION_MSS,

	RATE_MIN = 100, /* a window of time must be able to hold a few */
	RATE_MAX = 1000000000,
	RATE_DEFAULT = 10000,
	MSS_MIN = 536,
	MSS_MAX = 65495,
};

struct options {
	struct sc_target target;
	const char *mode; /* NULL: as it is */
	unsigned int rate; /* 0: not given */
	unsigned int mss;
};

static unsigned int number(const char *option, const char *text, unsigned int min, unsigned int max,
			   struct argp_state *state)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || value < min || value > max)
		sc_usage(state, "%s %s: not a number from %u to %u", option, text, min, max);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'm':
		if (strcmp(arg, "auto") && strcmp(arg, "on") && strcmp(arg, "off"))
			sc_usage(state, "--mode %s: not one of auto, on, off", arg);
		options->mode = arg;
		return 0;
	case OPTION_RATE:
		options->rate = number("--rate", arg, RATE_MIN, RATE_MAX, state);
		return 0;
	case OPTION_MSS:
		options->mss = number("--mss", arg, MSS_MIN, MSS_MAX, state);
		return 0;
	case ARGP_KEY_END:
		if (options->rate && (!options->mode || strcmp(options->mode, "auto")))
			sc_usage(state, "--rate: only with --mode auto");
		if (options->mss && (!options->mode || !strcmp(options->mode, "off")))
			sc_usage(state, "--mss: only with --mode auto or --mode on");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "mode", 'm', "auto|on|off", 0,
	  "auto: answer SYNs with cookies while there is a flood; on: always; off: never (at first)", 0 },
	{ "rate", OPTION_RATE, "N", 0,
	  "With --mode auto: SYNs per second on one CPU from which on there is a flood (default 10000)", 0 },
	{ "mss", OPTION_MSS, "N", 0, "Offer clients no larger segments than this; default: what fits IF's MTU", 0 },
	{ 0 },
};

static const struct argp extra = { .options = option_table, .parser = parse };

static int change(const struct sc_place *place, struct sc_pins *pins, const struct options *options)
{
	struct sc_cookies cookies = { .on = strcmp(options->mode, "off"), .rule.mss_max = options->mss };

	if (!strcmp(options->mode, "auto"))
		cookies.rule.rate = options->rate ?: RATE_DEFAULT;
	return sc_cookies_write(place, pins, &cookies);
}

static int show(const struct sc_place *place, const struct sc_pins *pins, bool json)
{
	struct sc_cookies cookies;
	int err;

	err = sc_cookies_read(pins, &cookies);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
		return err;
	}
	if (json)
		return sc_report_print(json_pack("{s:i, s:s, s:o}", "schema_version", SC_REPORT_SCHEMA, "interface",
						 place->ifname, "syn", sc_cookies_json(&cookies)));
	printf("%s: ", place->ifname);
	sc_cookies_text(&cookies);
	return 0;
}

int sc_cmd_syn(int argc, char **argv)
{
	static struct options options = {
		.target.doc =
			"Switches, while packets flow, the answering of SYNs to services of IF with the listener's own SYN "
			"cookies, before they cost a dedicated CPU. Shows how it is then.",
		.target.takes_json = true,
		.target.extra = &extra,
		.target.extra_input = &options,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err = 0;

	sc_target_parse(&options.target, argc, argv);
	if (sc_target_open(&options.target, &place, &pins))
		return SC_EXIT_FAILURE;
	if (options.mode)
		err = change(&place, &pins, &options);
	if (!err && options.mode)
		sc_checks_warn_cookies(&place, &pins);
	err = err ?: show(&place, &pins, options.target.json);
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

// SPDX-License-Identifier: MIT
// Command syn: switches the answering of SYNs with SYN cookies.
#include <jansson.h>
#include <stdio.h>

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
};

struct options {
	struct sc_target target;
	bool has_mode;
	const char *rate; /* NULL: not given */
	struct sc_cookies wanted;
};

static void take(const char *why, const char *option, const char *text, struct argp_state *state)
{
	if (why)
		sc_usage(state, "--%s %s: %s", option, text, why);
}

/* The rate is taken when the mode is known, which brings one along. */
static void finish(struct options *options, struct argp_state *state)
{
	if (options->rate && !options->wanted.rule.rate)
		sc_usage(state, "--rate: only with --mode auto");
	if (options->wanted.rule.mss_max && !options->wanted.on)
		sc_usage(state, "--mss: only with --mode auto or --mode on");
	if (options->rate)
		take(sc_cookies_take_rate(&options->wanted, options->rate), "rate", options->rate, state);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'm':
		take(sc_cookies_take_mode(&options->wanted, arg), "mode", arg, state);
		options->has_mode = true;
		return 0;
	case OPTION_RATE:
		options->rate = arg;
		return 0;
	case OPTION_MSS:
		take(sc_cookies_take_mss(&options->wanted, arg), "mss", arg, state);
		return 0;
	case ARGP_KEY_END:
		finish(options, state);
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
	if (options.has_mode)
		err = sc_cookies_write(&place, &pins, &options.wanted);
	if (!err && options.has_mode)
		sc_checks_warn_cookies(&place, &pins);
	err = err ?: show(&place, &pins, options.target.json);
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

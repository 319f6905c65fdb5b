// SPDX-License-Identifier: MIT
// Command screen: switches what is dropped of all packets alike, and names ports whose packets are never dropped.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "filters.h"
#include "hint.h"
#include "log.h"
#include "modules.h"
#include "report.h"
#include "target.h"
#include "usage.h"

enum {
	OPTION_NEVER_DROP = 0x200,
	OPTION_MAY_DROP,
	OPTION_VALIDITY, /* this and the next by enum sc_filter */
	OPTION_OPTIONS,
	OPTION_FRAGMENTS,
	PORTS_MAX = 64, /* on one command line, and shown */
};

struct port_change {
	struct sc_spec spec;
	bool spared;
};

struct options {
	struct sc_target target;
	enum sc_wish filters[SC_FILTERS];
	struct port_change changes[PORTS_MAX];
	int change_cnt;
};

static void take_port(struct options *options, const char *text, bool spared, struct argp_state *state)
{
	struct port_change *change = &options->changes[options->change_cnt];

	if (options->change_cnt == PORTS_MAX)
		sc_usage(state, "%s: %d ports at a time are the limit", text, PORTS_MAX);
	if (sc_spec_parse(text, &change->spec) || change->spec.family)
		sc_usage(state, "%s: not a port such as tcp/22", text);
	change->spared = spared;
	options->change_cnt++;
}

static void take_filter(struct options *options, enum sc_filter filter, const char *value, struct argp_state *state)
{
	const char *why = sc_filter_take(filter, value, &options->filters[filter]);

	if (why)
		sc_usage(state, "--%s %s: %s", sc_filter_name(filter), value, why);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case OPTION_VALIDITY:
	case OPTION_OPTIONS:
	case OPTION_FRAGMENTS:
		take_filter(options, SC_FILTER_VALIDITY + key - OPTION_VALIDITY, arg, state);
		return 0;
	case OPTION_NEVER_DROP:
	case OPTION_MAY_DROP:
		take_port(options, arg, key == OPTION_NEVER_DROP, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "validity", OPTION_VALIDITY, "on|off", 0,
	  "Drop packets that cannot be right: lengths, checksum of the IPv4 header, TCP flags, own address as source",
	  0 },
	{ "options", OPTION_OPTIONS, "pass|drop", 0,
	  "Whether packets are dropped that have IP options by which they are routed or their way is recorded, IPv6 routing header "
	  "type 0 among them",
	  0 },
	{ "fragments", OPTION_FRAGMENTS, "pass|drop", 0, "Whether IP fragments are dropped", 0 },
	{ "never-drop", OPTION_NEVER_DROP, "PORT", 0,
	  "Never drop packets to this port, such as tcp/22; may be repeated", 0 },
	{ "may-drop", OPTION_MAY_DROP, "PORT", 0, "Take --never-drop back; may be repeated", 0 },
	{ 0 },
};

static const struct argp extra = { .options = option_table, .parser = parse };

static int change(const struct sc_place *place, struct sc_pins *pins, const struct options *options)
{
	__u32 off = ~sc_filters_modules(options->filters, ~0U), on = sc_filters_modules(options->filters, 0);
	int i, err = 0;

	/* Ports to be spared are, before anything is dropped. */
	for (i = 0; i < options->change_cnt && !err; i++)
		err = sc_modules_spare(pins, &options->changes[i].spec, options->changes[i].spared);
	if (err)
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
	else if (off | on)
		err = sc_modules_change(place, pins, off, on);
	return err;
}

static const char *value(enum sc_filter filter, __u32 modules)
{
	return sc_filter_value(filter, sc_filter_is_on(filter, modules));
}

static int show_json(const struct sc_place *place, __u32 modules, const struct sc_spec *specs, int cnt)
{
	json_t *ports = json_array();
	char text[SC_SPEC_LEN];
	int i;

	for (i = 0; i < cnt; i++)
		json_array_append_new(ports, json_string(sc_spec_format(&specs[i], text)));
	return sc_report_print(
		json_pack("{s:i, s:s, s:b, s:s, s:s, s:b, s:o}", "schema_version", SC_REPORT_SCHEMA, "interface",
			  place->ifname, "validity", sc_filter_is_on(SC_FILTER_VALIDITY, modules), "options",
			  value(SC_FILTER_OPTIONS, modules), "fragments", value(SC_FILTER_FRAGMENTS, modules), "lists",
			  !!(modules & (SC_MODULE_HOSTS | SC_MODULE_LISTS)), "never_drop", ports));
}

static int show(const struct sc_place *place, const struct sc_pins *pins, bool json)
{
	struct sc_spec specs[PORTS_MAX];
	char text[SC_SPEC_LEN];
	__u32 modules;
	int cnt, i, err;

	err = sc_modules_get(pins, &modules);
	cnt = err ?: sc_modules_spared(pins, specs, PORTS_MAX);
	if (cnt < 0) {
		sc_hint_error(place->ifname, SC_STEP_MAPS, cnt);
		return cnt;
	}
	if (cnt > PORTS_MAX)
		cnt = PORTS_MAX;
	if (json)
		return show_json(place, modules, specs, cnt);
	printf("%s:", place->ifname);
	for (i = 0; i < SC_FILTERS; i++)
		printf(" %s %s,", sc_filter_name(i), value(i, modules));
	printf(" lists %s, never dropped:", modules & (SC_MODULE_HOSTS | SC_MODULE_LISTS) ? "on" : "off");
	for (i = 0; i < cnt; i++)
		printf(" %s", sc_spec_format(&specs[i], text));
	puts(cnt ? "" : " nothing");
	return 0;
}

int sc_cmd_screen(int argc, char **argv)
{
	static struct options options = {
		.target.doc =
			"Changes, while packets flow, what IF drops; see deny and allow for lists of sources. Shows how it is then.",
		.target.takes_json = true,
		.target.extra = &extra,
		.target.extra_input = &options,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&options.target, argc, argv);
	if (sc_target_open(&options.target, &place, &pins))
		return SC_EXIT_FAILURE;
	err = change(&place, &pins, &options);
	err = err ?: show(&place, &pins, options.target.json);
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

// SPDX-License-Identifier: MIT
// Command service: adds, deletes and lists the services of an attached interface.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "hint.h"
#include "log.h"
#include "modules.h"
#include "ports.h"
#include "report.h"
#include "services.h"
#include "target.h"
#include "usage.h"

enum {
	OPTION_XSK = 0x200,
};

/* Without a service of that kind nothing asks for it. */
static int settle(const struct sc_place *place, struct sc_pins *pins)
{
	int cnt = sc_ports_marked(pins, SC_PORT_SOCKET, NULL, 0);

	if (cnt >= 0)
		return sc_modules_switch(place, pins, SC_MODULE_SOCKETS, cnt > 0);
	sc_hint_error(place->ifname, SC_STEP_MAPS, cnt);
	return cnt;
}

static bool is_xsk(const struct sc_pins *pins, const struct sc_spec *spec)
{
	return !memcmp(spec->addr, (const __be32[4]){ 0 }, sizeof(spec->addr)) &&
	       sc_ports_has(pins, spec, SC_PORT_SOCKET);
}

static int print_json(const struct sc_place *place, const struct sc_pins *pins)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	json_t *list = json_array(), *xsk = json_array(), *root;
	int i, cnt = sc_services_list(pins, entries);
	char text[SC_SPEC_LEN];

	for (i = 0; i < cnt; i++) {
		json_array_append_new(list, json_string(sc_spec_format(&entries[i].spec, text)));
		if (is_xsk(pins, &entries[i].spec))
			json_array_append_new(xsk, json_string(text));
	}
	root = json_pack("{s:i, s:s, s:o, s:o}", "schema_version", SC_REPORT_SCHEMA, "interface", place->ifname,
			 "services", list, "xsk", xsk);
	return sc_report_print(root);
}

static int for_each_spec(const struct sc_target *target, int (*change)(const struct sc_pins *, const struct sc_spec *))
{
	char text[SC_SPEC_LEN];
	struct sc_place place;
	struct sc_pins pins;
	int i, err;

	if (sc_target_open(target, &place, &pins))
		return SC_EXIT_FAILURE;
	for (i = 0, err = 0; i < target->spec_cnt && !err; i++) {
		err = change(&pins, &target->specs[i]);
		if (err == -ENOENT)
			sc_error("%s: no such service on %s; see sidecore-loader service list %s",
				 sc_spec_format(&target->specs[i], text), place.ifname, place.ifname);
		else if (err == -EOPNOTSUPP)
			sc_error("%s: the kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS); add it without --xsk",
				 sc_spec_format(&target->specs[i], text));
		else if (err)
			sc_hint_error(sc_spec_format(&target->specs[i], text), SC_STEP_MAPS, err);
	}
	if (!err)
		err = settle(&place, &pins);
	if (!err && target->json)
		err = print_json(&place, &pins);
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

struct add_options {
	struct sc_target target;
	bool xsk;
};

static void check_xsk(const struct sc_target *target, struct argp_state *state)
{
	char text[SC_SPEC_LEN];
	int i;

	for (i = 0; i < target->spec_cnt; i++)
		if (!sc_services_may_xsk(&target->specs[i]))
			sc_usage(state, "--xsk %s: only for UDP on any address, such as udp/53",
				 sc_spec_format(&target->specs[i], text));
}

static error_t parse_add(int key, char *arg, struct argp_state *state)
{
	struct add_options *options = state->input;

	(void)arg;
	switch (key) {
	case OPTION_XSK:
		options->xsk = true;
		return 0;
	case ARGP_KEY_END:
		if (options->xsk)
			check_xsk(&options->target, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option add_options[] = {
	{ "xsk", OPTION_XSK, NULL, 0,
	  "Hand their packets to the AF_XDP socket that an application has put into the pinned map `sockets' for the queue; "
	  "while there is none, steer them",
	  0 },
	{ 0 },
};

static const struct argp add_argp = { .options = add_options, .parser = parse_add };

static int service_add(int argc, char **argv)
{
	static struct add_options options = {
		.target.doc = "Steers these services too.",
		.target.operand = &sc_operand_services,
		.target.takes_json = true,
		.target.extra = &add_argp,
		.target.extra_input = &options,
	};

	sc_target_parse(&options.target, argc, argv);
	return for_each_spec(&options.target, options.xsk ? sc_services_add_xsk : sc_services_add);
}

static int service_del(int argc, char **argv)
{
	static struct sc_target target = {
		.doc = "Steers these services no more.",
		.operand = &sc_operand_services,
		.takes_json = true,
	};

	sc_target_parse(&target, argc, argv);
	return for_each_spec(&target, sc_services_del);
}

static void print_text(const struct sc_pins *pins)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	int i, cnt = sc_services_list(pins, entries);
	char text[SC_SPEC_LEN];

	for (i = 0; i < cnt; i++)
		printf("%s%s\n", sc_spec_format(&entries[i].spec, text), is_xsk(pins, &entries[i].spec) ? " xsk" : "");
}

static int service_list(int argc, char **argv)
{
	static struct sc_target target = { .doc = "Lists the services of IF.", .takes_json = true };
	struct sc_place place;
	struct sc_pins pins;
	int err = 0;

	sc_target_parse(&target, argc, argv);
	if (sc_target_open(&target, &place, &pins))
		return SC_EXIT_FAILURE;
	if (target.json)
		err = print_json(&place, &pins);
	else
		print_text(&pins);
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

static const struct sc_command commands[] = {
	{ "add", "steer more services", service_add },
	{ "del", "steer services no more", service_del },
	{ "list", "list the services that are steered", service_list },
	{ 0 },
};

int sc_cmd_service(int argc, char **argv)
{
	return sc_cli_dispatch(commands, argv[0], "Changes the services of an attached interface.", argc, argv);
}

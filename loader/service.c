// SPDX-License-Identifier: MIT
// Command service: adds, deletes and lists the services of an attached interface.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "hint.h"
#include "log.h"
#include "report.h"
#include "services.h"
#include "target.h"

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
		else if (err)
			sc_hint_error(sc_spec_format(&target->specs[i], text), SC_STEP_MAPS, err);
	}
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

static int service_add(int argc, char **argv)
{
	static struct sc_target target = { .doc = "Steers these services too.", .operand = &sc_operand_services };

	sc_target_parse(&target, argc, argv);
	return for_each_spec(&target, sc_services_add);
}

static int service_del(int argc, char **argv)
{
	static struct sc_target target = { .doc = "Steers these services no more.", .operand = &sc_operand_services };

	sc_target_parse(&target, argc, argv);
	return for_each_spec(&target, sc_services_del);
}

static void print_text(const struct sc_service_entry *entries, int cnt)
{
	char text[SC_SPEC_LEN];
	int i;

	for (i = 0; i < cnt; i++)
		puts(sc_spec_format(&entries[i].spec, text));
}

static int print_json(const struct sc_place *place, const struct sc_service_entry *entries, int cnt)
{
	json_t *list = json_array(), *root;
	char text[SC_SPEC_LEN];
	int i;

	for (i = 0; i < cnt; i++)
		json_array_append_new(list, json_string(sc_spec_format(&entries[i].spec, text)));
	root = json_pack("{s:i, s:s, s:o}", "schema_version", SC_REPORT_SCHEMA, "interface", place->ifname, "services",
			 list);
	return sc_report_print(root);
}

static int service_list(int argc, char **argv)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	static struct sc_target target = { .doc = "Lists the services of IF.", .takes_json = true };
	struct sc_place place;
	struct sc_pins pins;
	int cnt, err = 0;

	sc_target_parse(&target, argc, argv);
	if (sc_target_open(&target, &place, &pins))
		return SC_EXIT_FAILURE;
	cnt = sc_services_list(&pins, entries);
	if (target.json)
		err = print_json(&place, entries, cnt);
	else
		print_text(entries, cnt);
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

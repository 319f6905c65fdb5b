// SPDX-License-Identifier: MIT
// Command status: shows one attached interface, or all of this network namespace.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caps.h"
#include "cli.h"
#include "log.h"
#include "report.h"
#include "target.h"

/* Shows at once, or adds to list if there is one. */
static int show(const struct sc_place *place, const struct sc_pins *pins, json_t *list)
{
	struct sc_report *report = malloc(sizeof(*report));
	int err;

	err = report ? sc_report_init(report, place, pins) : -ENOMEM;
	if (err) {
		sc_error("%s: cannot read its maps: %s; detach, then attach again", place->ifname, strerror(-err));
	} else {
		if (list)
			json_array_append_new(list, sc_report_json(report));
		else
			sc_report_text(report);
		sc_report_exit(report);
	}
	free(report);
	return err;
}

static int show_one(struct sc_place *place, json_t *list)
{
	struct sc_pins pins;
	int err;

	err = sc_target_open_pins(place, &pins);
	if (err)
		return err;
	err = show(place, &pins, list);
	sc_pins_close(&pins);
	return err;
}

/* Interfaces come and go: what is not attached just now is not shown, and `clean` looks after its pins. */
static int show_all(struct sc_place *place, json_t *list)
{
	struct if_nameindex *names, *name;
	struct sc_pins pins;
	int err = 0, cnt = 0;

	names = if_nameindex();
	if (!names)
		return -errno;
	for (name = names; name->if_index && !err; name++) {
		sc_place_set_ifindex(place, name->if_index);
		if (sc_pins_open(&pins, place->dir))
			continue;
		err = show(place, &pins, list);
		sc_pins_close(&pins);
		cnt++;
	}
	if_freenameindex(names);
	if (!cnt && !list)
		printf("nothing is attached in this network namespace\n");
	return err;
}

int sc_cmd_status(int argc, char **argv)
{
	static struct sc_target target = {
		.doc = "Shows mode, CPUs, services and counters of IF, or of all attached interfaces of this network namespace.",
		.takes_json = true,
		.ifname_optional = true,
	};
	struct sc_place place;
	json_t *list = NULL;
	int err;

	sc_target_parse(&target, argc, argv);
	err = sc_caps_limit();
	err = err		    ?:
		      target.ifname ? sc_place_open(&place, target.common.bpffs, target.ifname) :
				      sc_place_lock(&place, target.common.bpffs);
	if (err)
		return SC_EXIT_FAILURE;
	if (target.json)
		list = json_array();
	err = target.ifname ? show_one(&place, list) : show_all(&place, list);
	if (!err && list)
		err = sc_report_print(json_pack("{s:i, s:O}", "schema_version", SC_REPORT_SCHEMA, "attachments", list));
	json_decref(list);
	sc_place_close(&place);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

// SPDX-License-Identifier: MIT
// Shows what attach would put on a device: programs as the verifier took them, CPUs and services.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "cpulist.h"
#include "log.h"
#include "report.h"
#include "trial.h"

struct outcome {
	const struct sc_place *place;
	const struct sc_plan *plan;
	enum sc_mode mode;
	bool attached; /* and so it would be a change in place */
	struct bpf_prog_info programs[2];
};

static int read_program(int fd, struct bpf_prog_info *ret_info)
{
	__u32 len = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	return bpf_prog_get_info_by_fd(fd, ret_info, &len) ? -errno : 0;
}

static const char *wish_name(enum sc_wish wish)
{
	return wish == SC_WISH_ON ? "turned to these CPUs" : "as they were before the first attach";
}

/* null: stays as it is. */
static json_t *wish_json(enum sc_wish wish)
{
	return wish == SC_WISH_NONE ? json_null() : json_boolean(wish == SC_WISH_ON);
}

static void show_text(const struct outcome *outcome)
{
	const struct sc_plan *plan = outcome->plan;
	char text[SC_CPULIST_LEN], limit[SC_LIMIT_LEN];
	int i;

	printf("%s: dry run, nothing changed: attach would %s in %s mode, CPUs %s\n", outcome->place->ifname,
	       outcome->attached ? "change it in place" : "put programs on it", sc_mode_name(outcome->mode),
	       sc_cpulist_format(&plan->cpus, text, sizeof(text)));
	for (i = 0; i < plan->spec_cnt; i++)
		printf("  service %s\n", sc_spec_format(&plan->specs[i], text));
	for (i = 0; i < plan->xsk_cnt; i++)
		printf("  to AF_XDP sockets: %s\n", sc_spec_format(&plan->xsk[i], text));
	for (i = 0; i < plan->spared_cnt; i++)
		printf("  never dropped: %s\n", sc_spec_format(&plan->spared[i], text));
	for (i = 0; i < SC_FILTERS; i++)
		if (plan->filters[i] != SC_WISH_NONE)
			printf("  %s %s\n", sc_filter_name(i), sc_filter_value(i, plan->filters[i] == SC_WISH_ON));
	if (plan->syn != SC_WISH_NONE) {
		printf("  ");
		sc_cookies_text(&plan->cookies);
	}
	for (i = 0; i < plan->limit_cnt; i++)
		printf("  limit %s\n", sc_limit_format(&plan->limits[i], limit));
	if (plan->irq != SC_WISH_NONE)
		printf("  interrupts, RSS, RPS, XPS: %s\n", wish_name(plan->irq));
	if (plan->busy_poll != SC_WISH_NONE)
		printf("  NAPI threads: %s\n", wish_name(plan->busy_poll));
	for (i = SC_LIST_DENY; i <= SC_LIST_ALLOW; i++)
		if (plan->has_list[i])
			printf("  %s list: %d prefixes\n", i == SC_LIST_DENY ? "deny" : "allow", plan->lists[i].cnt);
	if (plan->is_whole)
		printf("  services, spared ports and limits that are not here go\n");
	for (i = 0; i < 2; i++)
		printf("  program %s: verified, %u instructions looked at, %u bytes of machine code\n",
		       outcome->programs[i].name, outcome->programs[i].verified_insns,
		       outcome->programs[i].jited_prog_len);
}

static json_t *filter_json(const struct sc_plan *plan, enum sc_filter filter)
{
	enum sc_wish wish = plan->filters[filter];

	return wish == SC_WISH_NONE ? json_null() : json_string(sc_filter_value(filter, wish == SC_WISH_ON));
}

static json_t *programs_json(const struct outcome *outcome)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < 2; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:I, s:I}", "name", outcome->programs[i].name, "verified_instructions",
					(json_int_t)outcome->programs[i].verified_insns, "machine_code_bytes",
					(json_int_t)outcome->programs[i].jited_prog_len));
	return list;
}

static json_t *specs_json(const struct sc_spec *specs, int cnt)
{
	json_t *list = json_array();
	char text[SC_SPEC_LEN];
	int i;

	for (i = 0; i < cnt; i++)
		json_array_append_new(list, json_string(sc_spec_format(&specs[i], text)));
	return list;
}

/* null: stays as it is. */
static json_t *list_json(const struct sc_plan *plan, enum sc_list list)
{
	return plan->has_list[list] ? json_integer(plan->lists[list].cnt) : json_null();
}

static int show_json(const struct outcome *outcome)
{
	const struct sc_plan *plan = outcome->plan;
	json_t *cpus = json_array(), *root;
	int i;

	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &plan->cpus))
			json_array_append_new(cpus, json_integer(i));
	root = json_pack(
		"{s:i, s:s, s:b, s:b, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"schema_version", SC_REPORT_SCHEMA, "interface", outcome->place->ifname, "dry_run", 1, "in_place",
		outcome->attached, "whole", plan->is_whole, "mode", sc_mode_name(outcome->mode), "cpus", cpus,
		"services", specs_json(plan->specs, plan->spec_cnt), "xsk", specs_json(plan->xsk, plan->xsk_cnt),
		"never_drop", specs_json(plan->spared, plan->spared_cnt), "validity",
		wish_json(plan->filters[SC_FILTER_VALIDITY]), "options", filter_json(plan, SC_FILTER_OPTIONS),
		"fragments", filter_json(plan, SC_FILTER_FRAGMENTS), "irq", wish_json(plan->irq), "busy_poll",
		wish_json(plan->busy_poll), "syn",
		plan->syn == SC_WISH_NONE ? json_null() : sc_cookies_json(&plan->cookies), "limits",
		sc_limits_json(plan->limits, plan->limit_cnt), "deny_prefixes", list_json(plan, SC_LIST_DENY),
		"allow_prefixes", list_json(plan, SC_LIST_ALLOW), "programs", programs_json(outcome));
	return sc_report_print(root);
}

int sc_trial(const struct sc_place *place, const struct sc_plan *plan, bool json)
{
	struct outcome outcome = { .place = place, .plan = plan };
	struct sc_pins pins;
	int err;

	sc_pins_init(&pins);
	err = sc_install_try(place, &pins, plan, &outcome.mode, &outcome.attached);
	if (!err) {
		err = read_program(pins.steer, &outcome.programs[0]);
		err = err ?: read_program(pins.on_cpu, &outcome.programs[1]);
		if (err)
			sc_error("%s: cannot look at the programs: %s; run it as root", place->ifname, strerror(-err));
	}
	sc_pins_close(&pins);
	if (err)
		return err;
	if (json)
		return show_json(&outcome);
	show_text(&outcome);
	return 0;
}

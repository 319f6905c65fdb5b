// SPDX-License-Identifier: MIT
// Shows a report, as text or as JSON.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "knob.h"
#include "modules.h"
#include "reasons.h"
#include "report.h"
#include "steering.h"

static void format_tag(const struct sc_report *report, char text[2 * sizeof(report->program_tag) + 1])
{
	size_t i;

	for (i = 0; i < sizeof(report->program_tag); i++)
		snprintf(text + 2 * i, 3, "%02x", report->program_tag[i]);
}

static void show_cpus(const struct sc_report *report)
{
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &report->cpus))
			printf("  CPU %d: %u of %d slots\n", cpu, report->slots[cpu], SC_STEER_SLOTS);
}

static void show_modules(const struct sc_report *report)
{
	const struct sc_module_name *module;
	char text[SC_SPEC_LEN];
	int i;

	printf("  modules:");
	for (module = sc_module_names; module->name; module++)
		printf(" %s %s%s", module->name, report->modules & module->module ? "on" : "off",
		       module[1].name ? "," : "");
	for (i = 0; i < report->spared_cnt && i < SC_SPARED_MAX; i++)
		printf("%s %s", i ? "" : "; never dropped:", sc_spec_format(&report->spared[i], text));
	printf("%s\n", report->spared_cnt > SC_SPARED_MAX ? " and more" : "");
}

static void show_pending(const struct sc_report *report)
{
	if (report->is_pending && report->left_s)
		printf("  not confirmed: taken back in %u s, unless you run sidecore-loader confirm %s\n",
		       report->left_s, report->place->ifname);
	else if (report->is_pending)
		printf("  never confirmed, and who waited was killed: it stays; run sidecore-loader confirm %s\n",
		       report->place->ifname);
}

static void show_tuned(const struct sc_report *report)
{
	if (report->tuned & SC_TUNED_IRQ)
		printf("  until detach on the dedicated CPUs: interrupts, RSS, RPS, XPS, as far as the driver lets\n");
	if (report->tuned & SC_TUNED_BUSY_POLL)
		printf("  until detach on the dedicated CPUs: NAPI, by threads\n");
}

static void show_services(const struct sc_report *report)
{
	const struct sc_service_report *service;
	char text[SC_SPEC_LEN];
	int i;

	if (!report->service_cnt)
		return;
	printf("  %-32s %12s %12s %12s %15s %10s %10s\n", "service", "local", "steered", "arrived", "bytes", "opened",
	       "live");
	for (i = 0; i < report->service_cnt; i++) {
		service = &report->services[i];
		printf("  %-32s %12llu %12llu %12llu %15llu %10llu %10llu\n", sc_spec_format(&service->spec, text),
		       (unsigned long long)service->sum.local, (unsigned long long)service->sum.steered,
		       (unsigned long long)service->sum.arrived,
		       (unsigned long long)(service->sum.local_bytes + service->sum.arrived_bytes),
		       (unsigned long long)service->sum.opened, (unsigned long long)sc_service_live(&service->sum));
	}
}

void sc_report_text(const struct sc_report *report)
{
	char tag[2 * sizeof(report->program_tag) + 1], limit[SC_LIMIT_LEN];
	int i, reason;

	format_tag(report, tag);
	printf("%s: %s mode, program %s id %u tag %s\n", report->place->ifname, sc_mode_name(report->mode),
	       report->program_name, report->program_id, tag);
	show_pending(report);
	show_modules(report);
	show_cpus(report);
	show_tuned(report);
	if (report->cookies.on) {
		printf("  ");
		sc_cookies_text(&report->cookies);
	}
	for (i = 0; i < report->limit_cnt; i++)
		printf("  limit %s\n", sc_limit_format(&report->limits[i], limit));
	show_services(report);
	printf("  %-16s %12s\n", "verdict", "packets");
	for (reason = 0; reason < SC_REASON_CNT; reason++)
		if (report->counters[reason])
			printf("  %-16s %12llu  %s\n", sc_reason_name(reason),
			       (unsigned long long)report->counters[reason], sc_reason_help(reason));
}

static json_t *cpus_json(const struct sc_report *report)
{
	json_t *list = json_array();
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &report->cpus))
			json_array_append_new(list, json_pack("{s:i, s:i, s:b}", "cpu", cpu, "slots",
							      report->slots[cpu], "active", report->slots[cpu] > 0));
	return list;
}

static json_t *service_json(const struct sc_service_report *service)
{
	json_t *by_cpu = json_object();
	char text[SC_SPEC_LEN], cpu_text[16];
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!service->arrived[cpu])
			continue;
		snprintf(cpu_text, sizeof(cpu_text), "%d", cpu);
		json_object_set_new(by_cpu, cpu_text, json_integer(service->arrived[cpu]));
	}
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "service",
			 sc_spec_format(&service->spec, text), "local", (json_int_t)service->sum.local, "steered",
			 (json_int_t)service->sum.steered, "arrived", (json_int_t)service->sum.arrived, "arrived_bytes",
			 (json_int_t)service->sum.arrived_bytes, "local_bytes", (json_int_t)service->sum.local_bytes,
			 "opened", (json_int_t)service->sum.opened, "closed", (json_int_t)service->sum.closed, "live",
			 (json_int_t)sc_service_live(&service->sum), "arrived_by_cpu", by_cpu);
}

static json_t *modules_json(const struct sc_report *report)
{
	json_t *modules = json_object();
	const struct sc_module_name *module;

	for (module = sc_module_names; module->name; module++)
		json_object_set_new(modules, module->name, json_boolean(report->modules & module->module));
	return modules;
}

static json_t *spared_json(const struct sc_report *report)
{
	json_t *list = json_array();
	char text[SC_SPEC_LEN];
	int i;

	for (i = 0; i < report->spared_cnt && i < SC_SPARED_MAX; i++)
		json_array_append_new(list, json_string(sc_spec_format(&report->spared[i], text)));
	return list;
}

/* Seconds until a change is taken back, 0: nobody will, null: nothing waits to be confirmed. */
static json_t *pending_json(const struct sc_report *report)
{
	return report->is_pending ? json_integer(report->left_s) : json_null();
}

json_t *sc_report_json(const struct sc_report *report)
{
	char tag[2 * sizeof(report->program_tag) + 1];
	json_t *services = json_array(), *counters = json_object();
	int i;

	for (i = 0; i < report->service_cnt; i++)
		json_array_append_new(services, service_json(&report->services[i]));
	for (i = 0; i < SC_REASON_CNT; i++)
		json_object_set_new(counters, sc_reason_name(i), json_integer(report->counters[i]));
	format_tag(report, tag);
	return json_pack("{s:s, s:i, s:I, s:s, s:{s:s, s:I, s:s}, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o}",
			 "interface", report->place->ifname, "ifindex", report->place->ifindex, "netns",
			 (json_int_t)report->place->netns, "mode", sc_mode_name(report->mode), "program", "name",
			 report->program_name, "id", (json_int_t)report->program_id, "tag", tag, "modules",
			 modules_json(report), "never_drop", spared_json(report), "unconfirmed_s", pending_json(report),
			 "irq", !!(report->tuned & SC_TUNED_IRQ), "busy_poll", !!(report->tuned & SC_TUNED_BUSY_POLL),
			 "cpus", cpus_json(report), "syn", sc_cookies_json(&report->cookies), "limits",
			 sc_limits_json(report->limits, report->limit_cnt), "services", services, "counters", counters);
}

int sc_report_print(json_t *root)
{
	int err = 0;

	if (!root)
		err = -ENOMEM;
	else if (json_dumpf(root, stdout, JSON_INDENT(2)) || putchar('\n') == EOF || fflush(stdout))
		err = -EIO;
	if (err)
		sc_error("output: cannot write JSON: no memory, or nobody reads; run it again without --json");
	json_decref(root);
	return err;
}

int sc_report_done(const char *ifname, const char *what, bool json)
{
	if (json)
		return sc_report_print(
			json_pack("{s:i, s:s, s:b}", "schema_version", SC_REPORT_SCHEMA, "interface", ifname, what, 1));
	return printf("%s: %s\n", ifname, what) < 0 ? -EIO : 0;
}

int sc_report_one(const struct sc_place *place, const struct sc_pins *pins)
{
	struct sc_report *report = malloc(sizeof(*report));
	int err;

	err = report ? sc_report_init(report, place, pins) : -ENOMEM;
	if (err) {
		sc_error("%s: cannot read its maps: %s; detach, then attach again", place->ifname, strerror(-err));
	} else {
		err = sc_report_print(json_pack("{s:i, s:[o]}", "schema_version", SC_REPORT_SCHEMA, "attachments",
						sc_report_json(report)));
		sc_report_exit(report);
	}
	free(report);
	return err;
}

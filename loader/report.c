// SPDX-License-Identifier: MIT
// Reads programs, CPUs, services and counters of an attached interface.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "modules.h"
#include "pending.h"
#include "report.h"
#include "steering.h"
#include "tuning.h"

static int read_program(struct sc_report *report, const struct sc_pins *pins)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info), id;
	int program, err = 0;

	program = sc_link_program(pins->link);
	if (program < 0)
		return program;
	if (bpf_prog_get_info_by_fd(program, &info, &len))
		err = -errno;
	err = err ?: sc_modules_of(program, &report->modules);
	close(program);
	if (err)
		return err;
	report->program_id = info.id;
	snprintf(report->program_name, sizeof(report->program_name), "%s", info.name);
	memcpy(report->program_tag, info.tag, sizeof(report->program_tag));
	return sc_device_query(report->place->ifindex, &id, &report->mode);
}

static int read_cpus(struct sc_report *report, const struct sc_pins *pins)
{
	struct sc_steering table;
	int slot, err;

	err = sc_steering_get_cpus(pins, &report->cpus);
	err = err ?: sc_steering_read(pins, &table);
	if (err)
		return err;
	for (slot = 0; slot < SC_STEER_SLOTS; slot++)
		if (table.cpus[slot] < CPU_SETSIZE)
			report->slots[table.cpus[slot]]++;
	return 0;
}

static int read_changes(struct sc_report *report, const struct sc_pins *pins)
{
	int err = sc_pending_get(report->place, &report->left_s);

	report->is_pending = !err;
	if (err && err != -ENOENT)
		return err;
	err = sc_tuning_get(report->place, &report->tuned);
	if (err)
		return err;
	report->spared_cnt = sc_modules_spared(pins, report->spared, SC_SPARED_MAX);
	return report->spared_cnt < 0 ? report->spared_cnt : 0;
}

static int read_counters(struct sc_report *report, const struct sc_pins *pins, int cpu_cnt)
{
	__u64 *values = calloc(cpu_cnt, sizeof(*values));
	__u32 reason;
	int cpu, err = 0;

	if (!values)
		return -ENOMEM;
	for (reason = 0; reason < SC_REASON_CNT && !err; reason++) {
		if (bpf_map_lookup_elem(pins->counters, &reason, values))
			err = -errno;
		for (cpu = 0; cpu < cpu_cnt; cpu++)
			report->counters[reason] += values[cpu];
	}
	free(values);
	return err;
}

static int read_service(struct sc_service_report *service, const struct sc_pins *pins, __u32 row,
			struct sc_service_count *values, int cpu_cnt)
{
	int cpu;

	if (bpf_map_lookup_elem(pins->service_counts, &row, values))
		return -errno;
	for (cpu = 0; cpu < cpu_cnt && cpu < CPU_SETSIZE; cpu++) {
		service->sum.local += values[cpu].local;
		service->sum.steered += values[cpu].steered;
		service->sum.arrived += values[cpu].arrived;
		service->sum.arrived_bytes += values[cpu].arrived_bytes;
		service->sum.local_bytes += values[cpu].local_bytes;
		service->sum.opened += values[cpu].opened;
		service->sum.closed += values[cpu].closed;
		service->arrived[cpu] = values[cpu].arrived;
	}
	return 0;
}

static int read_services(struct sc_report *report, const struct sc_pins *pins, int cpu_cnt)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	struct sc_service_count *values;
	int i, err = 0, cnt;

	cnt = sc_services_list(pins, entries);
	report->services = calloc(cnt ?: 1, sizeof(*report->services));
	values = calloc(cpu_cnt, sizeof(*values));
	if (!report->services || !values)
		err = -ENOMEM;
	for (i = 0; i < cnt && !err; i++) {
		report->services[i].spec = entries[i].spec;
		err = read_service(&report->services[i], pins, entries[i].row, values, cpu_cnt);
	}
	report->service_cnt = cnt;
	free(values);
	return err;
}

static int read_limits(struct sc_report *report, const struct sc_pins *pins)
{
	int cnt = sc_limits_list(pins, report->limits);

	report->limit_cnt = cnt < 0 ? 0 : cnt;
	return cnt < 0 ? cnt : 0;
}

int sc_report_init(struct sc_report *report, const struct sc_place *place, const struct sc_pins *pins)
{
	int cpu_cnt = libbpf_num_possible_cpus(), err;

	memset(report, 0, sizeof(*report));
	if (cpu_cnt < 0)
		return cpu_cnt;
	report->place = place;
	err = read_program(report, pins);
	err = err ?: read_cpus(report, pins);
	err = err ?: sc_cookies_read(pins, &report->cookies);
	err = err ?: read_limits(report, pins);
	err = err ?: read_changes(report, pins);
	err = err ?: read_counters(report, pins, cpu_cnt);
	err = err ?: read_services(report, pins, cpu_cnt);
	if (err)
		sc_report_exit(report);
	return err;
}

void sc_report_exit(struct sc_report *report)
{
	free(report->services);
	report->services = NULL;
}

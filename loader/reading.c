// SPDX-License-Identifier: MIT
// Reads the per-CPU counters of an interface and takes one reading from another.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "reading.h"

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int allocate(struct sc_reading *reading, int service_cnt, int cpu_cnt)
{
	reading->cpu_cnt = cpu_cnt;
	reading->service_cnt = service_cnt;
	reading->reasons = calloc((size_t)SC_REASON_CNT * cpu_cnt, sizeof(*reading->reasons));
	reading->services = calloc(service_cnt ?: 1, sizeof(*reading->services));
	reading->counts = calloc((size_t)(service_cnt ?: 1) * cpu_cnt, sizeof(*reading->counts));
	return reading->reasons && reading->services && reading->counts ? 0 : -ENOMEM;
}

static int read_counters(struct sc_reading *reading, const struct sc_pins *pins)
{
	__u32 reason, row;
	int i;

	/* An older version's map ends earlier. */
	for (reason = 0; reason < SC_REASON_CNT; reason++)
		if (bpf_map_lookup_elem(pins->counters, &reason, &reading->reasons[reason * reading->cpu_cnt]) &&
		    errno != ENOENT)
			return -errno;
	for (i = 0; i < reading->service_cnt; i++) {
		row = reading->services[i].row;
		if (bpf_map_lookup_elem(pins->service_counts, &row, &reading->counts[i * reading->cpu_cnt]))
			return -errno;
	}
	return 0;
}

int sc_reading_init(struct sc_reading *reading, const struct sc_place *place, const struct sc_pins *pins)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	int cpu_cnt = libbpf_num_possible_cpus(), cnt, err;

	memset(reading, 0, sizeof(*reading));
	if (cpu_cnt < 0)
		return cpu_cnt;
	cnt = sc_services_list(pins, entries);
	if (cnt < 0)
		return cnt;
	err = allocate(reading, cnt, cpu_cnt);
	if (!err) {
		memcpy(reading->services, entries, cnt * sizeof(entries[0]));
		reading->ifindex = place->ifindex;
		memcpy(reading->ifname, place->ifname, sizeof(reading->ifname));
		err = read_counters(reading, pins);
		reading->time_ns = now_ns();
	}
	if (err)
		sc_reading_exit(reading);
	return err;
}

void sc_reading_exit(struct sc_reading *reading)
{
	free(reading->reasons);
	free(reading->services);
	free(reading->counts);
	memset(reading, 0, sizeof(*reading));
}

static __u64 since(__u64 now, __u64 before)
{
	return now >= before ? now - before : now;
}

/* NULL: the service is new. */
static const struct sc_service_count *find_counts(const struct sc_reading *reading,
						  const struct sc_service_entry *service)
{
	int i;

	for (i = 0; i < reading->service_cnt; i++)
		if (!memcmp(&reading->services[i], service, sizeof(*service)))
			return &reading->counts[i * reading->cpu_cnt];
	return NULL;
}

static void subtract_service(struct sc_service_count *counts, const struct sc_service_count *before, int cpu_cnt)
{
	int cpu;

	for (cpu = 0; cpu < cpu_cnt; cpu++) {
		counts[cpu].local = since(counts[cpu].local, before[cpu].local);
		counts[cpu].steered = since(counts[cpu].steered, before[cpu].steered);
		counts[cpu].arrived = since(counts[cpu].arrived, before[cpu].arrived);
		counts[cpu].arrived_bytes = since(counts[cpu].arrived_bytes, before[cpu].arrived_bytes);
		counts[cpu].local_bytes = since(counts[cpu].local_bytes, before[cpu].local_bytes);
		counts[cpu].opened = since(counts[cpu].opened, before[cpu].opened);
		counts[cpu].closed = since(counts[cpu].closed, before[cpu].closed);
	}
}

int sc_reading_subtract(struct sc_reading *ret_difference, const struct sc_reading *now,
			const struct sc_reading *before)
{
	struct sc_reading difference = *now;
	const struct sc_service_count *counts;
	int i, cells = SC_REASON_CNT * now->cpu_cnt;

	if (allocate(&difference, now->service_cnt, now->cpu_cnt)) {
		sc_reading_exit(&difference);
		return -ENOMEM;
	}
	difference.time_ns = now->time_ns - before->time_ns;
	for (i = 0; i < cells; i++)
		difference.reasons[i] = since(now->reasons[i], before->reasons[i]);
	memcpy(difference.services, now->services, now->service_cnt * sizeof(*now->services));
	memcpy(difference.counts, now->counts, (size_t)now->service_cnt * now->cpu_cnt * sizeof(*now->counts));
	for (i = 0; i < now->service_cnt; i++) {
		counts = find_counts(before, &now->services[i]);
		if (counts)
			subtract_service(&difference.counts[i * now->cpu_cnt], counts, now->cpu_cnt);
	}
	*ret_difference = difference;
	return 0;
}

__u64 sc_reading_reason(const struct sc_reading *reading, enum sc_reason reason)
{
	__u64 sum = 0;
	int cpu;

	for (cpu = 0; cpu < reading->cpu_cnt; cpu++)
		sum += reading->reasons[(int)reason * reading->cpu_cnt + cpu];
	return sum;
}

struct sc_service_count sc_reading_service(const struct sc_reading *reading, int service)
{
	const struct sc_service_count *counts = &reading->counts[service * reading->cpu_cnt];
	struct sc_service_count sum = { 0 };
	int cpu;

	for (cpu = 0; cpu < reading->cpu_cnt; cpu++) {
		sum.local += counts[cpu].local;
		sum.steered += counts[cpu].steered;
		sum.arrived += counts[cpu].arrived;
		sum.arrived_bytes += counts[cpu].arrived_bytes;
		sum.local_bytes += counts[cpu].local_bytes;
		sum.opened += counts[cpu].opened;
		sum.closed += counts[cpu].closed;
	}
	return sum;
}

static __u64 at(const struct sc_reading *reading, enum sc_reason reason, int cpu)
{
	return reading->reasons[(int)reason * reading->cpu_cnt + cpu];
}

__u64 sc_reading_arrived(const struct sc_reading *reading, int cpu)
{
	return at(reading, SC_REASON_ARRIVED, cpu) + at(reading, SC_REASON_STRAYED, cpu) +
	       at(reading, SC_REASON_LATE_OVER_SOURCE, cpu) + at(reading, SC_REASON_LATE_OVER_TOTAL, cpu);
}

__u64 sc_reading_received(const struct sc_reading *reading, int cpu)
{
	__u64 sum = 0;
	int reason;

	for (reason = 0; reason < SC_REASON_CNT; reason++)
		sum += at(reading, reason, cpu);
	return sum - sc_reading_arrived(reading, cpu);
}

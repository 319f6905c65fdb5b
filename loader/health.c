// SPDX-License-Identifier: MIT
// Measures traffic before and after an exchange of programs and compares.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "device.h"
#include "health.h"
#include "log.h"
#include "reading.h"
#include "signals.h"

enum {
	TRAFFIC_MIN = 10, /* packets before that, from which on silence is a sign */
};

static struct sc_traffic sum_up(const struct sc_reading *reading)
{
	struct sc_traffic traffic = {
		.steered = sc_reading_reason(reading, SC_REASON_STEERED),
		.no_entry = sc_reading_reason(reading, SC_REASON_NO_ENTRY),
	};
	int cpu;

	for (cpu = 0; cpu < reading->cpu_cnt; cpu++) {
		traffic.received += sc_reading_received(reading, cpu);
		traffic.arrived += sc_reading_arrived(reading, cpu);
	}
	return traffic;
}

static int measure(struct sc_traffic *ret_traffic, const struct sc_place *place, const struct sc_pins *pins,
		   double seconds)
{
	struct sc_reading start, end, difference;
	int err;

	err = sc_reading_init(&start, place, pins);
	if (err)
		return err;
	err = sc_signals_wait(seconds) ? -EINTR : 0;
	err = err ?: sc_reading_init(&end, place, pins);
	if (!err) {
		err = sc_reading_subtract(&difference, &end, &start);
		if (!err) {
			*ret_traffic = sum_up(&difference);
			sc_reading_exit(&difference);
		}
		sc_reading_exit(&end);
	}
	sc_reading_exit(&start);
	return err;
}

int sc_health_init(struct sc_health *health, const struct sc_place *place, const struct sc_pins *pins, double seconds)
{
	int err;

	*health = (struct sc_health){ .seconds = seconds };
	err = measure(&health->before, place, pins, seconds / 2);
	if (err && err != -EINTR)
		sc_error("%s: cannot read its counters: %s; detach, then attach again", place->ifname, strerror(-err));
	return err;
}

static bool runs_on(const struct sc_place *place, int program)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info), id;
	enum sc_mode mode;

	return !bpf_prog_get_info_by_fd(program, &info, &len) && !sc_device_query(place->ifindex, &id, &mode) &&
	       id == info.id;
}

static const char *compare(const struct sc_health *health)
{
	const struct sc_traffic *before = &health->before, *after = &health->after;
	static char why[160];

	if (before->received >= TRAFFIC_MIN && !after->received)
		snprintf(why, sizeof(why), "%llu packets came in %.1f s before, none in the same time after",
			 (unsigned long long)before->received, health->seconds / 2);
	else if (after->steered >= TRAFFIC_MIN && !after->arrived)
		snprintf(why, sizeof(why), "%llu packets were sent to dedicated CPUs, and none arrived",
			 (unsigned long long)after->steered);
	else if (after->no_entry && !before->no_entry)
		snprintf(why, sizeof(why), "%llu packets did not find their CPU in the CPU map",
			 (unsigned long long)after->no_entry);
	else
		return NULL;
	return why;
}

const char *sc_health_judge(struct sc_health *health, const struct sc_place *place, const struct sc_pins *pins)
{
	int err;

	/* First what was under way settles. */
	if (sc_signals_wait(health->seconds / 2))
		return "asked to end";
	err = measure(&health->after, place, pins, health->seconds / 2);
	if (err)
		return err == -EINTR ? "asked to end" : strerror(-err);
	if (!runs_on(place, pins->steer))
		return "another program is on the device";
	return compare(health);
}

/* SPDX-License-Identifier: MIT */
/* All counters of an attached interface at one moment, by CPU, and what happened between two moments. */
#ifndef SC_LOADER_READING_H
#define SC_LOADER_READING_H

#include "pins.h"
#include "place.h"
#include "services.h"

struct sc_reading {
	int ifindex;
	char ifname[IF_NAMESIZE];
	__u64 time_ns; /* of CLOCK_MONOTONIC; of a difference: how long it was */
	int cpu_cnt;
	__u64 *reasons; /* SC_REASON_CNT rows of cpu_cnt */
	int service_cnt;
	struct sc_service_entry *services;
	struct sc_service_count *counts; /* service_cnt rows of cpu_cnt */
};

/* Reads all. 0 or -errno; sc_reading_exit() after 0. */
int sc_reading_init(struct sc_reading *reading, const struct sc_place *place, const struct sc_pins *pins);
void sc_reading_exit(struct sc_reading *reading);

/*
 * What was counted from `before` to `now`, of the services there are now. A counter that is smaller now was made anew meanwhile,
 * and counts from zero. 0 or -ENOMEM; sc_reading_exit() after 0.
 */
int sc_reading_subtract(struct sc_reading *ret_difference, const struct sc_reading *now,
			const struct sc_reading *before);

/* Packets that were sent to this CPU. */
__u64 sc_reading_arrived(const struct sc_reading *reading, int cpu);

/* Packets that it took from the device: each counts once there, and a second time only where it is sent to. */
__u64 sc_reading_received(const struct sc_reading *reading, int cpu);

/* Over all CPUs. */
__u64 sc_reading_reason(const struct sc_reading *reading, enum sc_reason reason);
struct sc_service_count sc_reading_service(const struct sc_reading *reading, int service);

#endif

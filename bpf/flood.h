/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Tells whether a CPU is under a flood of SYNs. Each CPU for itself, by its own words: no atomics, no timers. */
#ifndef SC_BPF_FLOOD_H
#define SC_BPF_FLOOD_H

#include "maps.h"

enum {
	NS_PER_MS = 1000000,
	WINDOWS_PER_S = 1000 / SC_FLOOD_WINDOW_MS,
};

static __always_inline struct sc_flood *flood_get(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&floods, &key);
}

/* Counts a SYN; whether it is one of a flood. To go on, a flood takes half of what it takes to begin one. */
static __always_inline bool flood_has_syn(struct sc_flood *flood, __u32 rate)
{
	__u64 now = bpf_ktime_get_coarse_ns();

	if ((__s64)(now - flood->window_ns) >= SC_FLOOD_WINDOW_MS * NS_PER_MS) {
		flood->window_ns = now;
		flood->syns = 0;
	}
	flood->syns++;
	flood->on = flood->on && now < flood->until_ns;
	if (flood->syns > rate / WINDOWS_PER_S >> (flood->on ? 1 : 0)) {
		flood->on = true;
		flood->until_ns = now + (__u64)SC_FLOOD_HOLD_MS * NS_PER_MS;
	}
	return flood->on;
}

/* Mostly one load and one branch: the clock is read only while there may be a flood. */
static __always_inline bool flood_is_on(struct sc_flood *flood)
{
	if (flood->on && bpf_ktime_get_coarse_ns() >= flood->until_ns)
		flood->on = false;
	return flood->on;
}

#endif

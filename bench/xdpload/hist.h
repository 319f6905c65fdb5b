/* SPDX-License-Identifier: MIT */
/* Log-linear latency buckets: exact below 64 ns, at most 1/64 wide above; the program fills them, the report reads. */
#ifndef XDPLOAD_HIST_H
#define XDPLOAD_HIST_H

#include "xdpload.h"

static inline __attribute__((always_inline)) __u32 sc_hist_log2(__u64 value)
{
	__u32 log = 0;

	for (__u32 step = 32; step; step >>= 1) {
		if (value >> step) {
			value >>= step;
			log += step;
		}
	}
	return log;
}

static inline __attribute__((always_inline)) __u32 sc_hist_index(__u64 value_ns)
{
	const __u64 top = (1ULL << XDPLOAD_HIST_TOP) - 1;
	__u32 shift;

	if (value_ns > top)
		value_ns = top;
	if (value_ns < 1U << XDPLOAD_HIST_BITS)
		return (__u32)value_ns;
	shift = sc_hist_log2(value_ns) - XDPLOAD_HIST_BITS;
	return (shift << XDPLOAD_HIST_BITS) + (__u32)(value_ns >> shift);
}

/* The largest value of a bucket: percentiles are never understated. */
static inline __u64 sc_hist_upper_ns(__u32 idx)
{
	__u32 shift;

	if (idx < 2U << XDPLOAD_HIST_BITS)
		return idx;
	shift = (idx >> XDPLOAD_HIST_BITS) - 1;
	return ((idx - ((__u64)shift << XDPLOAD_HIST_BITS) + 1) << shift) - 1;
}

#endif

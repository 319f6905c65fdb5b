/* SPDX-License-Identifier: MIT */
/* CLOCK_MONOTONIC in nanoseconds, the clock of bpf_ktime_get_ns(). */
#ifndef XDPLOAD_CLOCK_H
#define XDPLOAD_CLOCK_H

#include <time.h>
#include <linux/types.h>

static inline __u64 sc_clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000 + (__u64)ts.tv_nsec;
}

#endif

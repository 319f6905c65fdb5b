/* SPDX-License-Identifier: MIT */
/* What the command line and the start-up probes settled; constant once serving begins. */
#ifndef RINGSVC_CONFIG_H
#define RINGSVC_CONFIG_H

#include <stdbool.h>

#include <sidecore/abi.h>

struct sc_config {
	unsigned int cpus[SC_LANES_MAX]; /* dedicated cores */
	unsigned int cpu_cnt;
	unsigned int idle_ms; /* a poller without work sleeps after that */
	unsigned int memlock_mib; /* --memlock; 0: the limit that is there */
	__u64 memlock_len; /* bytes that a uid's engines may lock */
	const char *socket_path;
	bool user; /* rootless: no capability, one uid */
	__u32 features; /* enum sc_channel_feature of this kernel */
};

#endif

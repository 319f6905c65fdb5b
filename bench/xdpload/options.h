/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef XDPLOAD_OPTIONS_H
#define XDPLOAD_OPTIONS_H

#include <sched.h>
#include <stdbool.h>
#include "probe.h"

struct sc_options {
	struct sc_probe probe; /* interface, target, path */
	cpu_set_t cpus;
	bool pinned; /* --cpu was given */
	bool json;
	__u32 connections;
	__u16 source_port;
	double duration_s;
	double warmup_s;
};

/* Exits with status 2 and a line on stderr if they make no sense. */
void sc_options_parse(struct sc_options *o, int argc, char **argv);

#endif

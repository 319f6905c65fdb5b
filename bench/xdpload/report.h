/* SPDX-License-Identifier: MIT */
/* The result of a run, as a table or as JSON. */
#ifndef XDPLOAD_REPORT_H
#define XDPLOAD_REPORT_H

#include <stdbool.h>
#include "conns.h"
#include "xdpload.h"

struct sc_report {
	const char *target; /* ADDR:PORT */
	const char *path;
	__u32 connections;
	__u32 response_len;
	__u64 window_ns; /* measured time, after the warm-up */
	struct xdpload_stats begin; /* of the measured time */
	struct xdpload_stats end;
	struct xdpload_stats total; /* from the first SYN until the last response */
	struct sc_conns_tally tally; /* after the last response */
	double ns_per_packet; /* 0 = not measured */
	bool interrupted;
};

__u64 sc_report_errors(const struct sc_report *r);

/* Connections reset, closed, broken, never established, or still waiting for an answer at the end. */
__u32 sc_report_lost(const struct sc_report *r);

void sc_report_print(const struct sc_report *r);
void sc_report_print_json(const struct sc_report *r);

#endif

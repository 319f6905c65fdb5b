/* SPDX-License-Identifier: MIT */
/* What a server tells: that it is ready, and what it has done. */
#ifndef EXAMPLES_REPORT_H
#define EXAMPLES_REPORT_H

#include <stdint.h>

#include "options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One line on stderr: "httpd: listening on 10.0.0.1:8080 (ENGINE)". */
void sc_report_ready(const struct sc_listen_options *options, uint16_t port, const char *engine);

/*
 * One line of JSON on stdout: {"name", "requests", user_s, system_s, voluntary_switches, involuntary_switches,
 * max_rss_kib EXTRA}. extra is empty or begins with a comma.
 */
void sc_report_stats(uint64_t requests, const char *extra);

#ifdef __cplusplus
}
#endif
#endif

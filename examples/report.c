// SPDX-License-Identifier: MIT
/* The ready line and the statistics line. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "report.h"

void sc_report_ready(const struct sc_listen_options *options, uint16_t port, const char *engine)
{
	bool ip6 = strchr(options->address, ':');

	if (!strncmp(options->address, "unix:", 5))
		fprintf(stderr, "%s: listening on %s (engine %s)\n", program_invocation_short_name, options->address,
			engine);
	else
		fprintf(stderr, "%s: listening on %s%s%s:%u (engine %s)\n", program_invocation_short_name,
			ip6 ? "[" : "", options->address, ip6 ? "]" : "", port, engine);
}

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void sc_report_stats(uint64_t requests, const char *extra)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	printf("{\"name\": \"%s\", \"requests\": %" PRIu64 ", \"user_s\": %.6f, \"system_s\": %.6f, "
	       "\"voluntary_switches\": %ld, \"involuntary_switches\": %ld, \"max_rss_kib\": %ld%s}\n",
	       program_invocation_short_name, requests, seconds(usage.ru_utime), seconds(usage.ru_stime),
	       usage.ru_nvcsw, usage.ru_nivcsw, usage.ru_maxrss, extra);
}

// SPDX-License-Identifier: MIT
// The result of a run. Requests, bytes and latencies are those of the measured time, faults those of the whole run.
#include <stdio.h>
#include "hist.h"
#include "report.h"

static const struct {
	const char *key;
	unsigned int per_mille;
} percentiles[] = { { "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p999", 999 }, { "max", 1000 } };

enum { PERCENTILES_CNT = sizeof(percentiles) / sizeof(percentiles[0]) };

static const char *const counter_keys[] = {
#define X(name, key) [XDPLOAD_##name] = key,
	XDPLOAD_COUNTERS(X)
#undef X
};

__u64 sc_report_errors(const struct sc_report *r)
{
	return r->total.counter[XDPLOAD_BAD_STATUS] + r->total.counter[XDPLOAD_BAD_LENGTH];
}

__u32 sc_report_lost(const struct sc_report *r)
{
	return r->tally.lost + r->tally.connecting + r->tally.open;
}

static __u64 measured(const struct sc_report *r, enum xdpload_counter counter)
{
	return r->end.counter[counter] - r->begin.counter[counter];
}

static double seconds(const struct sc_report *r)
{
	return (double)r->window_ns / 1e9;
}

static double per_second(const struct sc_report *r)
{
	return r->window_ns ? (double)measured(r, XDPLOAD_RESPONSES) / seconds(r) : 0;
}

/* The upper edge of the bucket that holds the request at this rank; 0 without requests. */
static double latency_us(const struct sc_report *r, unsigned int per_mille)
{
	__u64 cnt = 0, rank, seen = 0;

	for (__u32 i = 0; i < XDPLOAD_HIST_BUCKETS; i++)
		cnt += r->end.latency[i] - r->begin.latency[i];
	rank = (cnt * per_mille + 999) / 1000;
	for (__u32 i = 0; cnt && i < XDPLOAD_HIST_BUCKETS; i++) {
		seen += r->end.latency[i] - r->begin.latency[i];
		if (seen >= rank)
			return (double)sc_hist_upper_ns(i) / 1e3;
	}
	return 0;
}

void sc_report_print(const struct sc_report *r)
{
	printf("http://%s%s: %u connections, %.2f s%s, %u bytes per response\n", r->target, r->path, r->connections,
	       seconds(r), r->interrupted ? " (interrupted)" : "", r->response_len);
	printf("  requests/s  %12.0f   (%llu requests, %.1f MB/s)\n", per_second(r),
	       (unsigned long long)measured(r, XDPLOAD_RESPONSES),
	       r->window_ns ? (double)measured(r, XDPLOAD_BYTES) / 1e6 / seconds(r) : 0);
	printf("  latency us ");
	for (int i = 0; i < PERCENTILES_CNT; i++)
		printf(" %s %.1f", percentiles[i].key, latency_us(r, percentiles[i].per_mille));
	printf("\n  faults      errors %llu  resets %llu  closed %llu  stalled %llu  lost %u  retransmits %llu  "
	       "out of order %llu\n",
	       (unsigned long long)sc_report_errors(r), (unsigned long long)r->total.counter[XDPLOAD_RESETS],
	       (unsigned long long)r->total.counter[XDPLOAD_CLOSED], (unsigned long long)r->tally.stalled,
	       sc_report_lost(r), (unsigned long long)r->total.counter[XDPLOAD_RETRANSMITS],
	       (unsigned long long)r->total.counter[XDPLOAD_OUT_OF_ORDER]);
	if (r->total.counter[XDPLOAD_OUT_OF_ORDER])
		printf("  packets were lost: a veth without a qdisc drops bursts over 256; on the server's end: "
		       "tc qdisc add dev VETH root pfifo limit 10000\n");
	if (r->ns_per_packet > 0)
		printf("  XDP program %.0f ns per packet\n", r->ns_per_packet);
}

/* Target and path were parsed or checked to need no escaping. */
void sc_report_print_json(const struct sc_report *r)
{
	printf("{\"schema_version\": 1, \"target\": \"%s\", \"path\": \"%s\", \"connections\": %u, "
	       "\"duration_s\": %.6f, \"interrupted\": %s, \"response_bytes\": %u,\n",
	       r->target, r->path, r->connections, seconds(r), r->interrupted ? "true" : "false", r->response_len);
	printf(" \"requests\": %llu, \"requests_per_s\": %.1f, \"bytes\": %llu,\n \"latency_us\": {",
	       (unsigned long long)measured(r, XDPLOAD_RESPONSES), per_second(r),
	       (unsigned long long)measured(r, XDPLOAD_BYTES));
	for (int i = 0; i < PERCENTILES_CNT; i++)
		printf("%s\"%s\": %.3f", i ? ", " : "", percentiles[i].key, latency_us(r, percentiles[i].per_mille));
	printf("},\n \"errors\": %llu, \"resets\": %llu, \"stalled\": %llu, \"lost\": %u, \"retransmits\": %llu, "
	       "\"out_of_order\": %llu, \"syns_again\": %llu,\n \"ns_per_packet\": ",
	       (unsigned long long)sc_report_errors(r), (unsigned long long)r->total.counter[XDPLOAD_RESETS],
	       (unsigned long long)r->tally.stalled, sc_report_lost(r),
	       (unsigned long long)r->total.counter[XDPLOAD_RETRANSMITS],
	       (unsigned long long)r->total.counter[XDPLOAD_OUT_OF_ORDER], (unsigned long long)r->tally.syns_again);
	if (r->ns_per_packet > 0)
		printf("%.1f", r->ns_per_packet);
	else
		printf("null");
	printf(",\n \"total\": {");
	for (int i = 0; i < XDPLOAD_COUNTERS_CNT; i++)
		printf("%s\"%s\": %llu", i ? ", " : "", counter_keys[i], (unsigned long long)r->total.counter[i]);
	printf("}}\n");
}

// SPDX-License-Identifier: MIT
/* A client of ordinary sockets: one thread, many connections, closed loop. */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "conn.h"
#include "listen.h"
#include "signals.h"

enum { EVENTS_MAX = 256, CONNECTING_MAX = 512, PATIENCE_MS = 100, BLOCKING_LEN_MAX = 4096, READY_S = 30 };

static struct load load;

static void turn(void)
{
	struct epoll_event events[EVENTS_MAX];
	int cnt = epoll_wait(load.epoll, events, EVENTS_MAX, PATIENCE_MS);

	for (int i = 0; i < cnt; i++)
		conn_move(&load, events[i].data.ptr);
}

/* A connection that is not there after this long never comes. */
static bool in_time(uint64_t start_ns)
{
	if (load_now_ns() - start_ns < READY_S * 1000000000ULL)
		return true;
	warnx("%u of %u connections after %d s: see whether the server serves so many", load.ready,
	      load.options.connections, READY_S);
	return false;
}

/* Not more at a time than a backlog takes. Those that come and go are never ready: all are there when all are begun. */
static bool open_all(struct conn *conns)
{
	bool stays = load.options.kind != LOAD_ACCEPT && load.options.kind != LOAD_CHURN;
	uint64_t start_ns = load_now_ns();
	unsigned int begun = 0;

	while (!sc_signals_caught() && in_time(start_ns)) {
		while (begun < load.options.connections && (!stays || begun - load.ready < CONNECTING_MAX))
			if (!conn_open(&load, &conns[begun++]))
				return false;
		if (begun == load.options.connections && (!stays || load.ready == begun))
			return true;
		turn();
	}
	return false;
}

static void start_all(struct conn *conns)
{
	for (unsigned int i = 0; i < load.options.connections && load.options.kind < LOAD_ACCEPT; i++)
		conn_start(&load, &conns[i]);
}

static uint64_t run_until(uint64_t end_ns, struct conn *blocking)
{
	uint64_t now_ns;

	while ((now_ns = load_now_ns()) < end_ns && !sc_signals_caught() && !load.errors) {
		if (blocking)
			(void)conn_round_trip(&load, blocking);
		else
			turn();
	}
	return now_ns;
}

static double percentile_us(const struct load_counts *counts, unsigned int per_mille)
{
	uint64_t rank = (counts->ops * per_mille + 999) / 1000, seen = 0;

	for (unsigned int i = 0; counts->ops && i < XDPLOAD_HIST_BUCKETS; i++) {
		seen += counts->latency[i];
		if (seen >= rank)
			return (double)sc_hist_upper_ns(i) / 1e3;
	}
	return 0;
}

static void print(double window_s)
{
	const struct load_counts *counts = &load.counts;

	printf("{\"connections\": %u, \"duration_s\": %.6f, \"ops\": %llu, \"ops_per_s\": %.1f, \"bytes\": %llu, "
	       "\"latency_us\": {\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}, \"errors\": %llu}\n",
	       load.options.connections, window_s, (unsigned long long)counts->ops, (double)counts->ops / window_s,
	       (unsigned long long)counts->bytes, percentile_us(counts, 500), percentile_us(counts, 900),
	       percentile_us(counts, 990), percentile_us(counts, 1000), (unsigned long long)load.errors);
}

/* What is counted before the measured time is forgotten. */
static void measure(struct conn *blocking)
{
	uint64_t start_ns, end_ns;

	start_ns = run_until(load_now_ns() + (uint64_t)(load.options.warmup_s * 1e9), blocking);
	load.counts = (struct load_counts){ 0 };
	end_ns = run_until(UINT64_MAX, blocking);
	print((double)(end_ns - start_ns) / 1e9);
}

int main(int argc, char **argv)
{
	struct conn *conns;
	bool blocking;

	load_options_parse(&load.options, argc, argv);
	load.request_len = snprintf(load.request, sizeof(load.request), "GET %s HTTP/1.0\r\n\r\n", load.options.path);
	if (load.request_len >= (int)sizeof(load.request))
		errx(2, "path: longer than %zu bytes", sizeof(load.request) - sizeof("GET  HTTP/1.0\r\n\r\n"));
	sc_signals_catch();
	sc_listen_raise_files();
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc(load.options.connections, sizeof(*conns));
	if (load.epoll < 0 || !conns)
		err(EXIT_FAILURE, "epoll");
	/* One connection needs no epoll, whose cost would be in every latency; long messages need both directions at once. */
	blocking = load.options.connections == 1 && load.options.kind == LOAD_ECHO &&
		   load.options.len <= BLOCKING_LEN_MAX;
	if (!(blocking ? conn_open_blocking(&load, conns) : open_all(conns)))
		errx(EXIT_FAILURE, "connections: %u of %u: %s", load.ready, load.options.connections,
		     load.errors ? "the server does not take more" : "stopped");
	fprintf(stderr, "%u connections open\n", load.options.connections);
	if (!blocking)
		start_all(conns);
	measure(blocking ? conns : NULL);
	free(conns);
	return load.errors || (load.options.kind != LOAD_IDLE && !load.counts.ops) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/* One server in several processes, each with its own listener on the same port. */
#ifndef BENCH_WORKERS_H
#define BENCH_WORKERS_H

#include <stdbool.h>

#include <stdint.h>

#include "options.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SC_WORKERS_MAX = 64 };

struct sc_worker;

struct sc_workers {
	const char *engine; /* its name in the ready line */
	const struct sc_listen_options *options;
	unsigned int cnt;
	/* Calls sc_worker_ready once; false after a message. */
	bool (*serve)(void *context, const struct sc_worker *worker);
	void *context;
};

struct sc_worker {
	const struct sc_workers *all;
	uint16_t port;
	int listener;
	int ready_fd; /* where the first process waits for word; -1 in that process itself */
};

/*
 * Listens and serves in cnt processes, worker i on CPU options->cpu + i if a CPU is asked for. With cnt 1 that is this
 * process; else this one only waits, and passes SIGTERM on. False if any worker said false.
 */
bool sc_workers_run(const struct sc_workers *workers);

/* This worker can serve. When all can, the ready line is printed. */
void sc_worker_ready(const struct sc_worker *worker);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/* One server in several processes, each with its own listener on the same port. */
#ifndef BENCH_WORKERS_H
#define BENCH_WORKERS_H

#include <stdbool.h>

#include "options.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SC_WORKERS_MAX = 64 };

/*
 * Listens, prints the ready line with the engine's name and calls serve(context, listener) in cnt processes, worker i
 * on CPU options->cpu + i if a CPU is asked for. With cnt 1 that is this process; else this one only waits, and passes
 * SIGTERM on. False if any worker said false, after a message.
 */
bool sc_workers_run(const char *engine, const struct sc_listen_options *options, unsigned int cnt,
		    bool (*serve)(void *context, int listener), void *context);

#ifdef __cplusplus
}
#endif
#endif

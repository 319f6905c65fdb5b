/* SPDX-License-Identifier: MIT */
/* All of a baseline server but how it moves bytes. */
#ifndef BENCH_BASELINE_H
#define BENCH_BASELINE_H

#include <stdbool.h>

#include "handler.h"
#include "workers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Serves worker->listener until a signal of sc_signals_fd, and says by sc_worker_ready when it can. False after a message. */
typedef bool (*sc_baseline_serve_fn)(struct sc_handler *handler, const struct sc_worker *worker);

/* main: options, files, listener, workers, statistics. engine is the name in the ready line. */
int sc_baseline_main(int argc, char **argv, const char *engine, sc_baseline_serve_fn serve);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/* Opening a session of libapp the way its options say, and saying what was got. */
#ifndef EXAMPLES_ENGINE_H
#define EXAMPLES_ENGINE_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include <sidecore/app.h>

#include "options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Its input is a struct sc_options; the caller adds what its program needs beyond the options. */
extern const struct argp sc_engine_argp;

/* NULL after a message. */
struct sc_session *sc_engine_open(const struct sc_options *options);

/* Prints the ready line. */
void sc_engine_ready(struct sc_session *session, uint16_t port, const struct sc_listen_options *options);

/* Listens and prints the ready line. False after a message. */
bool sc_engine_listen(struct sc_session *session, const struct sc_listen_options *options);

/*
 * sc_wait for at most some tenths of a second: bounds what a signal just before the sleep can cost. How many events,
 * or -1 after a message: the session is of no more use.
 */
int sc_engine_wait(struct sc_session *session, struct sc_event *events, unsigned int max);

/* The statistics line, with libapp's counters. */
void sc_engine_report(struct sc_session *session, uint64_t requests);

#ifdef __cplusplus
}
#endif
#endif

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

/* Listens and prints the ready line. False after a message. */
bool sc_engine_listen(struct sc_session *session, const struct sc_listen_options *options);

/* The statistics line, with libapp's counters. */
void sc_engine_report(struct sc_session *session, uint64_t requests);

#ifdef __cplusplus
}
#endif
#endif

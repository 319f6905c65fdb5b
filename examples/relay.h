/* SPDX-License-Identifier: MIT */
/* A client and its connection to a server, each byte sent on from the buffer it was received into. */
#ifndef EXAMPLES_RELAY_H
#define EXAMPLES_RELAY_H

#include <stdint.h>

#include <sidecore/app.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For a client that was just accepted. One that cannot be served is reset; the first such is told on stderr. */
void sc_relay_start(struct sc_session *session, struct sc_conn *client, const struct sc_connect_options *to);

/* Any later event of a client or its server. */
void sc_relay_handle(const struct sc_event *event);

/* Relays of which both sides are closed. */
uint64_t sc_relay_ended(void);

#ifdef __cplusplus
}
#endif
#endif

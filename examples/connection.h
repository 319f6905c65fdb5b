/* SPDX-License-Identifier: MIT */
/* HTTP connections of a libapp session: what each event of theirs leads to. */
#ifndef EXAMPLES_CONNECTION_H
#define EXAMPLES_CONNECTION_H

#include <sidecore/app.h>

#include "handler.h"
#include "linger.h"
#include "pool.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SC_CONNECTION_BLOCK_LEN = 4096 }; /* of the arena, while a connection has responses on their way */

struct sc_connection;

struct sc_connections {
	struct sc_handler *handler;
	struct sc_connection *first; /* of all that are open */
	struct sc_pool blocks;
	struct sc_linger linger;
};

void sc_connections_init(struct sc_connections *all, struct sc_handler *handler, struct sc_session *session);

/* Any event but SC_EVENT_LOST. */
void sc_connections_event(struct sc_connections *all, const struct sc_event *event);

/* Closes who has lingered long enough. Once per turn of the main loop. */
void sc_connections_tick(struct sc_connections *all);

/* After the main loop, before the session is closed. */
void sc_connections_exit(struct sc_connections *all);

#ifdef __cplusplus
}
#endif
#endif

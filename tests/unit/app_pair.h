/* SPDX-License-Identifier: MIT */
/* A connection of the server under test that receives by jobs, and its far end, both in the test's hands. */
#ifndef TESTS_APP_PAIR_H
#define TESTS_APP_PAIR_H

#include "app_server.h"

enum { WAIT_MS = 10000, SHORT_MS = 30 }; /* for what must come; for what must not */

struct pair {
	struct server server;
	struct sc_conn *conn;
	int peer;
};

/* A handler of no event: what comes for others is only counted. */
void pair_ignore(struct server *server, struct sc_event *event);

int peer_and_accept(struct server *server, struct sc_conn **ret_conn);
void pair_open(struct pair *pair, struct sc_options *options);
void pair_close(struct pair *pair);

/* A port where nobody listens until the socket that is returned does. */
int bound_open(uint16_t *ret_port);

struct sc_counters counters(const struct server *server);

/* What the job ended with; it must end. */
ssize_t result_of(struct sc_job *job);
/* It does not end within a moment. */
bool pending(struct sc_job *job);

#endif

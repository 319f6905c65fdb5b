/* SPDX-License-Identifier: MIT */
/* A server on libapp as the scenarios drive it, on every engine: local, direct with a ringsvc of its own, both with descriptors. */
#ifndef TESTS_APP_SERVER_H
#define TESTS_APP_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include <sidecore/app.h>

#include "app_peer.h"

enum { PATIENCE_S = 30 };

struct server {
	struct sc_session *session;
	struct sc_listener *listener;
	void (*handle)(struct server *server, struct sc_event *event);
	struct sc_conn *held_conn; /* scenario's own */
	void *held[4096];
	unsigned int held_cnt;
	void *arg; /* the same */
	unsigned int accepted, connected, closed, sent, ends, errors;
	int connect_result, last_error, last_sent;
	uint64_t bytes;
	uint64_t next_tag;
	char *mem;
};

/* The engine under test, one lane. */
void server_options(struct sc_options *options);

/* A session of these options that listens on a free port of loopback. */
void server_open(struct server *server, struct sc_options *options, void (*handle)(struct server *, struct sc_event *));

/* The engine under test, and the socket of its service or NULL, for who opens by himself. */
enum sc_engine server_engine(void);
const char *server_service(void);

/* One turn of the server: counts and handles what comes; returns the number of events. */
int turn(struct server *server, int timeout_ms);

#define turn_until(server, condition)                                   \
	do {                                                            \
		time_t end_ = time(NULL) + PATIENCE_S;                  \
		while (!(condition)) {                                  \
			(void)turn(server, 20);                         \
			if (time(NULL) > end_)                          \
				fail_msg("never came: %s", #condition); \
		}                                                       \
	} while (0)

/* Runs the server until the peer is through, then everything must be closed; closes the session. */
void serve(struct server *server, int (*run)(struct peer *), void *arg);

/* All scenarios, or those whose names the filter matches, on every engine; returns how many failed. */
int server_run(const struct CMUnitTest *scenarios, size_t cnt, const char *filter);

#endif

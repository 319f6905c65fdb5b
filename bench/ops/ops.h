/* SPDX-License-Identifier: MIT */
/* What client and server of the benchmark of single operations tell each other: one message, before anything else. */
#ifndef BENCH_OPS_H
#define BENCH_OPS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

enum sc_ops_kind {
	SC_OPS_ECHO = 1, /* what comes is sent back */
	SC_OPS_SEND, /* the server sends messages of len bytes without end */
	SC_OPS_RECEIVE, /* the server takes what comes */
};

enum {
	SC_OPS_LEN_MAX = 1 << 20,
	SC_OPS_AHEAD = 1 << 18, /* bytes the server may have asked to be sent on a connection, but at least ... */
	SC_OPS_AHEAD_MIN = 2, /* ... so many messages, and at most ... */
	SC_OPS_AHEAD_MAX = 16,
};

/* The first bytes of a connection. The server sends them back when it is ready. */
struct sc_ops_hello {
	uint32_t kind;
	uint32_t len; /* of a message */
};

/* The option --accept-only; its input is a bool. */
extern const struct argp sc_ops_argp;

/* False: these bytes are no such message. */
bool sc_ops_hello_read(struct sc_ops_hello *hello, const void *data, size_t len);

/* How many messages of this length the server has on their way. */
unsigned int sc_ops_ahead(uint32_t len);

#endif

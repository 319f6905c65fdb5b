/* SPDX-License-Identifier: MIT */
/* A client of ordinary sockets: what it is asked to do, and what it has counted. */
#ifndef SOCKLOAD_H
#define SOCKLOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "hist.h"
#include "ops.h"

enum load_kind {
	LOAD_ECHO = SC_OPS_ECHO,
	LOAD_SEND = SC_OPS_SEND, /* the server does */
	LOAD_RECEIVE = SC_OPS_RECEIVE,
	LOAD_ACCEPT, /* connects, waits for the end, closes */
	LOAD_CHURN, /* the same with an HTTP/1.0 request */
	LOAD_IDLE, /* connects, and stays */
};

struct load_options {
	struct sockaddr_in target;
	enum load_kind kind;
	uint32_t len; /* of a message */
	unsigned int connections;
	double warmup_s;
	const char *path;
};

struct load_counts {
	uint64_t ops;
	uint64_t bytes;
	uint64_t latency[XDPLOAD_HIST_BUCKETS]; /* of round trips and of connections from connect to the end */
};

void load_options_parse(struct load_options *options, int argc, char **argv);

#endif

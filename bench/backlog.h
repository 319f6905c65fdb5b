/* SPDX-License-Identifier: MIT */
/* What a full socket buffer holds up: responses not sent yet, and the requests behind them. */
#ifndef BENCH_BACKLOG_H
#define BENCH_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "respond.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sc_backlog {
	struct iovec pieces[SC_BATCH_PIECES];
	unsigned int first; /* not out yet */
	unsigned int cnt;
	bool close; /* nothing follows */
	const char *input;
	size_t input_len;
	char memory[];
};

/*
 * Copies what the caller will soon need for others: the batch's text out of its block, but for the bytes sent, and
 * unread input. NULL without memory. To be freed.
 */
struct sc_backlog *sc_backlog_keep(const struct sc_batch *batch, size_t sent, const char *input, size_t input_len);

/* Sends on: 1 all is out, 0 the socket is full again, -1 the connection is gone. */
int sc_backlog_send(struct sc_backlog *backlog, int fd);

/* How much went out, 0 if the socket is full, -1 if the connection is gone. */
ssize_t sc_backlog_transmit(int fd, const struct iovec *pieces, unsigned int cnt);

#ifdef __cplusplus
}
#endif
#endif

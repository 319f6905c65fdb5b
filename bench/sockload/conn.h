/* SPDX-License-Identifier: MIT */
/* One connection of the client: non-blocking, moved on by what epoll says. */
#ifndef SOCKLOAD_CONN_H
#define SOCKLOAD_CONN_H

#include "sockload.h"

struct load {
	struct load_options options;
	struct load_counts counts;
	int epoll;
	unsigned int ready; /* connections whose first message the server has answered */
	uint64_t errors;
	char request[512]; /* of LOAD_CHURN */
	int request_len;
};

struct conn {
	int fd;
	uint32_t events; /* what epoll was asked for */
	bool ready;
	size_t to_send, to_receive; /* of the step under way */
	uint64_t since_ns;
};

uint64_t load_now_ns(void);

/* Connects; false after counting an error. */
bool conn_open(struct load *load, struct conn *conn);
/* Its first message has been answered, as all others' have: those that are open would starve those that are not. */
void conn_start(struct load *load, struct conn *conn);
/* epoll says that something can be done. */
void conn_move(struct load *load, struct conn *conn);
/* An echo over a blocking socket: its first message, then round trip after round trip. False after counting an error. */
bool conn_open_blocking(struct load *load, struct conn *conn);
bool conn_round_trip(struct load *load, struct conn *conn);

#endif

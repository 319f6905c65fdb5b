/* SPDX-License-Identifier: MIT */
/* The inbox of a connection that receives by jobs: bytes that nobody asked for yet, or jobs that wait for some. */
#ifndef LIBAPP_INBOX_H
#define LIBAPP_INBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "kept.h"

struct sc_conn;
struct sc_job;

struct inbox {
	struct kept_list kept;
	struct sc_job *job_first, *job_last; /* none waits while something is kept */
	bool ended;
	bool told; /* the end was, by an event: no other tells it */
	int end; /* how: 0 orderly, or -errno; told to every job from then on */
};

/* Bytes just received: the waiting jobs' first. false: none of it is kept. */
bool sc_inbox_data(struct sc_conn *conn, void *data, size_t len);
/* No more will come; result: 0 or -errno. */
void sc_inbox_end(struct sc_conn *conn, int result);
void sc_inbox_cancel(struct sc_job *job);

/* What was received and not told of or asked for is given back. */
void sc_inbox_drop(struct sc_conn *conn);
/* The taker has a copy of what is kept. No job waits. The session's store is left alone: events are being collected, maybe there. */
void sc_inbox_given(struct sc_conn *conn);
/* The connection closes: what was not told of or asked for is given back, what waits is cancelled. */
void sc_inbox_close(struct sc_conn *conn);

/* Frees what there is of inboxes; the lane's buffers may be gone already. */
void sc_inbox_exit(struct lane *lane);

#endif

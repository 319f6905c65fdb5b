/* SPDX-License-Identifier: MIT */
/* Jobs: sends and receives whose end is asked for instead of told by an event. */
#ifndef LIBAPP_JOB_H
#define LIBAPP_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <sidecore/app.h>

struct send;

enum { JOB_CHUNK = 64 }; /* taken from the heap at a time */

struct sc_job {
	struct sc_job *next; /* of the free list, or of those that wait at the connection's inbox */
	struct sc_session *session;
	struct sc_conn *conn;
	struct send *send; /* a send under way; NULL: a receive, or ended */
	char *buf; /* a receive's: got of len bytes are there */
	size_t len, got;
	bool all; /* SC_RECV_ALL */
	bool copied; /* a send whose memory is to be free soon after a cancel: not without a copy */
	bool ended; /* result is set; nothing else points to the job */
	bool orphan; /* nobody will ask */
	ssize_t result;
};

struct job_pool {
	struct sc_job *free;
	struct job_chunk *chunks;
	unsigned int cnt;
};

/* NULL with a reason: too many, or no memory. */
struct sc_job *sc_job_get(struct sc_conn *conn);
void sc_job_put(struct sc_job *job);
int sc_job_send(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, bool copied, struct sc_job **ret_job);
void sc_job_end(struct sc_job *job, ssize_t result);
/* For sc_wait_until. */
bool sc_job_ended(void *job);
void sc_jobs_exit(struct job_pool *pool);

#endif

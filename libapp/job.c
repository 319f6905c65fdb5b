// SPDX-License-Identifier: MIT
/*
 * Jobs: sends and receives whose end is asked for instead of told by an event.
 *
 * A job belongs to the caller from its making until a call tells its result; that call ends its life. Before that a send or
 * an inbox points to it as well, and takes its pointer away by sc_job_end.
 */
#include <errno.h>
#include <stdlib.h>

#include "inbox.h"
#include "reason.h"
#include "session.h"
#include "sync.h"

struct job_chunk {
	struct job_chunk *next;
	struct sc_job jobs[JOB_CHUNK];
};

/* As many as there may be sends, so that jobs refuse no send that would be taken without. */
static bool grow(struct sc_session *session)
{
	struct job_pool *pool = &session->jobs;
	struct job_chunk *chunk;

	if (pool->cnt >= session->lane_cnt * session->lanes[0].send_max)
		return false;
	chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return false;
	chunk->next = pool->chunks;
	pool->chunks = chunk;
	pool->cnt += JOB_CHUNK;
	for (unsigned int i = 0; i < JOB_CHUNK; i++) {
		chunk->jobs[i].session = session;
		sc_job_put(&chunk->jobs[i]);
	}
	return true;
}

struct sc_job *sc_job_get(struct sc_conn *conn)
{
	struct sc_session *session = conn->lane->session;
	struct sc_job *job;

	if (!session->jobs.free && !grow(session)) {
		session->counters.sends_full++;
		(void)sc_refuse(-ENOMEM,
				"job: as many as there may be are under way, or memory is short: wait for some to end");
		return NULL;
	}
	job = session->jobs.free;
	session->jobs.free = job->next;
	*job = (struct sc_job){ .session = session, .conn = conn };
	return job;
}

void sc_job_put(struct sc_job *job)
{
	struct job_pool *pool = &job->session->jobs;

	job->next = pool->free;
	pool->free = job;
}

void sc_job_end(struct sc_job *job, ssize_t result)
{
	job->send = NULL;
	job->result = result;
	job->ended = true;
	if (job->orphan)
		sc_job_put(job);
}

void sc_jobs_exit(struct job_pool *pool)
{
	while (pool->chunks) {
		struct job_chunk *chunk = pool->chunks;

		pool->chunks = chunk->next;
		free(chunk);
	}
	*pool = (struct job_pool){ 0 };
}

/* --- the caller's side --- */

int sc_job_send(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, bool copied, struct sc_job **ret_job)
{
	struct sc_job *job = sc_job_get(conn);
	int err;

	if (!job)
		return -ENOMEM;
	job->copied = copied;
	err = sc_send_ask(conn, iov, cnt, 0, job);
	if (err)
		sc_job_put(job);
	else
		*ret_job = job;
	return err;
}

int sc_async_send(struct sc_conn *conn, const void *data, size_t len, struct sc_job **ret_job)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };

	return sc_async_sendv(conn, &iov, 1, ret_job);
}

int sc_async_sendv(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, struct sc_job **ret_job)
{
	return sc_job_send(conn, iov, cnt, false, ret_job);
}

bool sc_job_ended(void *job)
{
	return ((struct sc_job *)job)->ended;
}

int sc_job_wait(struct sc_job *job, int timeout_ms, ssize_t *ret_result)
{
	struct sc_session *session = job->session;
	int ret = sc_wait_until(session, sc_job_ended, job, timeout_ms);

	if (ret == 1) {
		*ret_result = job->result;
		sc_job_put(job);
	} else if (ret < 0 && ret == session->lost) {
		/* What points to the job is never taken away any more: it stays until the session is closed. */
		*ret_result = ret;
		ret = 1;
	}
	return ret;
}

int sc_job_done(struct sc_job *job, ssize_t *ret_result)
{
	return sc_job_wait(job, 0, ret_result);
}

void sc_job_cancel(struct sc_job *job)
{
	if (job->ended || sc_session_stale(job->session))
		return;
	if (job->send)
		sc_send_cancel(job->conn, job->send);
	else
		sc_inbox_cancel(job);
}

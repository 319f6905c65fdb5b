// SPDX-License-Identifier: MIT
/*
 * The inbox of a connection that receives by jobs: bytes that nobody asked for yet, or jobs that wait for some.
 *
 * What is kept counts as unreleased, so the window bounds it and TCP slows the peer down, as with events.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inbox.h"
#include "reason.h"
#include "session.h"

/* --- jobs --- */

static void job_take(struct sc_job *job, const char *from, size_t len)
{
	memcpy(job->buf + job->got, from, len);
	job->got += len;
}

static size_t job_room(const struct sc_job *job, size_t len)
{
	size_t room = job->len - job->got;

	return len < room ? len : room;
}

static bool job_full(const struct sc_job *job)
{
	return job->got == job->len || (job->got && !job->all);
}

static void job_end(struct sc_job *job, int otherwise)
{
	sc_job_end(job, job->got ? (ssize_t)job->got : otherwise);
}

static void job_add(struct inbox *inbox, struct sc_job *job)
{
	if (inbox->job_first)
		inbox->job_last->next = job;
	else
		inbox->job_first = job;
	inbox->job_last = job;
}

static struct sc_job *job_pop(struct inbox *inbox)
{
	struct sc_job *job = inbox->job_first;

	inbox->job_first = job->next;
	return job;
}

static void jobs_end(struct inbox *inbox, int result)
{
	while (inbox->job_first)
		job_end(job_pop(inbox), result);
}

static void job_read(struct sc_conn *conn, struct sc_job *job)
{
	struct kept_list *list = &conn->inbox->kept;

	while (list->first && job->got < job->len) {
		struct kept *kept = list->first;
		size_t len = job_room(job, kept->len);

		job_take(job, kept->at, len);
		kept->at += len;
		kept->len -= len;
		if (!kept->len)
			sc_recv_give_back(conn, sc_kept_pop(conn->lane, list));
	}
}

/* --- the connection's side --- */

bool sc_inbox_data(struct sc_conn *conn, void *data, size_t len)
{
	struct inbox *inbox = conn->inbox;
	char *at = data;

	while (inbox->job_first && len) {
		struct sc_job *job = inbox->job_first;
		size_t part = job_room(job, len);

		job_take(job, at, part);
		at += part;
		len -= part;
		if (job_full(job))
			job_end(job_pop(inbox), 0);
	}
	if (len)
		return sc_kept_received(conn->lane, &inbox->kept, at, len);
	sc_lane_buf_put(conn->lane, data);
	return false;
}

void sc_inbox_end(struct sc_conn *conn, int result)
{
	conn->inbox->ended = true;
	conn->inbox->end = result;
	jobs_end(conn->inbox, result);
}

void sc_inbox_cancel(struct sc_job *job)
{
	struct inbox *inbox = job->conn->inbox;
	struct sc_job **link = &inbox->job_first, *before = NULL;

	while (*link != job) {
		before = *link;
		link = &before->next;
	}
	*link = job->next;
	if (inbox->job_last == job)
		inbox->job_last = before;
	job_end(job, -ECANCELED);
}

static void give_up(struct sc_conn *conn, void *mem)
{
	sc_lane_buf_put(conn->lane, mem);
	conn->unreleased--;
}

static void kept_drop(struct sc_conn *conn)
{
	while (conn->inbox && conn->inbox->kept.first)
		give_up(conn, sc_kept_pop(conn->lane, &conn->inbox->kept));
}

static void events_drop(struct sc_conn *conn, bool connect_too)
{
	struct store *store = &conn->lane->session->store;

	for (unsigned int i = 0; i < store->cnt;) {
		const struct sc_event *event = sc_store_at(store, i);

		if (!sc_mode_received(event, conn) &&
		    !(connect_too && event->conn == conn && event->type == SC_EVENT_CONNECT)) {
			i++;
			continue;
		}
		if (event->data)
			give_up(conn, event->data);
		sc_store_remove(store, i);
	}
}

void sc_inbox_drop(struct sc_conn *conn)
{
	kept_drop(conn);
	events_drop(conn, false);
}

void sc_inbox_given(struct sc_conn *conn)
{
	kept_drop(conn);
	free(conn->inbox);
	conn->inbox = NULL;
}

void sc_inbox_close(struct sc_conn *conn)
{
	if (conn->inbox)
		jobs_end(conn->inbox, -ECANCELED);
	events_drop(conn, true);
	sc_inbox_given(conn);
}

void sc_inbox_exit(struct lane *lane)
{
	for (unsigned int i = 0; i < lane->conns_fresh; i++) {
		struct inbox *inbox = lane->conns[i].inbox;

		if (inbox)
			sc_kept_forget(lane, &inbox->kept);
		free(inbox);
	}
	free(lane->kept);
}

/* --- the caller's side --- */

int sc_async_recv(struct sc_conn *conn, void *buf, size_t len, unsigned int flags, struct sc_job **ret_job)
{
	struct sc_job *job;
	int err;

	if (!len || len > SC_ARENA_LEN_MAX || flags & ~(unsigned int)SC_RECV_ALL)
		return sc_refuse(-EINVAL, "receive: no bytes, more than 1 GiB, or a flag that is not known");
	err = sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS);
	if (err)
		return err;
	job = sc_job_get(conn);
	if (!job)
		return -ENOMEM;
	job->buf = buf;
	job->len = len;
	job->all = flags & SC_RECV_ALL;
	job_read(conn, job);
	if (job_full(job) || conn->inbox->ended)
		job_end(job, conn->inbox->end);
	else
		job_add(conn->inbox, job);
	*ret_job = job;
	return 0;
}

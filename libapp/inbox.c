// SPDX-License-Identifier: MIT
/*
 * The inbox of a connection that receives by jobs: bytes that nobody asked for yet, or jobs that wait for some.
 *
 * Received data stays where it is until a job copies it. What is kept counts as unreleased, so the window bounds it and TCP
 * slows the peer down, as with events.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "inbox.h"
#include "reason.h"
#include "session.h"

/* Bytes not read yet. Each receive buffer has one of its own, a copy in the arena one from the heap. */
struct kept {
	struct kept *next;
	void *mem; /* what is given back */
	char *at;
	size_t len;
};

struct inbox {
	struct kept *first, *last;
	struct sc_job *job_first, *job_last; /* none waits while there is something to read */
	bool ended;
	int end; /* how: 0 orderly, or -errno; told to every job from then on */
};

/* --- what is kept --- */

/* Where the bytes are noted. NULL: no memory for one of a copy. */
static struct kept *kept_for(struct lane *lane, const void *mem)
{
	size_t off = (size_t)((const char *)mem - lane->bufs);

	if (off < (size_t)lane->buf_cnt << lane->buf_shift)
		return &lane->kept[off >> lane->buf_shift];
	return malloc(sizeof(struct kept));
}

static void kept_free(struct lane *lane, struct kept *kept)
{
	if (kept < lane->kept || kept >= lane->kept + lane->buf_cnt)
		free(kept);
}

static void kept_add(struct inbox *inbox, struct kept *kept, void *mem, size_t len)
{
	*kept = (struct kept){ .mem = mem, .at = mem, .len = len };
	if (inbox->first)
		inbox->last->next = kept;
	else
		inbox->first = kept;
	inbox->last = kept;
}

static struct kept *kept_pop(struct inbox *inbox)
{
	struct kept *kept = inbox->first;

	inbox->first = kept->next;
	return kept;
}

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
	struct inbox *inbox = conn->inbox;

	while (inbox->first && job->got < job->len) {
		struct kept *kept = inbox->first;
		size_t len = job_room(job, kept->len);

		job_take(job, kept->at, len);
		kept->at += len;
		kept->len -= len;
		if (kept->len)
			continue;
		sc_recv_give_back(conn, kept_pop(inbox)->mem);
		kept_free(conn->lane, kept);
	}
}

/* --- the connection's side --- */

/* With few buffers left the bytes move to the arena, if there is memory for that. */
static void keep(struct sc_conn *conn, char *at, size_t len)
{
	struct lane *lane = conn->lane;
	struct kept *of_copy = sc_lane_bufs_few(lane) ? malloc(sizeof(*of_copy)) : NULL;
	void *mem = of_copy ? sc_recv_keep(lane, at, len) : at;

	if (mem == at) {
		free(of_copy);
		kept_add(conn->inbox, kept_for(lane, at), at, len);
	} else {
		kept_add(conn->inbox, of_copy, mem, len);
	}
}

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
		keep(conn, at, len);
	else
		sc_lane_buf_put(conn->lane, data);
	return len;
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

static void inbox_close(struct sc_conn *conn, struct inbox *inbox)
{
	jobs_end(inbox, -ECANCELED);
	while (inbox->first) {
		struct kept *kept = kept_pop(inbox);

		sc_lane_buf_put(conn->lane, kept->mem);
		conn->unreleased--;
		kept_free(conn->lane, kept);
	}
	conn->inbox = NULL;
	free(inbox);
}

void sc_inbox_exit(struct lane *lane)
{
	for (unsigned int i = 0; i < lane->conns_fresh; i++) {
		struct inbox *inbox = lane->conns[i].inbox;

		while (inbox && inbox->first)
			kept_free(lane, kept_pop(inbox));
		free(inbox);
	}
	free(lane->kept);
}

/* --- switching between events and jobs --- */

static bool is_received(const struct sc_event *event, const struct sc_conn *conn)
{
	return event->conn == conn && (event->type == SC_EVENT_RECV || event->type == SC_EVENT_ERROR);
}

/* What the store has of the connection; it stays there. false: no memory. */
static bool events_copy(struct sc_conn *conn, struct inbox *inbox)
{
	const struct store *store = &conn->lane->session->store;

	for (unsigned int i = 0; i < store->cnt; i++) {
		const struct sc_event *event = sc_store_at(store, i);
		struct kept *kept;

		if (!is_received(event, conn))
			continue;
		if (!event->len) {
			inbox->ended = true;
			inbox->end = event->result;
			continue;
		}
		kept = kept_for(conn->lane, event->data);
		if (!kept)
			return false;
		kept_add(inbox, kept, event->data, event->len);
	}
	return true;
}

static void events_remove(struct sc_conn *conn, bool connect_too)
{
	struct store *store = &conn->lane->session->store;

	for (unsigned int i = 0; i < store->cnt;) {
		const struct sc_event *event = sc_store_at(store, i);

		if (is_received(event, conn) || (connect_too && event->conn == conn && event->type == SC_EVENT_CONNECT))
			sc_store_remove(store, i);
		else
			i++;
	}
}

void sc_inbox_close(struct sc_conn *conn)
{
	struct store *store = &conn->lane->session->store;

	if (conn->inbox)
		inbox_close(conn, conn->inbox);
	for (unsigned int i = 0; i < store->cnt; i++) {
		const struct sc_event *event = sc_store_at(store, i);

		if (!is_received(event, conn) || !event->len)
			continue;
		sc_lane_buf_put(conn->lane, event->data);
		conn->unreleased--;
	}
	events_remove(conn, true);
}

static int to_jobs(struct sc_conn *conn)
{
	struct lane *lane = conn->lane;
	struct inbox *inbox = calloc(1, sizeof(*inbox));

	if (!lane->kept)
		lane->kept = calloc(lane->buf_cnt, sizeof(*lane->kept));
	if (!inbox || !lane->kept || !events_copy(conn, inbox)) {
		while (inbox && inbox->first)
			kept_free(lane, kept_pop(inbox));
		free(inbox);
		return sc_refuse(-ENOMEM, "connection: out of memory for receiving by jobs");
	}
	if (conn->recv_ended && !inbox->ended) /* and told */
		inbox->ended = true;
	events_remove(conn, false);
	conn->inbox = inbox;
	return 0;
}

static int to_events(struct sc_conn *conn)
{
	struct store *store = &conn->lane->session->store;
	struct inbox *inbox = conn->inbox;
	unsigned int cnt = inbox->ended;
	struct sink sink;

	if (inbox->job_first)
		return sc_refuse(-EBUSY, "connection: jobs wait to receive: let them end, or cancel them, first");
	for (struct kept *kept = inbox->first; kept; kept = kept->next)
		cnt++;
	if (cnt && !sc_store_room(store, cnt, &sink))
		return sc_refuse(-ENOBUFS, "session: too many events wait to be taken: call sc_poll first");
	while (inbox->first) {
		struct kept *kept = kept_pop(inbox);
		struct sc_event *event = sc_event_add(&sink, SC_EVENT_RECV, conn);

		event->data = memmove(kept->mem, kept->at, kept->len);
		event->len = kept->len;
		kept_free(conn->lane, kept);
	}
	if (inbox->ended)
		sc_event_add(&sink, inbox->end ? SC_EVENT_ERROR : SC_EVENT_RECV, conn)->result = inbox->end;
	if (cnt)
		sc_store_added(store, cnt);
	conn->inbox = NULL;
	free(inbox);
	return 0;
}

int sc_conn_set_recv_mode(struct sc_conn *conn, enum sc_recv_mode mode)
{
	if (conn->closing)
		return sc_refuse(-EPIPE, "connection: being closed: nothing more can be received");
	if (mode == SC_RECV_BY_JOBS)
		return conn->inbox ? 0 : to_jobs(conn);
	if (mode == SC_RECV_BY_EVENTS)
		return conn->inbox ? to_events(conn) : 0;
	return sc_refuse(-EINVAL, "connection: receives by events or by jobs: no other mode is known");
}

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

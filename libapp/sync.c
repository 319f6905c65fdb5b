// SPDX-License-Identifier: MIT
/* Synchronous calls: each asks for one thing and waits for its end, while what comes for others is kept. */
#include <errno.h>

#include "reason.h"
#include "session.h"
#include "sync.h"

int sc_wait_until(struct sc_session *session, bool (*done)(void *), void *arg, int timeout_ms)
{
	int64_t end = 0;

	if (done(arg))
		return 1;
	if (timeout_ms > 0)
		end = sc_session_now_ms() + timeout_ms;
	for (;;) {
		int err = sc_session_turn(session, timeout_ms);
		int64_t now;

		if (done(arg))
			return 1;
		if (err || !timeout_ms)
			return err;
		if (timeout_ms < 0)
			continue;
		now = sc_session_now_ms();
		timeout_ms = now < end ? (int)(end - now) : 0;
		if (!timeout_ms)
			return 0;
	}
}

/* A signal ends no call here: to give up would be to cancel. */
static int until(struct sc_session *session, bool (*done)(void *), void *arg, int timeout_ms)
{
	int64_t end = timeout_ms > 0 ? sc_session_now_ms() + timeout_ms : 0;
	int ret;

	while ((ret = sc_wait_until(session, done, arg, timeout_ms)) == -EINTR) {
		int64_t now = sc_session_now_ms();

		if (timeout_ms > 0)
			timeout_ms = now < end ? (int)(end - now) : 0;
	}
	return ret ? ret : sc_refuse(-ETIMEDOUT, "session: time is over, and what was waited for has not come");
}

/* What an event would tell as its result is this call's own. */
static ssize_t told(ssize_t result)
{
	return result < 0 ? sc_refuse((int)result, sc_strerror((int)result)) : result;
}

/* --- receiving, sending --- */

ssize_t sc_sync_recv(struct sc_conn *conn, void *buf, size_t len, unsigned int flags, int timeout_ms)
{
	struct sc_job *job;
	ssize_t result;
	int ret = sc_async_recv(conn, buf, len, flags, &job);

	if (ret)
		return ret;
	ret = until(job->session, sc_job_ended, job, timeout_ms);
	sc_job_cancel(job); /* a receive that waits ends by that */
	result = job->result;
	sc_job_put(job);
	return result == -ECANCELED && ret < 0 ? ret : told(result);
}

static ssize_t iov_len(const struct iovec *iov, unsigned int cnt)
{
	ssize_t len = 0;

	while (cnt--)
		len += (ssize_t)iov[cnt].iov_len;
	return len;
}

/* The kernel may be reading the memory: it is not given back before the cancelled send has ended. */
static int send_give_up(struct sc_job *job, int why)
{
	sc_job_cancel(job);
	if (until(job->session, sc_job_ended, job, -1) == 1)
		return why;
	job->orphan = true;
	return -ENOBUFS;
}

int sc_sync_send(struct sc_conn *conn, const void *data, size_t len, int timeout_ms)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };

	return sc_sync_sendv(conn, &iov, 1, timeout_ms);
}

int sc_sync_sendv(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, int timeout_ms)
{
	struct sc_session *session = conn->lane->session;
	struct sc_job *job;
	ssize_t result;
	int ret = sc_job_send(conn, iov, cnt, true, &job);

	if (ret)
		return ret;
	ret = until(session, sc_job_ended, job, timeout_ms);
	if (ret < 0 && ret != session->lost)
		ret = send_give_up(job, ret);
	if (!job->ended)
		return session->lost ? session->lost : ret;
	result = job->result;
	sc_job_put(job);
	if (result == iov_len(iov, cnt))
		return 0;
	if (ret < 0 && (result >= 0 || result == -ECANCELED))
		return ret;
	return (int)told(result);
}

/* --- accepting, connecting, closing: an event of the one looked for is taken out of those kept --- */

struct search {
	struct store *store;
	enum sc_event_type type;
	const void *of; /* the event's listener or connection */
	unsigned int at; /* those before it are others */
};

static bool found(void *arg)
{
	struct search *search = arg;

	for (; search->at < search->store->cnt; search->at++) {
		const struct sc_event *event = sc_store_at(search->store, search->at);

		if (event->type == search->type && (event->listener == search->of || event->conn == search->of))
			return true;
	}
	return false;
}

int sc_sync_accept(struct sc_listener *listener, int timeout_ms, struct sc_conn **ret_conn)
{
	struct sc_session *session = listener->session;
	struct search search = { .store = &session->store, .type = SC_EVENT_ACCEPT, .of = listener };
	int ret = until(session, found, &search, timeout_ms);
	struct sc_conn *conn;

	if (ret < 0)
		return ret;
	conn = sc_store_at(search.store, search.at)->conn;
	ret = sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS);
	if (ret)
		return ret;
	sc_store_remove(search.store, search.at);
	*ret_conn = conn;
	return 0;
}

/* Of a connection that the caller does not get nothing is told either. */
static int give_up(struct sc_conn *conn, int err)
{
	conn->untold = true;
	sc_close(conn, SC_CLOSE_NOW);
	return err;
}

int sc_sync_connect(struct sc_session *session, const struct sc_connect_options *options, struct sc_conn **ret_conn)
{
	struct search search = { .store = &session->store, .type = SC_EVENT_CONNECT };
	struct sc_conn *conn;
	int ret = sc_connect(session, options, &conn);

	if (ret)
		return ret;
	search.of = conn;
	ret = sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS);
	if (!ret)
		ret = until(session, found, &search, -1);
	if (ret < 0)
		return give_up(conn, ret);
	ret = sc_store_at(search.store, search.at)->result;
	sc_store_remove(search.store, search.at);
	if (ret < 0)
		return give_up(conn,
			       sc_reason_set(ret, "%s port %u: %s", options->address ? options->address : "socket",
					     options->port, sc_strerror(ret)));
	*ret_conn = conn;
	return 0;
}

int sc_sync_close(struct sc_conn *conn, int timeout_ms)
{
	struct sc_session *session = conn->lane->session;
	struct search search = { .store = &session->store, .type = SC_EVENT_CLOSED, .of = conn };
	bool late;
	int ret;

	if (conn->giving) /* what ends it is not known yet */
		return sc_refuse(-EBUSY, "connection: being given to another session: wait for SC_EVENT_GIVEN");
	sc_close(conn, 0);
	ret = until(session, found, &search, timeout_ms);
	late = ret == -ETIMEDOUT;
	if (late) {
		sc_close(conn, SC_CLOSE_NOW);
		ret = until(session, found, &search, -1);
	}
	if (ret < 0)
		return ret;
	sc_store_remove(search.store, search.at);
	return late ? -ETIMEDOUT : 0;
}

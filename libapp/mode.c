// SPDX-License-Identifier: MIT
/*
 * How a connection receives: by events or by jobs. Switching loses and reorders nothing: events that were not taken yet go to
 * the inbox, what the inbox has becomes events.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handover.h"
#include "inbox.h"
#include "reason.h"
#include "session.h"

bool sc_mode_received(const struct sc_event *event, const struct sc_conn *conn)
{
	return event->conn == conn && (event->type == SC_EVENT_RECV || event->type == SC_EVENT_ERROR);
}

/* What the store has of the connection stays there for now. false: no memory. */
static bool events_copy(struct sc_conn *conn, struct inbox *inbox)
{
	const struct store *store = &conn->lane->session->store;

	for (unsigned int i = 0; i < store->cnt; i++) {
		const struct sc_event *event = sc_store_at(store, i);

		if (!sc_mode_received(event, conn))
			continue;
		if (event->len && !sc_kept_add(conn->lane, &inbox->kept, event->data, event->len))
			return false;
		if (!event->len) {
			inbox->ended = true;
			inbox->end = event->result;
		}
	}
	return true;
}

static void events_remove(struct sc_conn *conn)
{
	struct store *store = &conn->lane->session->store;

	for (unsigned int i = 0; i < store->cnt;) {
		if (sc_mode_received(sc_store_at(store, i), conn))
			sc_store_remove(store, i);
		else
			i++;
	}
}

static int to_jobs(struct sc_conn *conn)
{
	struct lane *lane = conn->lane;
	struct inbox *inbox = calloc(1, sizeof(*inbox));

	if (!lane->kept)
		lane->kept = calloc(lane->buf_cnt, sizeof(*lane->kept));
	if (!inbox || !lane->kept || !events_copy(conn, inbox)) {
		if (inbox)
			sc_kept_forget(lane, &inbox->kept);
		free(inbox);
		return sc_refuse(-ENOMEM, "connection: out of memory for receiving by jobs: free some");
	}
	if (conn->recv_ended && !inbox->ended) { /* an end that was told already is one all the same */
		inbox->ended = true;
		inbox->told = true;
		inbox->end = conn->recv_result;
	}
	events_remove(conn);
	conn->inbox = inbox;
	return 0;
}

static unsigned int events_needed(const struct inbox *inbox)
{
	unsigned int cnt = inbox->ended && !inbox->told;

	for (const struct kept *kept = inbox->kept.first; kept; kept = kept->next)
		cnt++;
	return cnt;
}

static void inbox_tell(struct sc_conn *conn, struct sink *sink)
{
	struct inbox *inbox = conn->inbox;

	while (inbox->kept.first) {
		const struct kept kept = *inbox->kept.first;
		struct sc_event *event = sc_event_add(sink, SC_EVENT_RECV, conn);

		event->data = memmove(kept.mem, kept.at, kept.len);
		event->len = kept.len;
		(void)sc_kept_pop(conn->lane, &inbox->kept);
	}
	if (inbox->ended && !inbox->told)
		sc_event_add(sink, inbox->end ? SC_EVENT_ERROR : SC_EVENT_RECV, conn)->result = inbox->end;
}

int sc_mode_to_events(struct sc_conn *conn)
{
	struct store *store = &conn->lane->session->store;
	struct inbox *inbox = conn->inbox;
	struct sink sink;
	unsigned int cnt;

	if (inbox->job_first)
		return sc_refuse(-EBUSY, "connection: jobs wait to receive: let them end, or cancel them, first");
	inbox->ended &= !conn->recv_shut;
	cnt = events_needed(inbox);
	if (cnt) {
		if (!sc_store_room(store, cnt, &sink))
			return sc_refuse(-ENOBUFS, "session: too many events wait to be taken: call sc_poll first");
		inbox_tell(conn, &sink);
		sc_store_added(store, cnt);
	}
	conn->inbox = NULL;
	free(inbox);
	return 0;
}

int sc_conn_set_recv_mode(struct sc_conn *conn, enum sc_recv_mode mode)
{
	int err;

	if (sc_session_stale(conn->lane->session))
		return sc_session_refuse(conn->lane->session);
	if (conn->closing)
		return sc_refuse(-EPIPE, "connection: being closed: nothing more can be received");
	if (conn->datagram)
		return sc_refuse(-EPROTOTYPE, "connection: a datagram socket: it receives by events");
	err = sc_handover_settle(conn);
	if (err)
		return err;
	if (mode == SC_RECV_BY_JOBS)
		return conn->inbox ? 0 : to_jobs(conn);
	if (mode == SC_RECV_BY_EVENTS)
		return conn->inbox ? sc_mode_to_events(conn) : 0;
	return sc_refuse(-EINVAL, "connection: receives by events or by jobs: no other mode is known");
}

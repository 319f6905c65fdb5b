// SPDX-License-Identifier: MIT
/*
 * Places of connections and listeners that have ended rest until the caller can have no event before it that names them: another
 * in the same place would look as if the event were its own.
 */
#include "session.h"

void sc_rest_conn(struct sc_conn *conn)
{
	struct lane *lane = conn->lane;

	conn->next = NULL;
	if (lane->conn_resting)
		lane->conn_resting_last->next = conn;
	else
		lane->conn_resting = conn;
	lane->conn_resting_last = conn;
	lane->session->resting = true;
}

void sc_rest_listener(struct sc_listener *listener)
{
	listener->resting = true;
	listener->session->resting = true;
}

static void conns_over(struct lane *lane)
{
	if (!lane->conn_resting)
		return;
	lane->conn_resting_last->next = lane->conn_free;
	lane->conn_free = lane->conn_resting;
	lane->conn_resting = NULL;
}

static bool conns_short(const struct lane *lane)
{
	return lane->conn_resting && !lane->conn_free && lane->conns_fresh == lane->conn_cnt;
}

static void stored_mark(const struct store *store, bool named)
{
	for (unsigned int i = 0; i < store->cnt; i++)
		if (sc_store_at(store, i)->conn)
			sc_store_at(store, i)->conn->named = named;
}

/* Those only that no kept event names. To look for them is worth it for want of places only. */
static void unnamed_over(struct lane *lane)
{
	struct sc_conn *conn = lane->conn_resting, *next;

	stored_mark(&lane->session->store, true);
	lane->conn_resting = NULL;
	for (; conn; conn = next) {
		next = conn->next;
		if (conn->named) {
			sc_rest_conn(conn);
		} else {
			conn->next = lane->conn_free;
			lane->conn_free = conn;
		}
	}
	stored_mark(&lane->session->store, false);
}

void sc_rest_over(struct sc_session *session)
{
	if (session->handed)
		return;
	for (unsigned int i = 0; i < LISTENERS_MAX; i++)
		session->listeners[i].resting = false; /* kept events name none that has ended */
	session->resting = false;
	for (unsigned int i = 0; i < session->lane_cnt; i++) {
		struct lane *lane = &session->lanes[i];

		if (!session->store.cnt)
			conns_over(lane);
		else if (conns_short(lane))
			unnamed_over(lane);
		session->resting |= !!lane->conn_resting;
	}
}

// SPDX-License-Identifier: MIT
/*
 * Leaving a group: the channel goes on without this session, and its engine knows nothing of sessions. So what the session has
 * in the channel is closed by the way in which it came, by requests.
 */
#include "handover.h"
#include "session.h"

enum { LEAVE_MS = 500, TURN_MS = 20, EVENTS = 64 };

/* true: nothing is left to close */
static bool conns_close(struct lane *lane)
{
	bool none = true;

	for (unsigned int i = 0; i < lane->conns_fresh; i++) {
		struct sc_conn *conn = &lane->conns[i];

		if (conn->file < 0)
			continue;
		none = false;
		if (!conn->closing || !conn->close_now)
			sc_close(conn, SC_CLOSE_NOW);
	}
	return none;
}

static bool listeners_close(struct sc_session *session)
{
	bool none = true;

	for (unsigned int i = 0; i < LISTENERS_MAX; i++) {
		if (session->listeners[i].used)
			sc_listener_close(&session->listeners[i]);
		none = none && !session->listeners[i].used;
	}
	return none;
}

void sc_session_leave(struct sc_session *session)
{
	int64_t end = sc_session_now_ms() + LEAVE_MS;
	struct lane *lane = &session->lanes[0];
	struct mailbox *box = &session->group->mailboxes[lane->number];
	struct sc_event events[EVENTS];

	sc_mailbox_close(box);
	while (!session->lost && sc_session_now_ms() < end) {
		bool listeners_gone = listeners_close(session), conns_gone = conns_close(lane);
		bool files_gone = sc_files_close(session);

		if (listeners_gone && conns_gone && files_gone && !lane->parcels && !sc_mailbox_expects(box)) {
			sc_segments_leave(session); /* what was not told any more, too */
			return;
		}
		sc_handover_mail(lane);
		(void)sc_wait(session, events, EVENTS, TURN_MS); /* nobody is told any more */
	}
}

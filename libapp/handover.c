// SPDX-License-Identifier: MIT
/*
 * Handing a connection to the lane of another session of the group, without losing or reordering a byte.
 *
 * The giver lets what it asked for come to its end: sends complete, the receive is cancelled, what it still brought is kept in the
 * inbox. Then no request knows the socket, and a MSG_RING puts it into the taker's file table. The kept bytes and the connection's
 * state go by a parcel in the taker's mailbox: private memory, which no other process can forge. A second MSG_RING, which says
 * nothing, wakes the taker as any completion does. What fails before the parcel is posted leaves the connection with the giver.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handover.h"
#include "inbox.h"
#include "reason.h"
#include "session.h"

#define TAG_MAIL ((uint64_t)MAIL_HERE << 8)

static struct mailbox *mailbox_of(const struct lane *lane)
{
	return &lane->session->group->mailboxes[lane->number];
}

/* One parcel, or a list of them. */
static void list_add(struct lane *lane, struct parcel *first)
{
	struct parcel **link = &lane->parcels;

	while (*link)
		link = &(*link)->next;
	*link = first;
}

static void list_remove(struct lane *lane, struct parcel *parcel)
{
	struct parcel **link = &lane->parcels;

	while (*link && *link != parcel)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = parcel->next;
	parcel->next = NULL;
}

static void parcel_free(struct parcel *parcel)
{
	free(parcel->bytes);
	free(parcel);
}

void sc_parcels_free(struct parcel *parcel)
{
	while (parcel) {
		struct parcel *next = parcel->next;

		parcel_free(parcel);
		parcel = next;
	}
}

/* --- messages: "look into your mailbox" --- */

void sc_handover_fill(struct lane *lane)
{
	while (lane->tell) {
		unsigned int number = (unsigned int)__builtin_ctz(lane->tell);
		struct io_uring_sqe *sqe = sc_lane_sqe(lane);

		if (!sqe) {
			lane->session->counters.sq_full++;
			return;
		}
		io_uring_prep_msg_ring(sqe, lane->session->group->mailboxes[number].ring_fd, 0, TAG_MAIL, 0);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		io_uring_sqe_set_data64(sqe, (uint64_t)number << 32 | MAIL_FAILED << 8);
		lane->tell &= lane->tell - 1;
	}
	if (lane->shared_queue)
		io_uring_smp_store_release(lane->ring.sq.ktail, lane->ring.sq.sqe_tail); /* A, early */
}

/* Memory for the completion was short: again. A taker whose thread is gone is told nothing any more. */
void sc_handover_untold(struct lane *lane, unsigned int number, int err)
{
	if (number < lane->session->group->session_cnt && (err == -EOVERFLOW || err == -ENOMEM || err == -EAGAIN))
		lane->tell |= 1U << number;
}

void sc_handover_mail(struct lane *lane)
{
	list_add(lane, sc_mailbox_take(mailbox_of(lane)));
}

/* --- the giver --- */

void sc_handover_prep(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	const struct parcel *parcel = conn->parcel;

	if (parcel->err || conn->lane->descriptors) /* nothing to move: a descriptor is valid in every lane */
		io_uring_prep_nop(sqe);
	else
		io_uring_prep_msg_ring_fd(sqe, conn->lane->session->group->mailboxes[parcel->to].ring_fd, conn->file,
					  (int)IORING_FILE_INDEX_ALLOC, 0, IORING_MSG_RING_CQE_SKIP);
}

/* Bytes and end, for the taker. They stay here as well, until it is certain that they go. */
static int pack(const struct sc_conn *conn, struct parcel *parcel)
{
	const struct inbox *inbox = conn->inbox;
	size_t at = 0;

	if (conn->recv_shut)
		return 0;

	for (const struct kept *kept = inbox->kept.first; kept; kept = kept->next)
		parcel->len += kept->len;
	parcel->bytes = parcel->len ? malloc(parcel->len) : NULL;
	if (parcel->len && !parcel->bytes)
		return -ENOMEM;
	for (const struct kept *kept = inbox->kept.first; kept; at += kept->len, kept = kept->next)
		memcpy(parcel->bytes + at, kept->at, kept->len);
	parcel->ended = inbox->ended;
	parcel->end = inbox->end;
	return 0;
}

void sc_handover_step(struct sc_conn *conn)
{
	struct parcel *parcel = conn->parcel;

	if (!parcel || parcel->state != PARCEL_SEALED || parcel->asked)
		return;
	sc_conn_cancel_not(conn, (uint16_t)~conn->inflight); /* whose victim has ended by itself */
	if (conn->send_head || conn->held_tail || conn->want || conn->inflight)
		return;
	parcel->asked = true;
	parcel->err = conn->closing ? -ECANCELED : pack(conn, parcel);
	sc_conn_want(conn, OP_GIVE);
}

static void give_up(struct sc_conn *conn, struct parcel *parcel, int err, struct sink *sink)
{
	sc_mailbox_leave(&conn->lane->session->group->mailboxes[parcel->to]);
	conn->giving = false;
	conn->sealed = false;
	sc_event_add(sink, SC_EVENT_GIVEN, conn)->result = err;
	parcel->state = PARCEL_BACK;
	list_add(conn->lane, parcel);
	if (conn->closing) {
		sc_handover_drop(conn);
		sc_conn_close_step(conn);
	}
}

/* The entry ends as with a close, but what that tells is SC_EVENT_GIVEN. */
static void post(struct sc_conn *conn, struct parcel *parcel, int file)
{
	struct lane *lane = conn->lane;

	parcel->state = PARCEL_POSTED;
	parcel->conn = NULL;
	parcel->data = conn->data;
	parcel->file = file;
	parcel->send_ended = conn->send_ended;
	parcel->send_broke = conn->send_broke;
	parcel->broken = conn->broken;
	parcel->shut = conn->shut;
	parcel->recv_shut = conn->recv_shut;
	parcel->high = conn->high;
	parcel->zerocopy_mode = conn->zerocopy_mode;
	lane->tell |= 1U << parcel->to;
	conn->parcel = NULL;
	conn->given = true;
	conn->close_asked = true;
	sc_inbox_given(conn);
	sc_mailbox_post(&lane->session->group->mailboxes[parcel->to], parcel);
	sc_handover_fill(lane);
	if (lane->descriptors)
		conn->file = -1;
	else
		sc_conn_want(conn, OP_CLOSE); /* of the slot; the taker's has the socket too */
}

/* The slot is told by a completion, which others may forge. */
static bool slot_valid(const struct lane *lane, int slot)
{
	unsigned int first = SC_SLOT_CONNS + lane->conn_cnt;

	return slot >= (int)first && slot < (int)(first + lane->conn_cnt);
}

void sc_handover_complete(struct sc_conn *conn, int res, struct sink *sink)
{
	struct parcel *parcel = conn->parcel;

	if (!parcel || !parcel->asked)
		return;
	if (parcel->err)
		res = parcel->err;
	else if (conn->lane->descriptors)
		res = conn->file;
	else if (res >= 0 && !slot_valid(conn->lane, res))
		res = -EPROTO;
	if (res < 0)
		give_up(conn, parcel, res, sink);
	else
		post(conn, parcel, res);
}

/* --- the taker, and the giver that keeps it --- */

static bool entry_take(struct lane *lane, struct parcel *parcel)
{
	struct store *store = &lane->session->store;
	struct sc_conn *conn;
	struct sink sink;

	if (!sc_store_room(store, 1, &sink))
		return false;
	conn = sc_lane_conn_get(lane);
	if (!conn)
		return false;
	conn->parcel = parcel;
	conn->data = parcel->data;
	conn->file = parcel->file;
	conn->send_ended = parcel->send_ended;
	conn->send_broke = parcel->send_broke;
	conn->broken = parcel->broken;
	conn->shut = parcel->shut;
	conn->high = parcel->high;
	conn->zerocopy_mode = parcel->zerocopy_mode & 3;
	lane->high_cnt += conn->high;
	conn->recv_shut = parcel->recv_shut;
	conn->recv_ended = parcel->ended || parcel->recv_shut;
	conn->recv_result = parcel->end;
	parcel->conn = conn;
	(void)sc_event_add(&sink, SC_EVENT_TAKEN, conn);
	sc_store_added(store, 1);
	lane->session->counters.taken++;
	return true;
}

/* In pieces no longer than a buffer, so that the window counts as it does with buffers. */
static bool piece_tell(struct lane *lane, struct parcel *parcel)
{
	size_t most = (size_t)1 << lane->buf_shift, len = parcel->len - parcel->told;
	struct sc_conn *conn = parcel->conn;
	struct sc_event *event;
	struct sink sink;

	if (!sc_store_room(&lane->session->store, 1, &sink))
		return false;
	len = len < most ? len : most;
	if (len) {
		void *mem = sc_arena_alloc(&lane->session->arena, len);

		if (!mem)
			return false;
		event = sc_event_add(&sink, SC_EVENT_RECV, conn);
		event->data = memcpy(mem, parcel->bytes + parcel->told, len);
		event->len = len;
		parcel->told += len;
		conn->paused = ++conn->unreleased >= lane->window;
	} else {
		sc_event_add(&sink, parcel->end ? SC_EVENT_ERROR : SC_EVENT_RECV, conn)->result = parcel->end;
		parcel->ended = false;
	}
	sc_store_added(&lane->session->store, 1);
	return true;
}

static bool arrive(struct lane *lane, struct parcel *parcel)
{
	if (!parcel->conn && !entry_take(lane, parcel))
		return false;
	while (parcel->told < parcel->len || parcel->ended)
		if (!piece_tell(lane, parcel))
			return false;
	return true;
}

static bool come_back(struct parcel *parcel)
{
	return parcel->by_jobs || !sc_mode_to_events(parcel->conn);
}

/* true: there is nothing left to do. */
static bool parcel_turn(struct lane *lane, struct parcel *parcel)
{
	struct sc_conn *conn = parcel->conn;

	if (parcel->state == PARCEL_OPEN) {
		list_remove(lane, parcel);
		parcel->state = PARCEL_SEALED;
		conn->sealed = true;
		sc_handover_step(conn);
		return false;
	}
	if (parcel->state == PARCEL_BACK ? !come_back(parcel) : !arrive(lane, parcel))
		return false;
	conn = parcel->conn;
	list_remove(lane, parcel);
	parcel_free(parcel);
	conn->parcel = NULL;
	sc_recv_next(conn);
	return true;
}

void sc_handover_turn(struct lane *lane)
{
	struct parcel *parcel = lane->parcels;

	while (parcel) {
		struct parcel *next = parcel->next;

		(void)parcel_turn(lane, parcel);
		parcel = next;
	}
}

int sc_handover_settle(struct sc_conn *conn)
{
	if (conn->giving)
		return sc_refuse(-EBUSY, "connection: being given to another session: wait for SC_EVENT_GIVEN");
	if (!conn->parcel || parcel_turn(conn->lane, conn->parcel))
		return 0;
	return sc_refuse(-ENOBUFS,
			 "connection: what it brought along is not told of yet: call sc_poll and release some");
}

void sc_handover_drop(struct sc_conn *conn)
{
	struct parcel *parcel = conn->parcel;

	if (!parcel || conn->giving)
		return;
	list_remove(conn->lane, parcel);
	parcel_free(parcel);
	conn->parcel = NULL;
}

void sc_handover_exit(struct lane *lane)
{
	for (unsigned int i = 0; i < lane->conns_fresh; i++) {
		struct sc_conn *conn = &lane->conns[i];

		if (!conn->parcel || !conn->giving)
			continue;
		sc_mailbox_leave(&lane->session->group->mailboxes[conn->parcel->to]);
		list_remove(lane, conn->parcel);
		parcel_free(conn->parcel);
	}
	sc_parcels_free(lane->parcels);
	lane->parcels = NULL;
}

/* --- the caller's side --- */

static int may_give(const struct sc_conn *conn, const struct sc_session *to)
{
	const struct sc_session *session = conn->lane->session;

	if (session->lost)
		return sc_session_refuse(session);
	if (to == session || to->group != session->group)
		return sc_refuse(-EINVAL,
				 "connection: may be given to another session of the same sc_open_threads only");
	if (conn->datagram)
		return sc_refuse(-EPROTOTYPE, "connection: a datagram socket: open one in each session instead");
	if (conn->closing)
		return sc_refuse(-EPIPE, "connection: being closed: give it before sc_close");
	if (conn->giving)
		return sc_refuse(-EALREADY, "connection: being given to another session: wait for SC_EVENT_GIVEN");
	if (conn->connecting)
		return sc_refuse(-EBUSY, "connection: not connected yet: wait for SC_EVENT_CONNECT");
	if (conn->inbox && conn->inbox->job_first)
		return sc_refuse(-EBUSY, "connection: jobs wait to receive: let them end, or cancel them, first");
	if (!__atomic_load_n(&to->lanes[0].begun, __ATOMIC_ACQUIRE))
		return sc_refuse(-EAGAIN, "session: its thread has not polled yet: give it connections later");
	return 0;
}

int sc_conn_give(struct sc_conn *conn, struct sc_session *to)
{
	struct parcel *parcel;
	int err = may_give(conn, to);

	if (!err)
		err = sc_handover_settle(conn);
	if (err)
		return err;
	parcel = calloc(1, sizeof(*parcel));
	if (!parcel)
		return sc_refuse(-ENOMEM, "connection: out of memory for handing it over: free some");
	*parcel = (struct parcel){
		.to = to->lanes[0].number,
		.conn = conn,
		.by_jobs = conn->inbox,
	};
	err = sc_mailbox_enter(mailbox_of(&to->lanes[0]));
	if (err) {
		free(parcel);
		return sc_refuse(err, "session: being closed: give it no more connections");
	}
	err = sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS); /* so what comes from here on is kept */
	if (err) {
		sc_mailbox_leave(mailbox_of(&to->lanes[0]));
		free(parcel);
		return err;
	}
	conn->parcel = parcel;
	conn->giving = true;
	list_add(conn->lane, parcel);
	sc_recv_stop(conn);
	return 0;
}

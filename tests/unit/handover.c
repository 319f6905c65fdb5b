// SPDX-License-Identifier: MIT
/* Handing a connection over without a kernel: what is asked in which order, what goes along, and what made-up answers do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn_fake.h"
#include "handover.h"
#include "reason.h"

enum { TAKER_RING = 77, SLOT = SC_SLOT_CONNS + CONNS + 2 };

static struct sc_session other;
static struct lane other_lane = { .session = &other, .number = 1, .begun = true };

static void mail_says_look(const struct io_uring_sqe *sqe)
{
	assert_int_equal(sqe->opcode, IORING_OP_MSG_RING);
	assert_int_equal(sqe->addr, IORING_MSG_DATA);
	assert_int_equal(sqe->fd, TAKER_RING);
	assert_int_equal(sqe->off, (uint64_t)MAIL_HERE << 8);
}

/* A connection that is being given, with two pieces received and one of them told; its requests have ended. */
static struct sc_conn *given(struct fake *fake, struct io_uring_sqe *ret_recv)
{
	struct sc_conn *conn = accepted(fake, ret_recv);

	fake->group.session_cnt = 2;
	fake->group.mailboxes[1].ring_fd = TAKER_RING;
	other = (struct sc_session){ .group = &fake->group, .lanes = &other_lane };
	memcpy(fake->lane.bufs + (3 << BUF_SHIFT), "told", 4);
	answer(fake, ret_recv->user_data, 4, buffer(3, 1));
	must_tell(fake, 1, SC_EVENT_RECV, 0);
	assert_int_equal(sc_conn_give(conn, &other), 0);
	assert_int_equal(must_ask(fake, IORING_OP_ASYNC_CANCEL).addr, ret_recv->user_data);
	memcpy(fake->lane.bufs + (4 << BUF_SHIFT), "kept", 4);
	answer(fake, ret_recv->user_data, 4, buffer(4, 1));
	assert_int_equal(fake->event_cnt, 0);
	must_ask_nothing(fake); /* the receive has not ended */
	answer(fake, ret_recv->user_data, -ECANCELED, 0);
	assert_int_equal(fake->event_cnt, 0);
	return conn;
}

static struct io_uring_sqe must_move(struct fake *fake, const struct sc_conn *conn)
{
	struct io_uring_sqe sqe = must_ask(fake, IORING_OP_MSG_RING);

	assert_int_equal(sqe.addr, IORING_MSG_SEND_FD);
	assert_int_equal(sqe.fd, TAKER_RING);
	assert_int_equal(sqe.addr3, sc_conn_slot(conn));
	assert_int_equal(sqe.file_index, IORING_FILE_INDEX_ALLOC);
	assert_int_equal(sqe.msg_ring_flags, IORING_MSG_RING_CQE_SKIP);
	return sqe;
}

static void test_giver(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, move, mail, close;
	struct sc_conn *conn = given(fake, &recv);
	void *told = fake->lane.bufs + (3 << BUF_SHIFT);
	struct parcel *parcel;

	move = must_move(fake, conn);
	assert_null(fake->group.mailboxes[1].head);
	answer(fake, move.user_data, SLOT, 0);
	assert_int_equal(fake->event_cnt, 0);
	parcel = sc_mailbox_take(&fake->group.mailboxes[1]);
	assert_non_null(parcel);
	assert_null(parcel->next);
	assert_int_equal(parcel->file, SLOT);
	assert_int_equal(parcel->len, 4);
	assert_memory_equal(parcel->bytes, "kept", 4);
	assert_false(parcel->ended);
	sc_parcels_free(parcel);
	mail = must_ask(fake, IORING_OP_MSG_RING);
	mail_says_look(&mail);
	close = must_ask(fake, IORING_OP_CLOSE);
	assert_int_equal(close.file_index, sc_conn_slot(conn) + 1);
	answer(fake, close.user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_GIVEN, 0);
	assert_false(sc_mailbox_expects(&fake->group.mailboxes[1]));
	sc_release(conn, told);
	assert_int_equal(sc_lane_bufs_free(&fake->lane), BUFS);
}

/* A message that did not get there is sent again, if that can help. */
static void test_message_fails(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, mail;
	struct sc_conn *conn = given(fake, &recv);

	answer(fake, must_move(fake, conn).user_data, SLOT, 0);
	mail = must_ask(fake, IORING_OP_MSG_RING);
	answer(fake, must_ask(fake, IORING_OP_CLOSE).user_data, 0, 0);
	must_ask_nothing(fake);
	answer(fake, mail.user_data, -ENOMEM, 0);
	mail = must_ask(fake, IORING_OP_MSG_RING);
	mail_says_look(&mail);
	answer(fake, mail.user_data, -EOWNERDEAD, 0);
	answer(fake, 9ULL << 32 | MAIL_FAILED << 8, -ENOMEM, 0); /* of no session of the group */
	must_ask_nothing(fake);
	sc_parcels_free(sc_mailbox_take(&fake->group.mailboxes[1]));
}

/* Refused, or told a slot that the taker deals out itself: the giver goes on where it was. */
static void must_come_back(struct fake *fake, int res, int want)
{
	struct io_uring_sqe recv;
	struct sc_conn *conn = given(fake, &recv);

	assert_int_equal(sc_send(conn, fake->lane.bufs, 1, 0), -EBUSY);
	answer(fake, must_move(fake, conn).user_data, res, 0);
	must_tell(fake, 1, SC_EVENT_GIVEN, want);
	assert_null(fake->group.mailboxes[1].head);
	assert_false(sc_mailbox_expects(&fake->group.mailboxes[1]));
	fake->event_cnt = sc_poll(&fake->session, fake->events, EVENTS);
	must_tell(fake, 1, SC_EVENT_RECV, 0);
	assert_memory_equal(fake->events[0].data, "kept", 4);
	assert_int_equal(must_ask(fake, IORING_OP_RECV).user_data, recv.user_data);
	assert_int_equal(sc_send(conn, fake->lane.bufs, 1, 0), 0);
	assert_int_equal(must_ask(fake, IORING_OP_SEND).fd, sc_conn_slot(conn));
}

static void test_refused(void **state)
{
	must_come_back(*state, -ENFILE, -ENFILE);
}

static void test_forged_slot(void **state)
{
	must_come_back(*state, SC_SLOT_CONNS + CONNS - 1, -EPROTO);
}

/* Between the handing over and the telling of it, which a call that waits for others keeps, the socket is the taker's. */
static void asks_in_vain(struct fake *fake, bool descriptors)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct sc_event event;
	struct sc_conn *conn;
	struct io_uring_sqe recv;

	conn = given(fake, &recv);
	fake->lane.descriptors = descriptors;
	cqe_add(fake, asked(fake)->user_data, SLOT);
	assert_int_equal(sc_session_turn(&fake->session, 0), 0);
	if (!descriptors) {
		(void)must_ask(fake, IORING_OP_MSG_RING);
		cqe_add(fake, must_ask(fake, IORING_OP_CLOSE).user_data, 0);
		assert_int_equal(sc_session_turn(&fake->session, 0), 0);
	}
	(void)sc_reason_set(-EIO, "of another time");
	assert_int_equal(sc_getpeername(conn, (struct sockaddr *)&addr, &len), -EBADF);
	assert_string_equal(sc_reason(), "connection: another session has it: ask there");
	assert_int_equal(sc_poll(&fake->session, &event, 1), 1);
	assert_int_equal(event.type, SC_EVENT_GIVEN);
}

static void test_options_of_given(void **state)
{
	asks_in_vain(*state, false);
}

static void test_options_of_given_descriptor(void **state)
{
	asks_in_vain(*state, true);
}

/* A stream whose end the giver was told: the taker is told the same, and when it does not get there nobody is again. */
static void end_goes(struct fake *fake, int end, int res)
{
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);
	struct parcel *parcel;

	other = (struct sc_session){ .group = &fake->group, .lanes = &other_lane };
	answer(fake, recv.user_data, end, 0);
	must_tell(fake, 1, end ? SC_EVENT_ERROR : SC_EVENT_RECV, end);
	assert_int_equal(sc_conn_give(conn, &other), 0);
	answer(fake, must_ask(fake, IORING_OP_MSG_RING).user_data, res, 0);
	parcel = sc_mailbox_take(&fake->group.mailboxes[1]);
	if (parcel) {
		assert_true(parcel->ended);
		assert_int_equal(parcel->end, end);
		sc_parcels_free(parcel);
		(void)must_ask(fake, IORING_OP_MSG_RING);
		(void)must_ask(fake, IORING_OP_CLOSE);
	} else {
		must_tell(fake, 1, SC_EVENT_GIVEN, res);
		assert_int_equal(sc_poll(&fake->session, fake->events, EVENTS), 0);
	}
}

static void test_end_told_before(void **state)
{
	end_goes(*state, 0, SLOT);
	end_goes(*state, -ECONNRESET, SLOT);
	end_goes(*state, 0, -ENFILE);
	end_goes(*state, -ECONNRESET, -ENFILE);
}

/* As the other session would have posted it. */
static struct parcel *parcel_new(int file, const char *bytes, bool ended)
{
	struct parcel *parcel = calloc(1, sizeof(*parcel));

	*parcel = (struct parcel){ .state = PARCEL_POSTED, .file = file, .len = strlen(bytes), .ended = ended };
	parcel->bytes = strdup(bytes);
	return parcel;
}

static void mail_comes(struct fake *fake, struct parcel *parcel)
{
	assert_int_equal(sc_mailbox_enter(&fake->group.mailboxes[0]), 0);
	sc_mailbox_post(&fake->group.mailboxes[0], parcel);
	answer(fake, (uint64_t)MAIL_HERE << 8, 0, 0);
	fake->event_cnt += sc_poll(&fake->session, fake->events + fake->event_cnt, EVENTS);
}

static void test_taker(void **state)
{
	struct fake *fake = *state;
	struct sc_conn *conn;

	while (asked(fake)) /* the accepts */
		;
	mail_comes(fake, parcel_new(SLOT, "bytes", false));
	assert_int_equal(fake->event_cnt, 2);
	assert_int_equal(fake->events[0].type, SC_EVENT_TAKEN);
	assert_int_equal(fake->events[1].type, SC_EVENT_RECV);
	assert_memory_equal(fake->events[1].data, "bytes", 5);
	conn = fake->events[0].conn;
	assert_int_equal(must_ask(fake, IORING_OP_RECV).fd, SLOT);
	sc_release(conn, fake->events[1].data);
	sc_close(conn, SC_CLOSE_NOW);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	assert_int_equal(must_ask(fake, IORING_OP_CLOSE).file_index, SLOT + 1); /* and no other's */
	answer(fake, (uint64_t)MAIL_HERE << 8, 0, 0); /* by anybody: there is no mail */
	assert_int_equal(fake->event_cnt, 0);
}

/* Without memory for the bytes they wait, and nothing is received that would overtake them. */
static void test_taker_without_memory(void **state)
{
	struct fake *fake = *state;
	void *all;

	while (asked(fake))
		;
	all = sc_alloc(&fake->session, ARENA);
	assert_non_null(all);
	mail_comes(fake, parcel_new(SLOT, "bytes", true));
	must_tell(fake, 1, SC_EVENT_TAKEN, 0);
	must_ask_nothing(fake);
	assert_int_equal(sc_conn_set_recv_mode(fake->events[0].conn, SC_RECV_BY_JOBS), -ENOBUFS);
	sc_free(&fake->session, all);
	fake->event_cnt = sc_poll(&fake->session, fake->events, EVENTS);
	assert_int_equal(fake->event_cnt, 2);
	assert_memory_equal(fake->events[0].data, "bytes", 5);
	assert_int_equal(fake->events[1].type, SC_EVENT_RECV);
	assert_int_equal(fake->events[1].len, 0); /* the end */
	must_ask_nothing(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_giver, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_message_fails, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_refused, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_forged_slot, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_options_of_given, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_options_of_given_descriptor, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_end_told_before, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_taker, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_taker_without_memory, fake_open, fake_close),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

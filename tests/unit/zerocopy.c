// SPDX-License-Identifier: MIT
/* When a send goes without a copy, and what its two completions let go, driven by a consumer that the test plays. */
#include <errno.h>
#include <string.h>

#include "conn_fake.h"

enum { LEN = 64 << 10 };
static const unsigned int more = IORING_CQE_F_MORE, notif = IORING_CQE_F_NOTIF;
static const int copied = (int)IORING_NOTIF_USAGE_ZC_COPIED;

static struct sc_conn *open_conn(struct fake *fake, char **ret_mem)
{
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);

	*ret_mem = sc_alloc(&fake->session, LEN);
	assert_non_null(*ret_mem);
	return conn;
}

static uint64_t must_try(struct fake *fake)
{
	return must_ask(fake, IORING_OP_SEND_ZC).user_data;
}

/* A first try, without a copy: from now on all may be. */
static void works(struct fake *fake, struct sc_conn *conn, char *mem)
{
	uint64_t tag;

	sc_send(conn, mem, LEN, 0);
	tag = must_try(fake);
	answer(fake, tag, LEN, more);
	answer(fake, tag, 0, notif);
	must_tell(fake, 1, SC_EVENT_SENT, LEN);
}

static void must_tell_tags(struct fake *fake, const uint64_t *tags, int cnt)
{
	assert_int_equal(fake->event_cnt, cnt);
	for (int i = 0; i < cnt; i++) {
		assert_int_equal(fake->events[i].type, SC_EVENT_SENT);
		assert_int_equal(fake->events[i].tag, tags[i]);
	}
}

static void test_length_decides(void **state)
{
	struct fake *fake = *state;
	char *mem, registered[8192];
	struct sc_segment *segment = &fake->group.segments[3];
	struct sc_conn *conn = open_conn(fake, &mem);
	const struct {
		char *mem;
		size_t len;
		bool registered;
		int opcode;
	} cases[] = {
		{ mem, 16383, false, IORING_OP_SEND },	       { mem, 16384, false, IORING_OP_SEND_ZC },
		{ registered, 8192, false, IORING_OP_SEND },   { registered, 4095, true, IORING_OP_SEND },
		{ registered, 8192, true, IORING_OP_SEND_ZC },
	};

	*segment = (struct sc_segment){
		.slot = 3, .state = SEGMENT_OPEN, .mem = registered, .len = sizeof(registered), .base = 0x7000
	};
	fake->group.segment_end = 4;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct io_uring_sqe sqe;

		segment->registered = cases[i].registered;
		assert_int_equal(sc_send(conn, cases[i].mem, cases[i].len, i), 0);
		sqe = must_ask(fake, cases[i].opcode);
		assert_int_equal(sqe.msg_flags, MSG_WAITALL);
		assert_int_equal(sqe.len, cases[i].len);
		assert_int_equal(!!(sqe.opcode == IORING_OP_SEND_ZC && sqe.ioprio & IORING_RECVSEND_FIXED_BUF),
				 cases[i].opcode == IORING_OP_SEND_ZC && cases[i].registered);
		if (cases[i].opcode == IORING_OP_SEND_ZC && cases[i].registered) {
			assert_int_equal(sqe.buf_index, 3);
			assert_int_equal(sqe.addr, 0x7000);
		}
		answer(fake, sqe.user_data, (int)cases[i].len, 0);
		must_tell(fake, 1, SC_EVENT_SENT, (int)cases[i].len);
	}
	assert_int_equal(fake->group.uses[0].pieces[3], 0);
}

static void test_modes(void **state)
{
	struct fake *fake = *state;
	struct iovec iov[2];
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);

	assert_int_equal(sc_conn_set_zerocopy(conn, 3), -EINVAL);
	assert_int_equal(sc_conn_set_zerocopy(conn, SC_ZC_NEVER), 0);
	sc_send(conn, mem, LEN, 1);
	answer(fake, must_ask(fake, IORING_OP_SEND).user_data, LEN, 0);
	assert_int_equal(sc_conn_set_zerocopy(conn, SC_ZC_ALWAYS), 0);
	sc_send(conn, mem, 1, 1);
	answer(fake, must_try(fake), 1, 0);
	must_tell(fake, 1, SC_EVENT_SENT, 1);
	iov[0] = (struct iovec){ mem, LEN / 2 };
	iov[1] = (struct iovec){ mem + LEN / 2, LEN / 2 };
	sc_sendv(conn, iov, 2, 1);
	answer(fake, must_ask(fake, IORING_OP_SENDMSG).user_data, LEN, 0);
	must_tell(fake, 1, SC_EVENT_SENT, LEN);
}

/* The next send goes when TCP has the bytes, the send is told of when the memory is free: in order, whatever comes first. */
static void test_told_in_order(void **state)
{
	struct fake *fake = *state;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);
	uint64_t first, second, third;

	works(fake, conn, mem);
	for (uint64_t tag = 1; tag <= 3; tag++)
		sc_send(conn, mem, tag == 2 ? 1 : LEN, tag);
	sc_send(conn, mem, LEN, 4);
	first = must_try(fake);
	must_ask_nothing(fake);
	answer(fake, first, LEN, more);
	assert_int_equal(fake->event_cnt, 0);
	answer(fake, must_ask(fake, IORING_OP_SEND).user_data, 1, 0); /* copied, but behind one that is not */
	assert_int_equal(fake->event_cnt, 0);
	second = must_try(fake);
	answer(fake, second, LEN, more);
	third = must_try(fake);
	assert_true(first != second && second != third && first != third);
	answer(fake, second, 0, notif);
	assert_int_equal(fake->event_cnt, 0);
	answer(fake, first, 0, notif);
	must_tell_tags(fake, (uint64_t[]){ 1, 2, 3 }, 3);
	answer(fake, third, LEN, more);
	assert_int_equal(fake->event_cnt, 0);
	answer(fake, third, 0, notif);
	must_tell_tags(fake, (uint64_t[]){ 4 }, 1);
	must_ask_nothing(fake);
	assert_int_equal(fake->session.counters.sent, 4 * LEN + 1);
	assert_int_equal(fake->session.counters.send_events, 5);
}

/* One event at a time: nothing is told early, twice or never. */
static void test_one_event_at_a_time(void **state)
{
	struct fake *fake = *state;
	struct sc_event event;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);
	uint64_t first;

	sc_send(conn, mem, LEN, 1);
	sc_send(conn, mem, 1, 2);
	sc_send(conn, mem, 1, 3);
	first = must_try(fake);
	answer(fake, first, LEN, more);
	answer(fake, must_ask(fake, IORING_OP_SENDMSG).user_data, 2, 0);
	sc_close(conn, 0);
	cqe_add(fake, must_ask(fake, IORING_OP_SHUTDOWN).user_data, 0);
	fake->cqes[fake->cq_tail++ & (ENTRIES - 1)] = (struct io_uring_cqe){ .user_data = first, .flags = notif };
	for (uint64_t tag = 1; tag <= 3; tag++) {
		assert_int_equal(sc_poll(&fake->session, &event, 1), 1);
		assert_int_equal(event.type, SC_EVENT_SENT);
		assert_int_equal(event.tag, tag);
	}
	assert_int_equal(sc_poll(&fake->session, &event, 1), 0);
}

/* The kernel copies all the same: after a few tries it is not asked any more, nor for the next connection. */
static void test_settles(void **state)
{
	struct fake *fake = *state;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);

	for (unsigned int nth = 0, tries = 0; nth < 2000; nth++) {
		struct io_uring_sqe sqe;

		if (nth == 100) {
			assert_int_equal(tries, 4);
			conn = open_conn(fake, &mem);
		}
		sc_send(conn, mem, LEN, nth);
		sqe = *asked(fake);
		if (sqe.opcode == IORING_OP_SEND_ZC) {
			tries++;
			answer(fake, sqe.user_data, LEN, more);
			answer(fake, sqe.user_data, copied, notif);
		} else {
			answer(fake, sqe.user_data, LEN, 0);
		}
		must_tell(fake, 1, SC_EVENT_SENT, LEN);
		if (nth == 1999)
			assert_true(tries < 8);
	}
	assert_int_equal(fake->session.counters.zerocopy_sends, fake->session.counters.zerocopy_copied);
}

/* Until it is known how a try went there is no other. */
static void test_one_try_at_a_time(void **state)
{
	struct fake *fake = *state;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);
	uint64_t tag;

	sc_send(conn, mem, LEN, 1);
	sc_send(conn, mem, LEN, 2);
	tag = must_try(fake);
	answer(fake, tag, LEN, more);
	answer(fake, must_ask(fake, IORING_OP_SEND).user_data, LEN, 0);
	answer(fake, tag, 0, notif);
	must_tell_tags(fake, (uint64_t[]){ 1, 2 }, 2);
}

static void test_keeps_to_what_works(void **state)
{
	struct fake *fake = *state;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);

	for (unsigned int nth = 0; nth < 300; nth++) { /* more than there are numbers */
		uint64_t tag;

		sc_send(conn, mem, LEN, nth);
		tag = must_try(fake);
		answer(fake, tag, LEN, more);
		answer(fake, tag, 0, notif);
		must_tell(fake, 1, SC_EVENT_SENT, LEN);
	}
	assert_int_equal(fake->session.counters.zerocopy_copied, 0);
}

/* As a unix socket does: refused, with a notice all the same. */
static void test_refused_is_repeated(void **state)
{
	struct fake *fake = *state;
	const int errors[] = { -EOPNOTSUPP, -ENOMEM };

	for (unsigned int i = 0; i < 2; i++) {
		char *mem;
		struct sc_conn *conn = open_conn(fake, &mem);
		uint64_t tag;

		sc_send(conn, mem, LEN, 7);
		tag = must_try(fake);
		answer(fake, tag, errors[i], more);
		assert_int_equal(fake->event_cnt, 0);
		answer(fake, must_ask(fake, IORING_OP_SEND).user_data, LEN, 0);
		assert_int_equal(fake->event_cnt, 0);
		answer(fake, tag, 0, notif);
		must_tell(fake, 1, SC_EVENT_SENT, LEN);
		sc_send(conn, mem, LEN, 8);
		answer(fake, must_ask(fake, IORING_OP_SEND).user_data, LEN, 0);
		must_tell(fake, 1, SC_EVENT_SENT, LEN);
		assert_int_equal(fake->session.counters.zerocopy_refused, i + 1);
	}
}

/* Refused when nobody wants it any more: it was cancelled, the kernel's reason is none of the caller's business. */
static void test_refused_is_dropped(void **state)
{
	struct fake *fake = *state;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);
	uint64_t tag;

	sc_send(conn, mem, LEN, 7);
	tag = must_try(fake);
	sc_close(conn, SC_CLOSE_NOW);
	answer(fake, tag, -ENOMEM, 0);
	must_tell(fake, 1, SC_EVENT_SENT, -ECANCELED);
}

static void test_short_is_continued(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe sqe;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);

	works(fake, conn, mem);
	sc_send(conn, mem, LEN, 7);
	sqe = must_ask(fake, IORING_OP_SEND_ZC);
	answer(fake, sqe.user_data, 1000, more);
	assert_int_equal(must_ask(fake, IORING_OP_SEND_ZC).addr, sqe.addr + 1000);
	answer(fake, sqe.user_data, LEN - 1000, more);
	answer(fake, sqe.user_data, 0, notif);
	assert_int_equal(fake->event_cnt, 0);
	answer(fake, sqe.user_data, 0, notif);
	must_tell(fake, 1, SC_EVENT_SENT, LEN);
}

static void test_failed_send_waits_its_turn(void **state)
{
	struct fake *fake = *state;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);
	uint64_t first, second;

	works(fake, conn, mem);
	for (uint64_t tag = 1; tag <= 3; tag++)
		sc_send(conn, mem, LEN, tag);
	first = must_try(fake);
	answer(fake, first, LEN, more);
	second = must_try(fake);
	answer(fake, second, -ECONNRESET, 0);
	assert_int_equal(fake->event_cnt, 0);
	assert_int_equal(sc_send(conn, mem, 1, 9), -EPIPE);
	answer(fake, first, 0, notif);
	must_tell_tags(fake, (uint64_t[]){ 1, 2, 3 }, 3);
	assert_int_equal(fake->events[0].result, LEN);
	assert_int_equal(fake->events[1].result, -ECONNRESET);
	assert_int_equal(fake->events[2].result, -ECONNRESET);
}

/* The stream ends at once; the socket, by which a peer that takes nothing can be got rid of, when the memory is free. */
static void test_close(void **state)
{
	struct fake *fake = *state;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);
	uint64_t tag;

	sc_send(conn, mem, LEN, 1);
	tag = must_try(fake);
	answer(fake, tag, LEN, more);
	sc_close(conn, 0);
	answer(fake, must_ask(fake, IORING_OP_SHUTDOWN).user_data, 0, 0);
	must_ask_nothing(fake);
	sc_close(conn, SC_CLOSE_NOW);
	answer(fake, must_ask(fake, IORING_OP_CONNECT).user_data, 0, 0);
	must_ask_nothing(fake);
	answer(fake, tag, 0, notif);
	must_tell(fake, 1, SC_EVENT_SENT, LEN);
	while (asked(fake)->opcode != IORING_OP_CLOSE)
		;
	must_ask_nothing(fake);
}

/* That it is being given does not keep a peer that takes nothing. */
static void test_close_while_giving(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);
	uint64_t tag;

	sc_send(conn, sc_alloc(&fake->session, LEN), LEN, 1);
	tag = must_try(fake);
	answer(fake, tag, LEN, more);
	assert_int_equal(sc_conn_give(conn, &fake->taker), 0);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	answer(fake, recv.user_data, -ECANCELED, 0);
	sc_close(conn, SC_CLOSE_NOW);
	answer(fake, must_ask(fake, IORING_OP_CONNECT).user_data, 0, 0);
	answer(fake, tag, 0, notif);
	must_tell(fake, 1, SC_EVENT_SENT, LEN);
	answer(fake, must_ask(fake, IORING_OP_NOP).user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_GIVEN, -ECANCELED);
	while (asked(fake)->opcode != IORING_OP_CLOSE)
		;
}

/* What no kernel says means nothing. */
static void test_garbage(void **state)
{
	struct fake *fake = *state;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);
	uint64_t tag, plain;

	sc_send(conn, mem, LEN, 1);
	tag = must_try(fake);
	answer(fake, tag, 0, notif); /* before there is one to come */
	assert_int_equal(fake->event_cnt, 0);
	answer(fake, tag, LEN, more);
	for (unsigned int nr = 0; nr < 128; nr++) {
		uint64_t other = (tag & ~0x7fULL) | nr;

		if (other == tag)
			continue;
		answer(fake, other, 0, notif);
		assert_int_equal(fake->event_cnt, 0);
	}
	answer(fake, tag, LEN, more); /* no request is under way */
	assert_int_equal(fake->event_cnt, 0);
	answer(fake, tag, 0, notif);
	must_tell(fake, 1, SC_EVENT_SENT, LEN);
	answer(fake, tag, 0, notif);
	assert_int_equal(fake->event_cnt, 0);
	sc_send(conn, mem, 1, 2);
	plain = must_ask(fake, IORING_OP_SEND).user_data;
	answer(fake, plain, 1, more); /* a notice of a send that was copied: not waited for */
	must_tell(fake, 1, SC_EVENT_SENT, 1);
}

static void test_outstanding_are_bounded(void **state)
{
	struct fake *fake = *state;
	char *mem;
	struct sc_conn *conn = open_conn(fake, &mem);
	uint64_t tags[65];

	works(fake, conn, mem);
	for (unsigned int nth = 0; nth < 64; nth++) {
		sc_send(conn, mem, LEN, nth);
		tags[nth] = must_try(fake);
		answer(fake, tags[nth], LEN, more);
		assert_int_equal(fake->event_cnt, 0);
	}
	sc_send(conn, mem, LEN, 64);
	answer(fake, must_ask(fake, IORING_OP_SEND).user_data, LEN, 0);
	for (unsigned int nth = 0; nth < 63; nth++) {
		answer(fake, tags[nth], 0, notif);
		must_tell_tags(fake, (uint64_t[]){ nth }, 1);
	}
	answer(fake, tags[63], 0, notif);
	must_tell_tags(fake, (uint64_t[]){ 63, 64 }, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_open, fake_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_length_decides),
		TEST(test_modes),
		TEST(test_told_in_order),
		TEST(test_one_event_at_a_time),
		TEST(test_settles),
		TEST(test_one_try_at_a_time),
		TEST(test_keeps_to_what_works),
		TEST(test_refused_is_repeated),
		TEST(test_refused_is_dropped),
		TEST(test_short_is_continued),
		TEST(test_failed_send_waits_its_turn),
		TEST(test_close),
		TEST(test_close_while_giving),
		TEST(test_garbage),
		TEST(test_outstanding_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

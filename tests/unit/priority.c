// SPDX-License-Identifier: MIT
/* What is in the queue and what waits, with connections of high priority, driven by a consumer that the test plays. */
#include <errno.h>

#include "conn_fake.h"

enum { LEN = 64 << 10, BULKS = 6, LONG = 4 * LEN };

struct cast {
	struct fake *fake;
	struct sc_conn *bulk[BULKS], *high;
	char *mem;
};

static struct cast cast_of(struct fake *fake)
{
	struct cast cast = { .fake = fake };
	struct io_uring_sqe recv;

	for (unsigned int i = 0; i < BULKS; i++) {
		cast.bulk[i] = accepted(fake, &recv);
		sc_conn_set_zerocopy(cast.bulk[i], SC_ZC_NEVER);
	}
	cast.high = accepted(fake, &recv);
	cast.mem = sc_alloc(&fake->session, LONG);
	assert_non_null(cast.mem);
	return cast;
}

static void sends_everywhere(const struct cast *cast, size_t len)
{
	for (unsigned int i = 0; i < BULKS; i++)
		assert_int_equal(sc_send(cast->bulk[i], cast->mem, len, i), 0);
}

/* What lies in the queue now, without handing in more: a send's connection for each, NULL for another request. */
static unsigned int in_queue(struct fake *fake, struct sc_conn **ret_conns)
{
	unsigned int cnt = 0, tail = fake->lane.ring.sq.sqe_tail;

	for (unsigned int at = fake->sq_head; at != tail; at++) {
		const struct io_uring_sqe *sqe = &fake->sqes[at & (ENTRIES - 1)];

		ret_conns[cnt++] = sqe->opcode == IORING_OP_SEND ? &fake->lane.conns[sc_tag_idx(sqe->user_data)] : NULL;
	}
	return cnt;
}

static void test_nothing_waits_without(void **state)
{
	struct cast cast = cast_of(*state);
	struct sc_conn *conns[ENTRIES];

	sends_everywhere(&cast, LONG);
	assert_int_equal(in_queue(cast.fake, conns), BULKS);
	assert_int_equal(cast.fake->sqes[cast.fake->sq_head & (ENTRIES - 1)].len, LONG);
	assert_int_equal(cast.fake->session.counters.bulk_waited, 0);
}

/* Two pieces of bulk are before it, whatever was asked for, and all that waits is behind. */
static void test_overtakes(void **state)
{
	struct cast cast = cast_of(*state);
	struct sc_conn *conns[ENTRIES];

	assert_int_equal(sc_conn_set_priority(cast.high, 7), -EINVAL);
	assert_int_equal(sc_conn_set_priority(cast.high, SC_PRIORITY_HIGH), 0);
	sends_everywhere(&cast, LONG);
	assert_int_equal(sc_send(cast.high, cast.mem, 10, 9), 0);
	assert_int_equal(in_queue(cast.fake, conns), 3);
	assert_ptr_equal(conns[0], cast.bulk[0]);
	assert_ptr_equal(conns[1], cast.bulk[1]);
	assert_ptr_equal(conns[2], cast.high);
	assert_int_equal(cast.fake->session.counters.bulk_waited, BULKS - 2);
}

/* No send ends, and yet each gets its turn, once the consumer has what was before it. A fence wakes who would sleep. */
static void test_blocked_sends_hold_nobody_up(void **state)
{
	struct cast cast = cast_of(*state);
	unsigned int seen = 0, fences = 0;
	struct io_uring_sqe *sqe;

	sc_conn_set_priority(cast.high, SC_PRIORITY_HIGH);
	sends_everywhere(&cast, LONG);
	while ((sqe = asked(cast.fake))) {
		if (sqe->opcode == IORING_OP_NOP) {
			fences++;
			answer(cast.fake, sqe->user_data, 0, 0);
			assert_int_equal(cast.fake->event_cnt, 0);
			continue;
		}
		assert_int_equal(sqe->opcode, IORING_OP_SEND);
		assert_int_equal(sqe->len, LEN);
		assert_ptr_equal(&cast.fake->lane.conns[sc_tag_idx(sqe->user_data)], cast.bulk[seen]);
		seen++;
	}
	assert_int_equal(seen, BULKS);
	assert_true(fences >= 1);
}

/* Pieces of all in turn; each send is told of once, whole. */
static void test_pieces_in_turn(void **state)
{
	struct cast cast = cast_of(*state);
	unsigned int pieces[BULKS] = { 0 }, told = 0;
	struct io_uring_sqe *sqe;
	struct iovec iov[3] = { { cast.mem, 1000 },
				{ cast.mem + 1000, LEN },
				{ cast.mem + 1000 + LEN, LONG - LEN - 1000 } };

	sc_conn_set_priority(cast.high, SC_PRIORITY_HIGH);
	for (unsigned int i = 0; i < BULKS; i++)
		assert_int_equal(i ? sc_send(cast.bulk[i], cast.mem, LONG, i) : sc_sendv(cast.bulk[i], iov, 3, i), 0);
	while ((sqe = asked(cast.fake))) {
		unsigned int idx = 0, most = 0, least = 4;

		if (sqe->opcode == IORING_OP_NOP) {
			answer(cast.fake, sqe->user_data, 0, 0);
			continue;
		}
		while (cast.bulk[idx] != &cast.fake->lane.conns[sc_tag_idx(sqe->user_data)])
			idx++;
		if (sqe->opcode == IORING_OP_SENDMSG) {
			const struct send_scratch *scratch = &cast.fake->lane.scratch[sc_conn_idx(cast.bulk[0])];
			size_t len = 0;

			for (unsigned int i = 0; i < scratch->msg.msg_iovlen; i++)
				len += scratch->piece[i].iov_len;
			assert_int_equal(len, LEN);
		} else {
			assert_int_equal(sqe->len, LEN);
		}
		pieces[idx]++;
		for (unsigned int i = 0; i < BULKS; i++) {
			most = pieces[i] > most ? pieces[i] : most;
			least = pieces[i] < least ? pieces[i] : least;
		}
		assert_true(most - least <= 1);
		answer(cast.fake, sqe->user_data, LEN, 0);
		if (cast.fake->event_cnt)
			must_tell(cast.fake, 1, SC_EVENT_SENT, LONG);
		told += (unsigned int)cast.fake->event_cnt;
	}
	assert_int_equal(told, BULKS);
	assert_false(cast.bulk[0]->send_broke);
}

/* All may go when the last of high priority is one no more, and one that is made so while it waits. */
static void test_priority_changes(void **state)
{
	struct cast cast = cast_of(*state);
	struct sc_conn *conns[ENTRIES];

	sc_conn_set_priority(cast.high, SC_PRIORITY_HIGH);
	sends_everywhere(&cast, LEN);
	sc_conn_set_priority(cast.bulk[4], SC_PRIORITY_HIGH);
	assert_int_equal(in_queue(cast.fake, conns), 3);
	assert_ptr_equal(conns[2], cast.bulk[4]);
	sc_conn_set_priority(cast.bulk[4], SC_PRIORITY_NORMAL);
	sc_conn_set_priority(cast.high, SC_PRIORITY_NORMAL);
	(void)sc_poll(&cast.fake->session, cast.fake->events, 0);
	assert_int_equal(in_queue(cast.fake, conns), BULKS);
	assert_ptr_equal(conns[5], cast.bulk[5]);
}

/* A file's first read waits as a send does, and is lifted as one. */
static void test_raised_while_a_read_waits(void **state)
{
	struct cast cast = cast_of(*state);
	struct sc_file *file;

	assert_int_equal(sc_file_open(&cast.fake->session, "/proc/self/exe", &file), 0);
	sc_conn_set_priority(cast.high, SC_PRIORITY_HIGH);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(sc_send(cast.bulk[i], cast.mem, LEN, i), 0);
	assert_int_equal(sc_send_file(cast.bulk[2], file, 0, LEN, 2), 0);
	assert_true(cast.bulk[2]->on_bulk);
	sc_conn_set_priority(cast.bulk[2], SC_PRIORITY_HIGH);
	assert_int_equal(cast.fake->sqes[(cast.fake->lane.ring.sq.sqe_tail - 1) & (ENTRIES - 1)].opcode,
			 IORING_OP_READ);
}

/* The turn of a send that was cancelled meanwhile is not kept for the next one. */
static void test_turn_of_a_cancelled_send(void **state)
{
	struct cast cast = cast_of(*state);
	struct sc_job *job;

	sc_conn_set_priority(cast.high, SC_PRIORITY_HIGH);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(sc_send(cast.bulk[i], cast.mem, LEN, i), 0);
	assert_int_equal(sc_async_send(cast.bulk[2], cast.mem, LEN, &job), 0);
	assert_true(cast.bulk[2]->on_bulk);
	sc_job_cancel(job);
	while (asked(cast.fake))
		;
	assert_false(cast.bulk[2]->on_bulk);
	for (unsigned int i = 3; i < 5; i++)
		assert_int_equal(sc_send(cast.bulk[i], cast.mem, LEN, i), 0);
	assert_int_equal(sc_send(cast.bulk[2], cast.mem, LEN, 2), 0);
	assert_true(cast.bulk[2]->on_bulk);
}

/* Closed while they wait: told of, and their entries used again, but not while the list has them. */
static void test_closed_while_waiting(void **state)
{
	struct cast cast = cast_of(*state);
	struct io_uring_sqe *sqe;
	unsigned int closed = 0;

	sc_conn_set_priority(cast.high, SC_PRIORITY_HIGH);
	sends_everywhere(&cast, LEN);
	for (unsigned int i = 2; i < BULKS; i++)
		sc_close(cast.bulk[i], SC_CLOSE_NOW);
	sc_close(cast.high, 0);
	while ((sqe = asked(cast.fake))) {
		if (sqe->opcode == IORING_OP_ACCEPT || sqe->opcode == IORING_OP_ASYNC_CANCEL)
			continue;
		answer(cast.fake, sqe->user_data, sqe->opcode == IORING_OP_SEND ? LEN : 0, 0);
		for (int i = 0; i < cast.fake->event_cnt; i++)
			closed += cast.fake->events[i].type == SC_EVENT_CLOSED;
	}
	for (unsigned int i = 2; i < BULKS; i++)
		assert_false(cast.bulk[i]->on_bulk || cast.bulk[i]->send_head);
	assert_int_equal(cast.fake->lane.high_cnt, 1); /* not before its receive has ended */
	assert_null(cast.fake->lane.bulk_head);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_open, fake_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_waits_without),
		TEST(test_overtakes),
		TEST(test_blocked_sends_hold_nobody_up),
		TEST(test_pieces_in_turn),
		TEST(test_priority_changes),
		TEST(test_closed_while_waiting),
		TEST(test_raised_while_a_read_waits),
		TEST(test_turn_of_a_cancelled_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* Sends that wait behind one in flight go in one request: which of them, and what each end of it means for each. */
#include "conn_fake.h"

#include <errno.h>
#include <string.h>

#include "job.h"

enum { LEN = 10, MANY = 20 };

struct cast {
	struct fake *fake;
	struct sc_conn *conn;
	char *mem;
	struct send_scratch *scratch;
	uint64_t first; /* the request in flight, of the send with tag 0 */
};

/* A connection with cnt sends of ten bytes, the first in flight. */
static struct cast cast_open(void **state, unsigned int cnt)
{
	struct cast cast = { .fake = *state };
	struct io_uring_sqe recv;

	cast.conn = accepted(cast.fake, &recv);
	cast.scratch = &cast.fake->lane.scratch[sc_conn_idx(cast.conn)];
	cast.mem = sc_alloc(&cast.fake->session, ARENA / 2);
	assert_non_null(cast.mem);
	for (unsigned int i = 0; i < cnt; i++)
		assert_int_equal(sc_send(cast.conn, cast.mem + i * LEN, LEN, i), 0);
	cast.first = must_ask(cast.fake, IORING_OP_SEND).user_data;
	must_ask_nothing(cast.fake);
	return cast;
}

/* The next request is for so many pieces, the first of them at `at`. */
static uint64_t must_gather(const struct cast *cast, unsigned int cnt, const char *at, size_t len)
{
	struct io_uring_sqe sqe = must_ask(cast->fake, IORING_OP_SENDMSG);

	assert_int_equal(sqe.addr, sc_session_addr(&cast->fake->session, &cast->scratch->msg));
	assert_int_equal(sqe.msg_flags, MSG_WAITALL);
	assert_int_equal(cast->scratch->msg.msg_iovlen, cnt);
	assert_int_equal((uintptr_t)cast->scratch->piece[0].iov_base, sc_session_addr(&cast->fake->session, at));
	for (unsigned int i = 0; i < cnt; i++)
		len -= cast->scratch->piece[i].iov_len;
	assert_int_equal(len, 0);
	must_ask_nothing(cast->fake);
	return sqe.user_data;
}

/* The events are those of sends, with tags from `tag` on. */
static void must_tell_sent(const struct cast *cast, uint64_t tag, int cnt, int result)
{
	assert_int_equal(cast->fake->event_cnt, cnt);
	for (int i = 0; i < cnt; i++) {
		assert_int_equal(cast->fake->events[i].type, SC_EVENT_SENT);
		assert_int_equal(cast->fake->events[i].tag, tag + (unsigned int)i);
		assert_int_equal(cast->fake->events[i].result, result);
	}
}

/* --- which go together --- */

static void test_as_many_as_fit(void **state)
{
	struct cast cast = cast_open(state, MANY);
	uint64_t request;

	answer(cast.fake, cast.first, LEN, 0);
	must_tell_sent(&cast, 0, 1, LEN);
	request = must_gather(&cast, GATHER_PIECES, cast.mem + LEN, GATHER_PIECES * LEN);
	assert_int_equal(cast.scratch->piece[GATHER_PIECES - 1].iov_len, LEN);
	answer(cast.fake, request, GATHER_PIECES * LEN, 0);
	must_tell_sent(&cast, 1, GATHER_PIECES, LEN);
	request = must_gather(&cast, MANY - 1 - GATHER_PIECES, cast.mem + LEN * (1 + GATHER_PIECES),
			      (MANY - 1 - GATHER_PIECES) * LEN);
	answer(cast.fake, request, (MANY - 1 - GATHER_PIECES) * LEN, 0);
	must_tell_sent(&cast, 1 + GATHER_PIECES, MANY - 1 - GATHER_PIECES, LEN);
	must_ask_nothing(cast.fake);
	assert_int_equal(cast.fake->session.counters.sent, MANY * LEN);
	assert_int_equal(cast.fake->session.counters.send_events, MANY);
}

/* The pieces of one send are not parted, nor are there more bytes than a request may have. */
static void test_whole_sends_only(void **state)
{
	struct cast cast = cast_open(state, 1 + GATHER_PIECES - 3);
	struct iovec iov[4];
	uint64_t request;

	for (unsigned int i = 0; i < 4; i++)
		iov[i] = (struct iovec){ cast.mem, 1 };
	assert_int_equal(sc_sendv(cast.conn, iov, 4, GATHER_PIECES - 2), 0);
	assert_int_equal(sc_conn_set_zerocopy(cast.conn, SC_ZC_NEVER), 0);
	assert_int_equal(sc_send(cast.conn, cast.mem, GATHER_LEN, 50), 0);
	assert_int_equal(sc_send(cast.conn, cast.mem, 1, 51), 0);
	answer(cast.fake, cast.first, LEN, 0);
	request = must_gather(&cast, GATHER_PIECES - 3, cast.mem + LEN, (GATHER_PIECES - 3) * LEN);
	answer(cast.fake, request, (GATHER_PIECES - 3) * LEN, 0);
	request = must_gather(&cast, 4, cast.mem, 4);
	answer(cast.fake, request, 4, 0);
	must_tell_sent(&cast, GATHER_PIECES - 2, 1, 4);
	request = must_ask(cast.fake, IORING_OP_SEND).user_data;
	must_ask_nothing(cast.fake);
	answer(cast.fake, request, GATHER_LEN, 0);
	must_tell_sent(&cast, 50, 1, GATHER_LEN);
	assert_int_equal(must_ask(cast.fake, IORING_OP_SEND).len, 1);
}

/* What may go without a copy goes alone: it is told of by another completion. */
static void test_zerocopy_goes_alone(void **state)
{
	struct cast cast = cast_open(state, 2);
	uint64_t request;

	assert_int_equal(sc_send(cast.conn, cast.mem, 16384, 2), 0);
	assert_int_equal(sc_send(cast.conn, cast.mem, 16384, 3), 0);
	assert_int_equal(sc_send(cast.conn, cast.mem, 1, 4), 0);
	answer(cast.fake, cast.first, LEN, 0);
	request = must_ask(cast.fake, IORING_OP_SEND).user_data;
	must_ask_nothing(cast.fake);
	answer(cast.fake, request, LEN, 0);
	request = must_ask(cast.fake, IORING_OP_SEND_ZC).user_data;
	must_ask_nothing(cast.fake);
	answer(cast.fake, request, 16384, IORING_CQE_F_MORE);
	answer(cast.fake, request, (int)IORING_NOTIF_USAGE_ZC_COPIED, IORING_CQE_F_NOTIF);
	must_tell_sent(&cast, 2, 1, 16384);
	/* it was asked for while the outcome was open: a copy */
	request = must_gather(&cast, 2, cast.mem, 16385);
	answer(cast.fake, request, 16385, 0);
	assert_int_equal(cast.fake->event_cnt, 2);
}

/* A file comes in chunks of its own; what is behind it does not overtake it. */
static void test_file_goes_alone(void **state)
{
	struct cast cast = cast_open(state, 2);
	struct sc_file *file;
	uint64_t request;

	assert_int_equal(sc_file_open(&cast.fake->session, "/proc/self/exe", &file), 0);
	assert_int_equal(sc_send_file(cast.conn, file, 0, 7, 2), 0);
	for (uint64_t tag = 3; tag < 6; tag++)
		assert_int_equal(sc_send(cast.conn, cast.mem, LEN, tag), 0);
	answer(cast.fake, cast.first, LEN, 0);
	request = must_ask(cast.fake, IORING_OP_SEND).user_data;
	must_ask_nothing(cast.fake);
	answer(cast.fake, request, LEN, 0);
	request = must_ask(cast.fake, IORING_OP_READ).user_data;
	must_ask_nothing(cast.fake);
	answer(cast.fake, request, 7, 0);
	request = must_ask(cast.fake, IORING_OP_SEND).user_data;
	must_ask_nothing(cast.fake);
	answer(cast.fake, request, 7, 0);
	must_tell_sent(&cast, 2, 1, 7);
	request = must_gather(&cast, 3, cast.mem, 3 * LEN);
	answer(cast.fake, request, 3 * LEN, 0);
	must_tell_sent(&cast, 3, 3, LEN);
}

/* While others have high priority the rest of a lane goes in requests that are counted one by one. */
static void test_bulk_is_not_gathered(void **state)
{
	struct cast cast = cast_open(state, 3);
	struct io_uring_sqe recv;
	struct sc_conn *high = accepted(cast.fake, &recv);

	assert_int_equal(sc_conn_set_priority(high, SC_PRIORITY_HIGH), 0);
	answer(cast.fake, cast.first, LEN, 0);
	assert_int_equal(must_ask(cast.fake, IORING_OP_SEND).len, LEN);
	for (uint64_t tag = 0; tag < 3; tag++)
		assert_int_equal(sc_send(high, cast.mem, LEN, tag), 0);
	answer(cast.fake, must_ask(cast.fake, IORING_OP_SEND).user_data, LEN, 0);
	assert_int_equal(must_ask(cast.fake, IORING_OP_SENDMSG).fd, sc_conn_slot(high));
}

/* --- how they end --- */

/* Wherever it ends short: what is whole is told, the rest goes on from there. */
static void test_short(void **state)
{
	for (int sent = 1; sent < 4 * LEN; sent++) {
		struct cast cast = cast_open(state, 5);
		uint64_t request;
		int whole = sent / LEN;

		answer(cast.fake, cast.first, LEN, 0);
		request = must_gather(&cast, 4, cast.mem + LEN, 4 * LEN);
		answer(cast.fake, request, sent, 0);
		must_tell_sent(&cast, 1, whole, LEN);
		if (sent < 3 * LEN) {
			request = must_gather(&cast, (unsigned int)(4 - whole), cast.mem + LEN + sent,
					      (size_t)(4 * LEN - sent));
		} else {
			request = must_ask(cast.fake, IORING_OP_SEND).user_data;
			must_ask_nothing(cast.fake);
		}
		answer(cast.fake, request, 4 * LEN - sent, 0);
		must_tell_sent(&cast, (uint64_t)whole + 1, 4 - whole, LEN);
		must_ask_nothing(cast.fake);
		assert_true(cast.conn->send_broke);
		sc_free(&cast.fake->session, cast.mem);
		sc_close(cast.conn, 0);
		(void)must_ask(cast.fake, IORING_OP_ASYNC_CANCEL);
		answer(cast.fake, sc_conn_tag(cast.conn, OP_RECV), -ECANCELED, 0);
		answer(cast.fake, must_ask(cast.fake, IORING_OP_CLOSE).user_data, 0, 0);
		must_tell(cast.fake, 1, SC_EVENT_CLOSED, 0);
	}
}

static void test_error_fails_all(void **state)
{
	struct cast cast = cast_open(state, MANY);
	uint64_t request;

	answer(cast.fake, cast.first, LEN, 0);
	request = must_gather(&cast, GATHER_PIECES, cast.mem + LEN, GATHER_PIECES * LEN);
	answer(cast.fake, request, 25, 0);
	must_tell_sent(&cast, 1, 2, LEN);
	request = must_gather(&cast, GATHER_PIECES, cast.mem + LEN + 25, GATHER_PIECES * LEN - 5);
	answer(cast.fake, request, -ECONNRESET, 0);
	must_tell_sent(&cast, 3, MANY - 3, -ECONNRESET);
	assert_int_equal(sc_send(cast.conn, cast.mem, 1, 0), -EPIPE);
	must_ask_nothing(cast.fake);
}

static void test_close_now(void **state)
{
	struct cast cast = cast_open(state, 4);
	struct io_uring_sqe cancel;
	uint64_t request;

	answer(cast.fake, cast.first, LEN, 0);
	request = must_gather(&cast, 3, cast.mem + LEN, 3 * LEN);
	sc_close(cast.conn, SC_CLOSE_NOW);
	cancel = must_ask(cast.fake, IORING_OP_ASYNC_CANCEL);
	assert_int_equal(cancel.addr, request);
	answer(cast.fake, request, LEN + 3, 0);
	assert_int_equal(cast.fake->event_cnt, 3);
	assert_int_equal(cast.fake->events[0].result, LEN);
	for (int i = 1; i < 3; i++)
		assert_int_equal(cast.fake->events[i].result, -ECANCELED);
	assert_int_equal(must_ask(cast.fake, IORING_OP_ASYNC_CANCEL).addr, sc_conn_tag(cast.conn, OP_RECV));
	(void)must_ask(cast.fake, IORING_OP_CLOSE);
}

/* A caller that takes one at a time gets all, in order, and the end last. */
static void test_one_event_at_a_time(void **state)
{
	struct cast cast = cast_open(state, 4);
	struct fake *fake = cast.fake;
	struct sc_event event;

	answer(fake, cast.first, LEN, 0);
	cqe_add(fake, must_gather(&cast, 3, cast.mem + LEN, 3 * LEN), 3 * LEN);
	for (uint64_t tag = 1; tag < 4; tag++) {
		assert_int_equal(sc_poll(&fake->session, &event, 1), 1);
		assert_int_equal(event.type, SC_EVENT_SENT);
		assert_int_equal(event.tag, tag);
		if (tag == 1)
			sc_close(cast.conn, 0);
	}
	assert_int_equal(sc_poll(&fake->session, &event, 1), 0);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	cqe_add(fake, sc_conn_tag(cast.conn, OP_RECV), -ECANCELED);
	cqe_add(fake, must_ask(fake, IORING_OP_CLOSE).user_data, 0);
	assert_int_equal(sc_poll(&fake->session, &event, 1), 1);
	assert_int_equal(event.type, SC_EVENT_CLOSED);
}

/* --- cancelling one of them --- */

enum { JOBS = 5 };

struct jobs {
	struct cast cast;
	struct sc_job *job[JOBS];
	uint64_t request; /* of all jobs */
};

static struct jobs jobs_open(void **state)
{
	struct jobs jobs = { .cast = cast_open(state, 1) };

	for (unsigned int i = 0; i < JOBS; i++)
		assert_int_equal(sc_async_send(jobs.cast.conn, jobs.cast.mem + LEN * i, LEN, &jobs.job[i]), 0);
	answer(jobs.cast.fake, jobs.cast.first, LEN, 0);
	jobs.request = must_gather(&jobs.cast, JOBS, jobs.cast.mem, JOBS * LEN);
	return jobs;
}

static void job_cancel(struct jobs *jobs, unsigned int nth)
{
	sc_job_cancel(jobs->job[nth]);
	assert_int_equal(must_ask(jobs->cast.fake, IORING_OP_ASYNC_CANCEL).addr, jobs->request);
}

static void must_end(const struct jobs *jobs, unsigned int from, unsigned int end, ssize_t want)
{
	for (unsigned int i = from; i < end; i++) {
		ssize_t result;

		assert_int_equal(sc_job_done(jobs->job[i], &result), 1);
		assert_int_equal(result, want);
	}
}

/* Nothing has gone: the others go without it. */
static void test_cancelled_with_nothing_gone(void **state)
{
	struct jobs jobs = jobs_open(state);
	struct cast *cast = &jobs.cast;
	ssize_t result;

	job_cancel(&jobs, 2);
	assert_int_equal(sc_job_done(jobs.job[2], &result), 0);
	answer(cast->fake, jobs.request, -ECANCELED, 0);
	must_end(&jobs, 2, 3, -ECANCELED);
	jobs.request = must_gather(cast, JOBS - 1, cast->mem, (JOBS - 1) * LEN);
	assert_int_equal((uintptr_t)cast->scratch->piece[2].iov_base,
			 sc_session_addr(&cast->fake->session, cast->mem + 3 * LEN));
	answer(cast->fake, jobs.request, (JOBS - 1) * LEN, 0);
	must_end(&jobs, 0, 2, LEN);
	must_end(&jobs, 3, JOBS, LEN);
	assert_false(cast->conn->send_broke);
	must_ask_nothing(cast->fake);
}

/* It ended before the cancelled one, exactly there, or in the middle of one before it. */
static void test_cancelled_before_its_turn(void **state)
{
	static const int ends[] = { 1, LEN - 1, LEN, LEN + 3, 2 * LEN };

	for (unsigned int i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		struct jobs jobs = jobs_open(state);
		struct cast *cast = &jobs.cast;

		job_cancel(&jobs, 2);
		answer(cast->fake, jobs.request, ends[i], 0);
		must_end(&jobs, 2, 3, -ECANCELED);
		jobs.request = must_ask(cast->fake, IORING_OP_SENDMSG).user_data;
		answer(cast->fake, jobs.request, (JOBS - 1) * LEN - ends[i], 0);
		must_end(&jobs, 0, 2, LEN);
		must_end(&jobs, 3, JOBS, LEN);
		assert_false(cast->conn->send_broke);
		sc_free(&cast->fake->session, cast->mem);
	}
}

/* A part of it has gone: that is its result, and nothing can follow. */
static void test_cancelled_with_a_part_gone(void **state)
{
	struct jobs jobs = jobs_open(state);

	job_cancel(&jobs, 2);
	answer(jobs.cast.fake, jobs.request, 2 * LEN + 4, 0);
	must_end(&jobs, 0, 2, LEN);
	must_end(&jobs, 2, 3, 4);
	must_end(&jobs, 3, JOBS, -ECANCELED);
	assert_int_equal(sc_send(jobs.cast.conn, jobs.cast.mem, 1, 0), -EPIPE);
	must_ask_nothing(jobs.cast.fake);
}

/* The request was quicker: the cancelled one has gone, whatever comes of those behind it. */
static void test_cancel_comes_too_late(void **state)
{
	struct jobs jobs = jobs_open(state);

	job_cancel(&jobs, 2);
	answer(jobs.cast.fake, jobs.request, 3 * LEN + 4, 0);
	must_end(&jobs, 0, 3, LEN);
	jobs.request = must_gather(&jobs.cast, 2, jobs.cast.mem + 3 * LEN + 4, 2 * LEN - 4);
	answer(jobs.cast.fake, jobs.request, 2 * LEN - 4, 0);
	must_end(&jobs, 3, JOBS, LEN);
}

/* Two of them, the first and the last among them. */
static void test_several_cancelled(void **state)
{
	struct jobs jobs = jobs_open(state);

	job_cancel(&jobs, JOBS - 1);
	sc_job_cancel(jobs.job[0]);
	(void)must_ask(jobs.cast.fake, IORING_OP_ASYNC_CANCEL);
	answer(jobs.cast.fake, jobs.request, -ECANCELED, 0);
	must_end(&jobs, 0, 1, -ECANCELED);
	must_end(&jobs, JOBS - 1, JOBS, -ECANCELED);
	jobs.request = must_gather(&jobs.cast, JOBS - 2, jobs.cast.mem + LEN, (JOBS - 2) * LEN);
	assert_int_equal(sc_async_send(jobs.cast.conn, jobs.cast.mem, LEN, &jobs.job[0]),
			 0); /* behind those that are left */
	answer(jobs.cast.fake, jobs.request, (JOBS - 2) * LEN, 0);
	must_end(&jobs, 1, JOBS - 1, LEN);
	assert_int_equal(must_ask(jobs.cast.fake, IORING_OP_SEND).len, LEN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_open, fake_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_as_many_as_fit),
		TEST(test_whole_sends_only),
		TEST(test_zerocopy_goes_alone),
		TEST(test_file_goes_alone),
		TEST(test_bulk_is_not_gathered),
		TEST(test_short),
		TEST(test_error_fails_all),
		TEST(test_close_now),
		TEST(test_one_event_at_a_time),
		TEST(test_cancelled_with_nothing_gone),
		TEST(test_cancelled_before_its_turn),
		TEST(test_cancelled_with_a_part_gone),
		TEST(test_cancel_comes_too_late),
		TEST(test_several_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

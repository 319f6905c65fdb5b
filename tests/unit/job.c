// SPDX-License-Identifier: MIT
/* Jobs without a kernel: what a cancel asks for and what comes of each answer, in any order. */
#include "conn_fake.h"

#include <errno.h>
#include <string.h>

#include "job.h"

struct sends {
	struct fake *fake;
	struct sc_conn *conn;
	char *mem;
	struct sc_job *job[3];
	struct io_uring_sqe recv, sqe; /* of the first send, if asked for */
};

/* A connection with three sends of ten bytes. */
static struct sends sends_open(void **state, bool ask)
{
	struct sends sends = { .fake = *state };

	sends.conn = accepted(sends.fake, &sends.recv);
	sends.mem = sc_alloc(&sends.fake->session, 4096);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(sc_async_send(sends.conn, sends.mem + 10 * i, 10, &sends.job[i]), 0);
	if (ask)
		sends.sqe = must_ask(sends.fake, IORING_OP_SEND);
	return sends;
}

static void must_end(struct sc_job *job, ssize_t want)
{
	ssize_t result;

	assert_int_equal(sc_job_done(job, &result), 1);
	assert_int_equal(result, want);
}

static void must_pend(struct sc_job *job)
{
	ssize_t result;

	assert_int_equal(sc_job_done(job, &result), 0);
}

static struct io_uring_sqe must_cancel(struct fake *fake, uint64_t victim)
{
	struct io_uring_sqe cancel = must_ask(fake, IORING_OP_ASYNC_CANCEL);

	assert_int_equal(cancel.addr, victim);
	return cancel;
}

static void test_sends_end_in_order_and_make_no_event(void **state)
{
	struct sends sends = sends_open(state, true);

	answer(sends.fake, sends.sqe.user_data, 4, 0);
	must_pend(sends.job[0]);
	sends.sqe = must_ask(sends.fake, IORING_OP_SENDMSG);
	answer(sends.fake, sends.sqe.user_data, 6, 0);
	assert_int_equal(sends.fake->event_cnt, 0);
	must_end(sends.job[0], 10);
	must_pend(sends.job[1]);
	sends.sqe = must_ask(sends.fake, IORING_OP_SENDMSG);
	answer(sends.fake, sends.sqe.user_data, -EPIPE, 0);
	must_end(sends.job[2], -EPIPE);
	must_end(sends.job[1], -EPIPE);
	assert_int_equal(sends.fake->event_cnt, 0);
}

/* The queue is full, so the kernel has none of them yet. */
static void test_cancel_before_the_kernel_knows(void **state)
{
	struct fake *fake = *state;
	struct sends sends;

	while (asked(fake))
		;
	sends = (struct sends){ .fake = fake, .conn = sc_lane_conn_get(&fake->lane) };
	sends.mem = sc_alloc(&fake->session, 4096);
	while (io_uring_get_sqe(&fake->lane.ring))
		;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(sc_async_send(sends.conn, sends.mem + 10 * i, 10, &sends.job[i]), 0);
	sc_job_cancel(sends.job[0]);
	must_end(sends.job[0], -ECANCELED);
	sc_job_cancel(sends.job[2]);
	must_end(sends.job[2], -ECANCELED);
	*fake->lane.ring.sq.ktail = fake->lane.ring.sq.sqe_tail;
	fake->sq_head = fake->sq_tail;
	sends.sqe = must_ask(fake, IORING_OP_SEND);
	assert_int_equal(sends.sqe.addr, sc_session_addr(&fake->session, sends.mem + 10));
	must_ask_nothing(fake);
	assert_int_equal(sc_async_send(sends.conn, sends.mem, 5, &sends.job[0]), 0); /* behind the one that is left */
	answer(fake, sends.sqe.user_data, 10, 0);
	must_end(sends.job[1], 10);
	assert_int_equal(must_ask(fake, IORING_OP_SEND).len, 5);
}

/* answered: -EINTR if the request was waiting in a thread of the kernel's */
static void cancelled_with_nothing_gone(void **state, int answered)
{
	struct sends sends = sends_open(state, true);

	sc_job_cancel(sends.job[0]);
	must_cancel(sends.fake, sends.sqe.user_data);
	must_pend(sends.job[0]);
	answer(sends.fake, sends.sqe.user_data, answered, 0);
	must_end(sends.job[0], -ECANCELED);
	sends.sqe = must_ask(sends.fake, IORING_OP_SENDMSG);
	assert_ptr_equal(sends.fake->lane.scratch[sc_conn_idx(sends.conn)].piece[0].iov_base,
			 (void *)(uintptr_t)sc_session_addr(&sends.fake->session, sends.mem + 10));
	answer(sends.fake, sends.sqe.user_data, 20, 0);
	must_end(sends.job[1], 10);
	must_end(sends.job[2], 10);
	answer(sends.fake, sends.recv.user_data, 0, 0);
	must_tell(sends.fake, 1, SC_EVENT_RECV, 0); /* an orderly end: the cancel was no sign of a reset */
}

static void test_cancelled_with_nothing_gone(void **state)
{
	cancelled_with_nothing_gone(state, -ECANCELED);
}

static void test_cancelled_in_a_thread(void **state)
{
	cancelled_with_nothing_gone(state, -EINTR);
}

/* Nobody has cancelled it: that thread was stopped and went on, with the process. */
static void test_interrupted(void **state)
{
	struct sends sends = sends_open(state, true);

	answer(sends.fake, sends.sqe.user_data, 4, 0);
	sends.sqe = must_ask(sends.fake, IORING_OP_SENDMSG);
	answer(sends.fake, sends.sqe.user_data, -EINTR, 0);
	sends.sqe = must_ask(sends.fake, IORING_OP_SENDMSG);
	answer(sends.fake, sends.sqe.user_data, 26, 0);
	for (int i = 0; i < 3; i++)
		must_end(sends.job[i], 10);
}

static void test_interrupted_by_close(void **state)
{
	struct sends sends = sends_open(state, true);

	sc_close(sends.conn, SC_CLOSE_NOW);
	must_cancel(sends.fake, sends.sqe.user_data);
	answer(sends.fake, sends.sqe.user_data, -EINTR, 0);
	for (int i = 0; i < 3; i++)
		must_end(sends.job[i], -ECANCELED);
}

/* Whether before the cancel or by it: the stream is cut off. */
static void test_cancelled_with_a_part_gone(void **state)
{
	struct sends sends = sends_open(state, true);

	answer(sends.fake, sends.sqe.user_data, 4, 0);
	sends.sqe = must_ask(sends.fake, IORING_OP_SENDMSG);
	sc_job_cancel(sends.job[0]);
	must_cancel(sends.fake, sends.sqe.user_data);
	answer(sends.fake, sends.sqe.user_data, 3, 0);
	must_end(sends.job[0], 7);
	must_end(sends.job[1], -ECANCELED);
	must_end(sends.job[2], -ECANCELED);
	must_ask_nothing(sends.fake);
	assert_int_equal(sc_async_send(sends.conn, sends.mem, 1, &sends.job[0]), -EPIPE);
	assert_int_equal(sends.fake->session.counters.sent, 7);
}

/* A part has gone, the rest was to be asked for when the queue was full. */
static void test_cancelled_between_two_parts(void **state)
{
	struct sends sends = sends_open(state, true);

	while (io_uring_get_sqe(&sends.fake->lane.ring))
		;
	answer(sends.fake, sends.sqe.user_data, 4, 0);
	sc_job_cancel(sends.job[0]);
	must_end(sends.job[0], 4);
	must_end(sends.job[1], -ECANCELED);
	must_end(sends.job[2], -ECANCELED);
}

/* The send was quicker than its cancel, which must not meet the next one. */
static void test_cancel_comes_too_late(void **state)
{
	struct sends sends = sends_open(state, true);

	while (io_uring_get_sqe(&sends.fake->lane.ring))
		;
	sc_job_cancel(sends.job[0]);
	answer(sends.fake, sends.sqe.user_data, 10, 0);
	must_end(sends.job[0], 10);
	sends.fake->sq_head = sends.fake->sq_tail;
	sends.sqe = must_ask(sends.fake, IORING_OP_SENDMSG);
	must_ask_nothing(sends.fake);
	answer(sends.fake, sends.sqe.user_data, 10, 0);
	must_end(sends.job[1], 10);
}

/* Sends that have failed and wait to be told of are nobody's to cancel any more. */
static void test_cancel_of_what_has_failed(void **state)
{
	struct sends sends = sends_open(state, true);

	sc_close(sends.conn, SC_CLOSE_NOW);
	cqe_add(sends.fake, sends.sqe.user_data, -ECANCELED);
	(void)sc_poll(&sends.fake->session, sends.fake->events, 0);
	sc_job_cancel(sends.job[2]);
	for (unsigned int i = 0; i < 3; i++)
		must_end(sends.job[i], -ECANCELED);
}

/* A call that has given up leaves nothing that could be told. */
static void test_orphan(void **state)
{
	struct sends sends = sends_open(state, true);

	sends.job[0]->orphan = true;
	answer(sends.fake, sends.sqe.user_data, 10, 0);
	assert_int_equal(sends.fake->event_cnt, 0);
	assert_ptr_equal(sc_job_get(sends.conn), sends.job[0]);
}

/* A shutdown that waits for a send comes when that is cancelled. */
static void test_shutdown_after_cancel(void **state)
{
	struct sends sends = sends_open(state, true);

	assert_int_equal(sc_shutdown(sends.conn), 0);
	sc_job_cancel(sends.job[2]);
	sc_job_cancel(sends.job[1]);
	sc_job_cancel(sends.job[0]);
	must_cancel(sends.fake, sends.sqe.user_data);
	answer(sends.fake, sends.sqe.user_data, -ECANCELED, 0);
	(void)must_ask(sends.fake, IORING_OP_SHUTDOWN);
	must_ask_nothing(sends.fake);
}

static void test_receives_share_what_comes(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);
	struct sc_job *job[2];
	char text[2][8];

	assert_int_equal(sc_async_recv(conn, text[0], 3, SC_RECV_ALL, &job[0]), 0);
	assert_int_equal(sc_async_recv(conn, text[1], 8, SC_RECV_ALL, &job[1]), 0);
	memcpy(fake->lane.bufs, "abcdef", 6);
	answer(fake, recv.user_data, 6, buffer(0, 1));
	assert_int_equal(fake->event_cnt, 0);
	assert_int_equal(fake->lane.bufs_held, 0); /* all of it copied */
	must_end(job[0], 3);
	must_pend(job[1]);
	memcpy(fake->lane.bufs, "ghijklmn", 8);
	answer(fake, recv.user_data, 8, buffer(0, 1));
	assert_int_equal(fake->lane.bufs_held, 1);
	must_end(job[1], 8);
	assert_memory_equal(text[1], "defghijk", 8);
	assert_int_equal(sc_async_recv(conn, text[0], 8, 0, &job[0]), 0);
	must_end(job[0], 3);
	assert_memory_equal(text[0], "lmn", 3);
	assert_int_equal(fake->lane.bufs_held, 0);
	answer(fake, recv.user_data, 0, 0);
	assert_int_equal(fake->event_cnt, 0);
	assert_int_equal(sc_async_recv(conn, text[0], 8, SC_RECV_ALL, &job[0]), 0);
	must_end(job[0], 0);
}

/* The window counts what no job has asked for; when half of it has been, reading goes on. */
static void test_window(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);
	struct sc_job *job;
	char text[64];

	assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS), 0);
	for (unsigned int i = 0; i < WINDOW; i++) {
		must_ask_nothing(fake);
		answer(fake, recv.user_data, 9, buffer(i, 1));
	}
	must_cancel(fake, recv.user_data);
	answer(fake, recv.user_data, -ECANCELED, 0);
	assert_int_equal(sc_async_recv(conn, text, 17, SC_RECV_ALL, &job), 0);
	must_end(job, 17);
	must_ask_nothing(fake);
	assert_int_equal(sc_async_recv(conn, text, 1, 0, &job), 0);
	must_end(job, 1);
	recv = must_ask(fake, IORING_OP_RECV);
	must_ask_nothing(fake);
	assert_int_equal(sc_async_recv(conn, text, 64, 0, &job), 0);
	must_end(job, 18);
}

/* A buffer that was named before it came back, as only a forged completion does, is kept once, and by one connection. */
static void test_buffer_named_again(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, recv_too;
	struct sc_conn *conn = accepted(fake, &recv), *other = accepted(fake, &recv_too);
	struct sc_job *job;
	char text[64];

	assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS), 0);
	assert_int_equal(sc_conn_set_recv_mode(other, SC_RECV_BY_JOBS), 0);
	answer(fake, recv.user_data, 9, buffer(0, 1));
	answer(fake, recv.user_data, 9, buffer(1, 1));
	answer(fake, recv.user_data, 9, buffer(1, 1));
	answer(fake, recv_too.user_data, 9, buffer(0, 1));
	assert_int_equal(sc_async_recv(conn, text, sizeof(text), SC_RECV_ALL, &job), 0);
	must_pend(job);
	answer(fake, recv.user_data, 0, 0);
	must_end(job, 18);
	sc_close(other, SC_CLOSE_NOW); /* nothing of it is given back */
	answer(fake, recv_too.user_data, 9, buffer(0, 1));
}

/* The same, with events that nobody took: they cannot become bytes for jobs. */
static void test_buffer_of_events_named_again(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);

	for (int i = 0; i < 3; i++) {
		fake->cqes[fake->cq_tail++ & (ENTRIES - 1)] =
			(struct io_uring_cqe){ .user_data = recv.user_data, .res = 9, .flags = buffer(2, 1) };
		assert_int_equal(sc_session_turn(&fake->session, 0), 0);
	}
	assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS), -ENOMEM);
	assert_int_equal(sc_poll(&fake->session, fake->events, EVENTS), 3);
	assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS), 0);
}

static ssize_t received(struct sc_conn *conn)
{
	struct sc_job *job;
	ssize_t result;
	char byte;

	assert_int_equal(sc_async_recv(conn, &byte, 1, 0, &job), 0);
	assert_int_equal(sc_job_done(job, &result), 1);
	return result;
}

/* How a stream has ended is told to each job, though an event has told it before, and by that one event only. */
static void ends_so(struct fake *fake, int how)
{
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);

	answer(fake, recv.user_data, how, 0);
	must_tell(fake, 1, how ? SC_EVENT_ERROR : SC_EVENT_RECV, how);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(received(conn), how);
		assert_int_equal(received(conn), how);
		assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_EVENTS), 0);
		assert_int_equal(sc_poll(&fake->session, fake->events, EVENTS), 0);
	}
}

static void test_end_told_before(void **state)
{
	ends_so(*state, 0);
	ends_so(*state, -ECONNRESET);
}

/* What only jobs were told, an event tells as well, once; one that nobody took is taken back. */
static void test_end_told_to_jobs(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);

	assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS), 0);
	answer(fake, recv.user_data, -ECONNRESET, 0);
	assert_int_equal(fake->event_cnt, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(received(conn), -ECONNRESET);
		assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_EVENTS), 0);
	}
	fake->event_cnt = sc_poll(&fake->session, fake->events, EVENTS);
	must_tell(fake, 1, SC_EVENT_ERROR, -ECONNRESET);
	assert_int_equal(received(conn), -ECONNRESET);
	assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_EVENTS), 0);
	assert_int_equal(sc_poll(&fake->session, fake->events, EVENTS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sends_end_in_order_and_make_no_event, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_cancel_before_the_kernel_knows, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_cancelled_with_nothing_gone, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_cancelled_in_a_thread, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_interrupted, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_interrupted_by_close, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_cancelled_with_a_part_gone, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_cancelled_between_two_parts, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_cancel_comes_too_late, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_cancel_of_what_has_failed, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_orphan, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_shutdown_after_cancel, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_receives_share_what_comes, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_window, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_buffer_named_again, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_buffer_of_events_named_again, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_end_told_before, fake_open, fake_close),
		cmocka_unit_test_setup_teardown(test_end_told_to_jobs, fake_open, fake_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

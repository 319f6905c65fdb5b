// SPDX-License-Identifier: MIT
/* A datagram socket without a kernel: what is asked when the queue is full, and what made-up answers do. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "conn_fake.h"

enum { UNDER_WAY = 32 };

static struct sc_conn *opened(struct fake *fake, struct io_uring_sqe *ret_recv)
{
	struct sc_conn *conn;

	while (asked(fake)) /* the accepts */
		;
	assert_int_equal(sc_udp_open(&fake->session, "127.0.0.1", 0, &conn), 0);
	*ret_recv = must_ask(fake, IORING_OP_RECVMSG);
	assert_int_equal(ret_recv->fd, sc_conn_slot(conn));
	assert_int_equal(ret_recv->flags, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
	assert_int_equal(ret_recv->optlen, 0);
	return conn;
}

static int send_one(struct sc_conn *conn, char *mem, uint64_t tag)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)tag) };

	return sc_sendto(conn, mem, 10, (struct sockaddr *)&to, sizeof(to), tag);
}

static const struct msghdr *message(struct fake *fake, const struct io_uring_sqe *sqe)
{
	return (void *)(fake->session.mem + (sqe->addr - fake->session.base));
}

/* Each of the order of calls, whether the queue had room or not; each answered by its number. */
static void test_full_queue(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, send[UNDER_WAY];
	struct sc_conn *conn = opened(fake, &recv);
	char *mem = sc_alloc(&fake->session, 64);

	while (io_uring_sq_space_left(&fake->lane.ring) > 5)
		(void)io_uring_get_sqe(&fake->lane.ring);
	for (uint64_t tag = 0; tag < UNDER_WAY; tag++)
		assert_int_equal(send_one(conn, mem, tag), 0);
	assert_int_equal(send_one(conn, mem, 99), -EAGAIN);
	assert_true(fake->session.counters.sq_full > 0);
	sc_close(conn, 0); /* waits for all */
	(void)sc_poll(&fake->session, fake->events, 0);
	fake->sq_head = fake->sq_tail - 5;
	for (uint64_t tag = 0; tag < UNDER_WAY; tag++) {
		const struct sockaddr_in *to;

		send[tag] = must_ask(fake, IORING_OP_SENDMSG);
		to = (void *)(fake->session.mem +
			      ((uintptr_t)message(fake, &send[tag])->msg_name - fake->session.base));
		assert_int_equal(ntohs(to->sin_port), tag);
	}
	must_ask_nothing(fake);
	for (int tag = UNDER_WAY - 1; tag >= 0; tag--) { /* in any order */
		answer(fake, send[tag].user_data, tag % 2 ? 10 : -ENETUNREACH, 0);
		must_tell(fake, 1, SC_EVENT_SENT, tag % 2 ? 10 : -ENETUNREACH);
		assert_int_equal(fake->events[0].tag, tag);
		answer(fake, send[tag].user_data, 10, 0); /* once */
		assert_int_equal(fake->event_cnt, 0);
	}
	assert_int_equal(must_ask(fake, IORING_OP_ASYNC_CANCEL).addr, recv.user_data);
	answer(fake, must_ask(fake, IORING_OP_CLOSE).user_data, 0, 0);
	answer(fake, recv.user_data, -ECANCELED, 0);
	must_tell(fake, 1, SC_EVENT_CLOSED, 0);
	sc_free(&fake->session, mem);
	mem = sc_alloc(&fake->session, ARENA); /* nothing is left of it */
	assert_non_null(mem);
}

/* The queue had room for none, then for some: those are answered while the others wait. */
static void test_some_wait(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = opened(fake, &recv);
	char *mem = sc_alloc(&fake->session, 64);

	while (io_uring_get_sqe(&fake->lane.ring))
		;
	for (uint64_t tag = 0; tag < 8; tag++)
		assert_int_equal(send_one(conn, mem, tag), 0);
	(void)sc_poll(&fake->session, fake->events, 0);
	fake->sq_head += 3;
	(void)sc_poll(&fake->session, fake->events, 0);
	for (uint64_t nr = 0; nr < 3; nr++) {
		answer(fake, sc_conn_tag(conn, OP_SENDTO) | nr << 48, 10, 0);
		must_tell(fake, 1, SC_EVENT_SENT, 10);
		assert_int_equal(fake->events[0].tag, nr);
	}
}

/* Answers to what was not asked yet, and to numbers that there are not. */
static void test_made_up_answers(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = opened(fake, &recv);
	char *mem = sc_alloc(&fake->session, 64);

	while (io_uring_sq_space_left(&fake->lane.ring) > 2)
		(void)io_uring_get_sqe(&fake->lane.ring);
	for (uint64_t tag = 0; tag < 8; tag++)
		assert_int_equal(send_one(conn, mem, tag), 0);
	for (uint64_t nr = 2; nr < 65536; nr += 3)
		answer(fake, sc_conn_tag(conn, OP_SENDTO) | nr << 48, 10, 0);
	assert_int_equal(fake->event_cnt, 0);
	sc_close(conn, SC_CLOSE_NOW); /* the six that the queue has not taken, oldest first, then the two that it has */
	assert_int_equal(sc_poll(&fake->session, fake->events, EVENTS), 6);
	for (uint64_t i = 0; i < 6; i++) {
		assert_int_equal(fake->events[i].tag, 2 + i);
		assert_int_equal(fake->events[i].result, -ECANCELED);
	}
	fake->sq_head = fake->sq_tail;
	assert_true(must_ask(fake, IORING_OP_ASYNC_CANCEL).cancel_flags & IORING_ASYNC_CANCEL_FD);
	for (uint64_t nr = 0; nr < 2; nr++)
		answer(fake, sc_conn_tag(conn, OP_SENDTO) | nr << 48, nr ? -EINTR : -ECANCELED, 0);
	must_tell(fake, 1, SC_EVENT_SENT, -ECANCELED);
}

/* It is closed, but a call that waits for something else has kept the event: the caller may still be in a hurry. */
static void test_close_again(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = opened(fake, &recv);

	sc_close(conn, 0);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	answer(fake, must_ask(fake, IORING_OP_CLOSE).user_data, 0, 0);
	cqe_add(fake, recv.user_data, -ECANCELED);
	assert_int_equal(sc_session_turn(&fake->session, 0), 0);
	sc_close(conn, SC_CLOSE_NOW);
	assert_int_equal(sc_sendto(conn, fake, 1, NULL, 0, 0), -EDESTADDRREQ);
	assert_int_equal(send_one(conn, sc_alloc(&fake->session, 64), 0), -EPIPE);
	fake->event_cnt = sc_poll(&fake->session, fake->events, EVENTS);
	must_tell(fake, 1, SC_EVENT_CLOSED, 0);
}

/* A buffer that another process writes to: whatever the header says, what is told lies in the buffer. */
static void test_headers(void **state)
{
	static const uint32_t numbers[] = { 0, 1, 16, 28, 32, 1000, 1U << 31, ~0U };
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = opened(fake, &recv);
	char *buf = fake->lane.bufs + (3 << BUF_SHIFT);

	for (size_t i = 0; i < 8 * 8 * 2; i++) {
		struct io_uring_recvmsg_out out = {
			.namelen = numbers[i % 8],
			.controllen = numbers[i / 8 % 8],
			.payloadlen = numbers[i % 8],
			.flags = i < 64 ? 0 : MSG_TRUNC,
		};
		const struct sc_event *event = fake->events;

		memset(buf, 0xff, 1 << BUF_SHIFT);
		memcpy(buf, &out, sizeof(out));
		answer(fake, recv.user_data, i % 5 ? 100 : (int)(i % 71 + 1), buffer(3, 1));
		if (i % 5 == 0) { /* no room for a header */
			assert_int_equal(fake->event_cnt, 0);
			continue;
		}
		must_tell(fake, 1, SC_EVENT_RECV, 0);
		assert_int_equal(event->len, 28);
		assert_ptr_equal(event->data, buf + 72);
		assert_ptr_equal(event->addr, buf + 16);
		assert_true(event->addr_len <= 32);
		assert_int_equal(event->flags, i < 64 ? 0 : SC_EVENT_TRUNCATED);
		sc_release(conn, event->data);
		assert_int_equal(fake->lane.bufs_held, 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_open, fake_close)
	const struct CMUnitTest tests[] = {
		TEST(test_full_queue),	TEST(test_some_wait), TEST(test_made_up_answers),
		TEST(test_close_again), TEST(test_headers),
	};

	return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}

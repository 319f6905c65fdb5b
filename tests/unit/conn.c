// SPDX-License-Identifier: MIT
/* A connection's states, driven by a consumer that the test plays. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "conn_fake.h"

/* --- states --- */

static void test_accepts_are_bounded(void **state)
{
	struct fake *fake = *state;
	int cnt = 0;

	while (asked(fake))
		cnt++;
	assert_int_equal(cnt, CONNS / 4 + 1); /* a part of the room only */
}

/* Whatever is closed a second time may be another's by then. */
static void test_listener_is_closed_once(void **state)
{
	struct fake *fake = *state;
	struct sc_listener *listener = &fake->session.listeners[0];

	while (asked(fake))
		;
	sc_listener_close(listener);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	(void)must_ask(fake, IORING_OP_CLOSE);
	sc_listener_close(listener);
	must_ask_nothing(fake);
}

static void test_failed_accept_is_asked_again(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe accept = must_ask(fake, IORING_OP_ACCEPT);

	while (asked(fake))
		;
	answer(fake, accept.user_data, -ECONNABORTED, 0);
	assert_int_equal(fake->event_cnt, 0);
	(void)must_ask(fake, IORING_OP_ACCEPT);
	must_ask_nothing(fake);
	/* for want of resources: not at once */
	answer(fake, fake->sqes[(fake->sq_head - 1) & (ENTRIES - 1)].user_data, -ENFILE, 0);
	must_ask_nothing(fake);
	fake->session.listeners[0].retry_ms = 1; /* long ago */
	(void)must_ask(fake, IORING_OP_ACCEPT);
}

static void test_data_and_end(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);

	answer(fake, recv.user_data, 5, buffer(3, 1) | IORING_CQE_F_SOCK_NONEMPTY);
	must_tell(fake, 1, SC_EVENT_RECV, 0);
	assert_int_equal(fake->events[0].len, 5);
	assert_ptr_equal(fake->events[0].data, fake->lane.bufs + (3 << BUF_SHIFT));
	assert_int_equal(fake->lane.bufs_held, 1);
	sc_release(conn, fake->events[0].data);
	assert_int_equal(fake->lane.bufs_held, 0);
	answer(fake, recv.user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_RECV, 0);
	assert_int_equal(fake->events[0].len, 0);
	must_ask_nothing(fake); /* the stream has ended */
}

static void test_receive_goes_on(void **state)
{
	static const int ends[] = { -ENOBUFS, -ECANCELED, -EINVAL };
	struct fake *fake = *state;
	struct io_uring_sqe recv;

	(void)accepted(fake, &recv);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		answer(fake, recv.user_data, ends[i], 0);
		assert_int_equal(fake->event_cnt, 0);
		if (ends[i] == -ENOBUFS)
			(void)must_ask(fake, IORING_OP_NOP);
		recv = must_ask(fake, IORING_OP_RECV);
		must_ask_nothing(fake);
	}
	assert_int_equal(recv.optlen, 0); /* -EINVAL: a kernel without the limit is asked without */
	/* and when the limit ends it with data */
	answer(fake, recv.user_data, 5, buffer(1, 0));
	must_tell(fake, 1, SC_EVENT_RECV, 0);
	(void)must_ask(fake, IORING_OP_RECV);
	/* without a limit -EINVAL is an error like others */
	answer(fake, recv.user_data, -EINVAL, 0);
	must_tell(fake, 1, SC_EVENT_ERROR, -EINVAL);
	must_ask_nothing(fake);
}

/* Many have asked with the limit when the first is refused. */
static void test_limit_is_refused_to_all(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe first, second;

	(void)accepted(fake, &first);
	answer(fake, fake->sqes[1].user_data, 0, 0); /* the second accept */
	must_tell(fake, 1, SC_EVENT_ACCEPT, 0);
	fake->sq_head = fake->sq_tail;
	second = must_ask(fake, IORING_OP_RECV);
	assert_int_equal(second.optlen, 1000);
	while (asked(fake))
		;
	answer(fake, first.user_data, -EINVAL, 0);
	assert_int_equal(fake->event_cnt, 0);
	assert_int_equal(must_ask(fake, IORING_OP_RECV).optlen, 0);
	answer(fake, second.user_data, -EINVAL, 0);
	assert_int_equal(fake->event_cnt, 0);
	assert_int_equal(must_ask(fake, IORING_OP_RECV).optlen, 0);
}

static void test_window(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, cancel;
	struct sc_conn *conn = accepted(fake, &recv);
	void *data[WINDOW + 1];

	for (unsigned int i = 0; i < WINDOW; i++) {
		must_ask_nothing(fake);
		data[i] = answer(fake, recv.user_data, 9, buffer(i, 1))->data;
	}
	cancel = must_ask(fake, IORING_OP_ASYNC_CANCEL);
	assert_int_equal(cancel.addr, recv.user_data);
	/* one more was under way already: it is not lost */
	data[WINDOW] = answer(fake, recv.user_data, 9, buffer(WINDOW, 1))->data;
	must_tell(fake, 1, SC_EVENT_RECV, 0);
	answer(fake, recv.user_data, -ECANCELED, 0);
	must_ask_nothing(fake);
	sc_release(conn, data[0]);
	sc_release(conn, data[1]);
	must_ask_nothing(fake);
	sc_release(conn, data[2]); /* half of the window */
	(void)must_ask(fake, IORING_OP_RECV);
	must_ask_nothing(fake);
}

static void test_few_buffers_are_copied_out(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);
	void *data = NULL;

	fake->lane.window = 100;
	for (unsigned int i = 0; i < BUFS; i++) {
		fake->lane.bufs[i << BUF_SHIFT] = (char)i;
		data = answer(fake, recv.user_data, 1, buffer(i, 1))->data;
		assert_int_equal(*(char *)data, i);
		assert_true(sc_lane_bufs_free(&fake->lane) >= BUFS / 8);
	}
	assert_true(fake->session.counters.recv_copied > 0);
	sc_release(conn, data); /* a copy: goes back to the arena */
	assert_non_null(sc_arena_alloc(&fake->session.arena, ARENA / 2));
}

/* Many may be starved: when buffers come back, as many ask again as there are buffers, the longest starved first. */
static void test_starved_stand_in_line(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv[4], fed;
	struct sc_conn *conn[4];

	for (unsigned int i = 0; i < 4; i++)
		conn[i] = accepted(fake, &recv[i]);
	fake->lane.bufs_held = BUFS;
	for (unsigned int i = 0; i < 4; i++)
		answer(fake, recv[i].user_data, -ENOBUFS, 0);
	must_ask_nothing(fake);
	fake->lane.bufs_held--;
	fed = must_ask(fake, IORING_OP_NOP);
	assert_int_equal(must_ask(fake, IORING_OP_RECV).fd, sc_conn_slot(conn[0]));
	fake->lane.bufs_held--;
	must_ask_nothing(fake); /* whether the first needs one is not known yet */
	sc_close(conn[1], 0);
	(void)must_ask(fake, IORING_OP_CLOSE);
	answer(fake, fed.user_data, 0, 0);
	(void)must_ask(fake, IORING_OP_NOP);
	assert_int_equal(must_ask(fake, IORING_OP_RECV).fd, sc_conn_slot(conn[2]));
	assert_int_equal(must_ask(fake, IORING_OP_RECV).fd, sc_conn_slot(conn[3]));
	must_ask_nothing(fake);
}

static void test_sends_in_order(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, send;
	struct sc_conn *conn = accepted(fake, &recv);
	char *mem = sc_alloc(&fake->session, 4096);
	struct iovec two[] = { { mem, 10 }, { mem + 100, 20 } };
	struct send_scratch *scratch = &fake->lane.scratch[sc_conn_idx(conn)];

	assert_int_equal(sc_send(conn, mem, 100, 1), 0);
	assert_int_equal(sc_sendv(conn, two, 2, 2), 0);
	send = must_ask(fake, IORING_OP_SEND);
	assert_int_equal(send.addr, sc_session_addr(&fake->session, mem));
	assert_int_equal(send.len, 100);
	assert_int_equal(send.msg_flags, MSG_WAITALL);
	must_ask_nothing(fake); /* the second waits for the first */
	answer(fake, send.user_data, 100, 0);
	must_tell(fake, 1, SC_EVENT_SENT, 100);
	assert_int_equal(fake->events[0].tag, 1);
	send = must_ask(fake, IORING_OP_SENDMSG);
	assert_int_equal(send.msg_flags, MSG_WAITALL);
	assert_int_equal(send.addr, sc_session_addr(&fake->session, &scratch->msg));
	assert_int_equal(scratch->msg.msg_iovlen, 2);
	assert_ptr_equal(scratch->msg.msg_iov, (void *)(uintptr_t)sc_session_addr(&fake->session, scratch->piece));
	assert_int_equal(scratch->piece[1].iov_len, 20);
	answer(fake, send.user_data, 15, 0); /* short, within the second piece: goes on, tells nothing */
	assert_int_equal(fake->event_cnt, 0);
	send = must_ask(fake, IORING_OP_SEND);
	assert_int_equal(send.addr, sc_session_addr(&fake->session, mem + 105));
	assert_int_equal(send.len, 15);
	answer(fake, send.user_data, 15, 0);
	must_tell(fake, 1, SC_EVENT_SENT, 30);
	assert_int_equal(fake->events[0].tag, 2);
	assert_int_equal(fake->session.counters.sent, 130);
}

static void test_failed_send_fails_the_rest(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, send;
	struct sc_conn *conn = accepted(fake, &recv);
	char *mem = sc_alloc(&fake->session, 4096);

	for (uint64_t tag = 0; tag < 3; tag++)
		assert_int_equal(sc_send(conn, mem, 10, tag), 0);
	send = must_ask(fake, IORING_OP_SEND);
	answer(fake, send.user_data, -EPIPE, 0);
	must_tell(fake, 3, SC_EVENT_SENT, -EPIPE);
	for (uint64_t tag = 0; tag < 3; tag++)
		assert_int_equal(fake->events[tag].tag, tag);
	assert_int_equal(sc_send(conn, mem, 10, 3), -EPIPE);
	must_ask_nothing(fake);
}

/* The kernel tells of a reset once: the send that met it leaves the receiver no more than an end. */
static void test_reset_met_by_a_send(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, send;
	struct sc_conn *conn = accepted(fake, &recv);
	char *mem = sc_alloc(&fake->session, 4096);

	assert_int_equal(sc_send(conn, mem, 10, 0), 0);
	send = must_ask(fake, IORING_OP_SEND);
	answer(fake, send.user_data, 4, 0);
	assert_int_equal(fake->event_cnt, 0);
	answer(fake, recv.user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_ERROR, -ECONNRESET);
}

static void test_shutdown_after_sends(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, send, shutdown;
	struct sc_conn *conn = accepted(fake, &recv);
	char *mem = sc_alloc(&fake->session, 4096);

	assert_int_equal(sc_send(conn, mem, 10, 1), 0);
	assert_int_equal(sc_shutdown(conn), 0);
	assert_int_equal(sc_send(conn, mem, 10, 2), -EPIPE);
	send = must_ask(fake, IORING_OP_SEND);
	must_ask_nothing(fake);
	answer(fake, send.user_data, 10, 0);
	shutdown = must_ask(fake, IORING_OP_SHUTDOWN);
	answer(fake, shutdown.user_data, 0, 0);
	assert_int_equal(fake->event_cnt, 0);
	/* receiving goes on */
	answer(fake, recv.user_data, 4, buffer(0, 1));
	must_tell(fake, 1, SC_EVENT_RECV, 0);
}

/* A shutdown finds its file by the number, some time: the number must not be another's by then. */
static void test_close_waits_for_shutdown(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, shutdown;
	struct sc_conn *conn = accepted(fake, &recv);

	assert_int_equal(sc_shutdown(conn), 0);
	sc_close(conn, SC_CLOSE_NOW);
	shutdown = must_ask(fake, IORING_OP_SHUTDOWN);
	must_ask_nothing(fake);
	answer(fake, shutdown.user_data, 0, 0);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	(void)must_ask(fake, IORING_OP_CLOSE);
	must_ask_nothing(fake);
}

static void test_close_waits_for_all(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, send, cancel, close;
	struct sc_conn *conn = accepted(fake, &recv);
	char *mem = sc_alloc(&fake->session, 4096);
	void *data = answer(fake, recv.user_data, 9, buffer(0, 1))->data;
	uint32_t gen = conn->gen;

	assert_int_equal(sc_send(conn, mem, 10, 1), 0);
	sc_close(conn, 0);
	send = must_ask(fake, IORING_OP_SEND);
	must_ask_nothing(fake);
	answer(fake, send.user_data, 10, 0);
	must_tell(fake, 1, SC_EVENT_SENT, 10);
	cancel = must_ask(fake, IORING_OP_ASYNC_CANCEL);
	assert_int_equal(cancel.addr, recv.user_data);
	close = must_ask(fake, IORING_OP_CLOSE);
	assert_int_equal(close.file_index, sc_conn_slot(conn) + 1);
	/* data that came before the cancel goes back silently */
	answer(fake, recv.user_data, 9, buffer(1, 1));
	assert_int_equal(fake->event_cnt, 0);
	assert_int_equal(fake->lane.bufs_held, 1);
	answer(fake, close.user_data, 0, 0);
	assert_int_equal(fake->event_cnt, 0); /* the receive still has the file */
	answer(fake, recv.user_data, -ECANCELED, 0);
	must_tell(fake, 1, SC_EVENT_CLOSED, 0);
	assert_int_equal(conn->gen, gen); /* a buffer is out still */
	sc_release(conn, data);
	assert_int_equal(conn->gen, gen + 1);
	/* what the cancel finds, or a late answer to an old request, means nothing to the next connection */
	answer(fake, cancel.user_data, -ENOENT, 0);
	answer(fake, recv.user_data, 9, 0);
	assert_int_equal(fake->event_cnt, 0);
}

/*
 * A poller may close as soon as it is asked, while earlier completions are still looked at; however few events fit at a
 * time.
 */
static void closed_is_told_last(struct fake *fake, unsigned int max)
{
	struct io_uring_sqe recv, send;
	struct sc_conn *conn = accepted(fake, &recv);
	char *mem = sc_alloc(&fake->session, 4096);
	int cnt = 0;

	for (uint64_t tag = 0; tag < 3; tag++)
		assert_int_equal(sc_send(conn, mem, 10, tag), 0);
	send = must_ask(fake, IORING_OP_SEND);
	sc_close(conn, 0);
	cqe_add(fake, send.user_data, -EPIPE);
	cqe_add(fake, recv.user_data, -ECANCELED);
	cqe_add(fake, sc_conn_tag(conn, OP_CLOSE), 0);
	while (cnt < 4) {
		int more = sc_poll(&fake->session, fake->events + cnt, max);

		assert_true(more > 0);
		cnt += more;
	}
	for (uint64_t tag = 0; tag < 3; tag++) {
		assert_int_equal(fake->events[tag].type, SC_EVENT_SENT);
		assert_int_equal(fake->events[tag].tag, tag);
	}
	assert_int_equal(fake->events[3].type, SC_EVENT_CLOSED);
}

static void test_closed_is_told_last(void **state)
{
	closed_is_told_last(*state, EVENTS);
}

static void test_closed_is_told_last_one_at_a_time(void **state)
{
	closed_is_told_last(*state, 1);
}

static void test_close_now(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, send, cancel;
	struct sc_conn *conn = accepted(fake, &recv);
	char *mem = sc_alloc(&fake->session, 4096);

	for (uint64_t tag = 0; tag < 3; tag++)
		assert_int_equal(sc_send(conn, mem, 100, tag), 0);
	send = must_ask(fake, IORING_OP_SEND);
	sc_close(conn, 0);
	sc_close(conn, SC_CLOSE_NOW);
	cancel = must_ask(fake, IORING_OP_ASYNC_CANCEL);
	assert_int_equal(cancel.addr, send.user_data);
	assert_int_equal(sc_poll(&fake->session, fake->events, EVENTS), 0);
	answer(fake, send.user_data, 40, 0); /* cancelled half way: not gone on with */
	must_tell(fake, 3, SC_EVENT_SENT, -ECANCELED);
	for (uint64_t tag = 0; tag < 3; tag++)
		assert_int_equal(fake->events[tag].tag, tag);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	answer(fake, must_ask(fake, IORING_OP_CLOSE).user_data, 0, 0);
	answer(fake, recv.user_data, -ECANCELED, 0);
	must_tell(fake, 1, SC_EVENT_CLOSED, 0);
}

/* A connection whose requests for the time limit and the connect are answered by the test. */
static struct sc_conn *connecting(struct fake *fake, struct io_uring_sqe *ret_timeout, struct io_uring_sqe *ret_connect)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	const struct sockaddr_in *to;
	struct sc_conn *conn;

	while (asked(fake)) /* the accepts */
		;
	opt.address = "192.0.2.1";
	opt.port = 80;
	opt.timeout_ms = 1500;
	assert_int_equal(sc_connect(&fake->session, &opt, &conn), 0);
	*ret_timeout = must_ask(fake, IORING_OP_TIMEOUT);
	*ret_connect = must_ask(fake, IORING_OP_CONNECT);
	must_ask_nothing(fake);
	assert_int_equal(ret_connect->fd, sc_conn_slot(conn));
	assert_int_equal(ret_connect->flags, IOSQE_FIXED_FILE);
	to = (void *)(fake->session.mem + (ret_connect->addr - fake->session.base));
	assert_int_equal(to->sin_addr.s_addr, htonl(0xc0000201));
	assert_int_equal(to->sin_port, htons(80));
	return conn;
}

/* The caller may connect while it goes through events of a connection that is no more: the pointer must mean that one still. */
static void test_ended_rests(void **state)
{
	struct fake *fake = *state;
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct io_uring_sqe recv, close;
	struct sc_conn *ended = accepted(fake, &recv), *conn;

	answer(fake, recv.user_data, 0, 0);
	sc_close(ended, 0);
	close = must_ask(fake, IORING_OP_CLOSE);
	answer(fake, close.user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_CLOSED, 0);
	opt.address = "192.0.2.1";
	opt.port = 80;
	assert_int_equal(sc_connect(&fake->session, &opt, &conn), 0);
	assert_ptr_not_equal(conn, ended);
	(void)asked(fake);
	assert_null(fake->lane.conn_resting);
	assert_int_equal(sc_connect(&fake->session, &opt, &conn), 0);
	assert_ptr_equal(conn, ended);
}

static void arena_is_empty(struct fake *fake)
{
	void *all = sc_arena_alloc(&fake->session.arena, ARENA);

	assert_non_null(all);
	sc_arena_free(&fake->session.arena, all);
}

static void test_connect_ends_its_timeout(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe timeout, connect, cancel;
	struct sc_conn *conn = connecting(fake, &timeout, &connect);

	answer(fake, connect.user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_CONNECT, 0);
	arena_is_empty(fake);
	cancel = must_ask(fake, IORING_OP_ASYNC_CANCEL);
	assert_int_equal(cancel.addr, timeout.user_data);
	(void)must_ask(fake, IORING_OP_RECV);
	answer(fake, timeout.user_data, -ETIME, 0); /* the cancel came too late: nobody minds */
	assert_int_equal(fake->event_cnt, 0);
	must_ask_nothing(fake);
	assert_int_equal(sc_shutdown(conn), 0);
	(void)must_ask(fake, IORING_OP_SHUTDOWN);
}

static void test_timeout_ends_its_connect(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe timeout, connect, cancel;
	struct sc_conn *conn = connecting(fake, &timeout, &connect);

	answer(fake, timeout.user_data, -ETIME, 0);
	assert_int_equal(fake->event_cnt, 0);
	cancel = must_ask(fake, IORING_OP_ASYNC_CANCEL);
	assert_int_equal(cancel.addr, connect.user_data);
	answer(fake, connect.user_data, -ECANCELED, 0);
	must_tell(fake, 1, SC_EVENT_CONNECT, -ETIMEDOUT);
	must_ask_nothing(fake);
	sc_close(conn, 0);
	answer(fake, must_ask(fake, IORING_OP_CLOSE).user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_CLOSED, 0);
	arena_is_empty(fake);
}

static void test_connect_beats_its_timeout(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe timeout, connect;

	(void)connecting(fake, &timeout, &connect);
	answer(fake, timeout.user_data, -ETIME, 0);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	answer(fake, connect.user_data, 0, 0); /* connected just before it was cancelled */
	must_tell(fake, 1, SC_EVENT_CONNECT, 0);
	(void)must_ask(fake, IORING_OP_RECV);
}

/* The queue takes the time limit but not the connect, which is then never asked. */
static void test_timeout_before_the_connect_is_asked(void **state)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct fake *fake = *state;
	struct sc_conn *conn;

	while (asked(fake))
		;
	for (unsigned int i = 1; i < ENTRIES; i++)
		assert_non_null(io_uring_get_sqe(&fake->lane.ring));
	opt.address = "192.0.2.1";
	opt.timeout_ms = 1;
	assert_int_equal(sc_connect(&fake->session, &opt, &conn), 0);
	answer(fake, sc_conn_tag(conn, OP_TIMEOUT), -ETIME, 0);
	must_tell(fake, 1, SC_EVENT_CONNECT, -ETIMEDOUT);
	fake->sq_head = fake->sq_tail;
	must_ask_nothing(fake);
	arena_is_empty(fake);
}

static void test_close_ends_connect_and_timeout(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe timeout, connect, cancel, close;
	struct sc_conn *conn = connecting(fake, &timeout, &connect);

	sc_close(conn, 0);
	cancel = must_ask(fake, IORING_OP_ASYNC_CANCEL);
	assert_int_equal(cancel.addr, connect.user_data);
	close = must_ask(fake, IORING_OP_CLOSE);
	answer(fake, close.user_data, 0, 0);
	answer(fake, connect.user_data, -ECANCELED, 0);
	assert_int_equal(fake->event_cnt, 0);
	cancel = must_ask(fake, IORING_OP_ASYNC_CANCEL);
	assert_int_equal(cancel.addr, timeout.user_data);
	answer(fake, timeout.user_data, -ECANCELED, 0);
	must_tell(fake, 1, SC_EVENT_CLOSED, 0);
	arena_is_empty(fake);
}

static void test_full_queue(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);
	char *mem = sc_alloc(&fake->session, 4096);

	while (io_uring_get_sqe(&fake->lane.ring))
		;
	assert_int_equal(sc_send(conn, mem, 10, 1), 0);
	assert_true(fake->session.counters.sq_full > 0);
	sc_close(conn, 0);
	(void)sc_poll(&fake->session, fake->events, EVENTS);
	fake->sq_head = fake->sq_tail; /* the consumer takes them all */
	(void)must_ask(fake, IORING_OP_SEND);
}

/* An accept that fails while its cancelling waits for room takes nothing along that waits behind it. */
/* The consumer takes what it finds, of which nothing completes, until it finds a send. */
static int takes_all(struct fake *fake, int timeout_ms)
{
	const struct io_uring_sqe *sqe = &fake->sqes[(fake->sq_tail - 1) & (ENTRIES - 1)];
	bool send = sqe->opcode == IORING_OP_SEND;

	assert_in_range(timeout_ms, send ? -1 : 1, send ? -1 : 10);
	fake->sq_head = fake->sq_tail;
	if (send)
		cqe_add(fake, sqe->user_data, 10);
	return 0;
}

/* Who sleeps is not woken by the queue's growing empty: what found no room is tried again all the same. */
static void test_sleep_with_a_full_queue(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);

	fake->sleeps = takes_all;
	while (sc_lane_sqe(&fake->lane))
		;
	assert_int_equal(sc_send(conn, sc_alloc(&fake->session, 10), 10, 0), 0);
	assert_int_equal(sc_arm(&fake->session), 1);
	fake->event_cnt = sc_wait(&fake->session, fake->events, EVENTS, -1);
	must_tell(fake, 1, SC_EVENT_SENT, 10);
	assert_int_equal(sc_arm(&fake->session), 0);
}

static void test_accept_fails_in_full_queue(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, *sqe;
	struct sc_conn *conn = accepted(fake, &recv);
	char *mem = sc_alloc(&fake->session, 10);

	while (io_uring_get_sqe(&fake->lane.ring))
		;
	assert_int_equal(sc_listener_set_limit(&fake->session.listeners[0], 1), 0);
	assert_int_equal(sc_send(conn, mem, 10, 1), 0);
	for (unsigned int i = 0; i < fake->accept_cnt; i++)
		answer(fake, fake->accepts[i].user_data, -ECANCELED, 0);
	fake->sq_head = fake->sq_tail; /* the consumer takes them all */
	while ((sqe = asked(fake)) && sqe->opcode != IORING_OP_SEND)
		assert_int_equal(sqe->opcode, IORING_OP_ASYNC_CANCEL);
	assert_non_null(sqe);
}

/* The caller may open a listener while it goes through events of one that is no more. */
static void test_ended_listener_rests(void **state)
{
	struct fake *fake = *state;
	struct sc_listener *ended = &fake->session.listeners[0], *opened;
	struct io_uring_sqe recv, close;

	(void)accepted(fake, &recv);
	sc_listener_close(ended);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	close = must_ask(fake, IORING_OP_CLOSE);
	cqe_add(fake, fake->accepts[0].user_data, 0);
	for (unsigned int i = 1; i < fake->accept_cnt; i++)
		cqe_add(fake, fake->accepts[i].user_data, -ECANCELED);
	answer(fake, close.user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_ACCEPT, 0);
	assert_ptr_equal(fake->events[0].listener, ended);
	assert_false(ended->used);
	assert_int_equal(sc_listen(&fake->session, "127.0.0.1", 0, 0, &opened), 0);
	assert_ptr_not_equal(opened, ended);
	(void)asked(fake);
	assert_int_equal(sc_listen(&fake->session, "127.0.0.1", 0, 0, &opened), 0);
	assert_ptr_equal(opened, ended);
}

/* A listener that never came to be leaves its place at once. */
static void test_failed_listens_take_no_place(void **state)
{
	struct fake *fake = *state;
	struct sc_listener *opened;
	struct sc_event event;

	fake->session.handed = 1; /* the caller is at one */
	for (int i = 0; i < 2 * LISTENERS_MAX; i++)
		assert_int_equal(sc_listen(&fake->session, "192.0.2.1", 0, 0, &opened), -EADDRNOTAVAIL);
	assert_int_equal(sc_listen(&fake->session, "127.0.0.1", 0, 0, &opened), 0);
	(void)sc_poll(&fake->session, &event, 0);
}

/* An event that was kept names no listener that ended in the same moment: another may be in its place when it is told. */
static void test_ended_listener_is_not_named(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, close;

	(void)accepted(fake, &recv);
	sc_listener_close(&fake->session.listeners[0]);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	close = must_ask(fake, IORING_OP_CLOSE);
	cqe_add(fake, fake->accepts[0].user_data, 0);
	for (unsigned int i = 1; i < fake->accept_cnt; i++)
		cqe_add(fake, fake->accepts[i].user_data, -ECANCELED);
	cqe_add(fake, close.user_data, 0);
	assert_int_equal(sc_session_turn(&fake->session, 0), 0);
	assert_false(fake->session.listeners[0].used);
	fake->event_cnt = sc_poll(&fake->session, fake->events, EVENTS);
	must_tell(fake, 1, SC_EVENT_ACCEPT, 0);
	assert_null(fake->events[0].listener);
}

/* --- giving to another thread --- */

static const int taker_slot = SC_SLOT_CONNS + CONNS;

/* Its socket is the taker's: what the giver gives back does not make it receive. */
static void test_given_receives_no_more(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv, give;
	struct sc_conn *conn = accepted(fake, &recv);
	void *data[WINDOW];

	for (unsigned int i = 0; i < WINDOW - 1; i++)
		data[i] = answer(fake, recv.user_data, 10, buffer(i, 1))->data;
	data[WINDOW - 1] = answer(fake, recv.user_data, 10, buffer(WINDOW - 1, 0))->data;
	assert_int_equal(fake->session.counters.recv_paused, 1);
	must_ask_nothing(fake);
	assert_int_equal(sc_conn_give(conn, &fake->taker), 0);
	give = must_ask(fake, IORING_OP_MSG_RING);
	answer(fake, give.user_data, taker_slot, 0);
	(void)must_ask(fake, IORING_OP_MSG_RING);
	answer(fake, must_ask(fake, IORING_OP_CLOSE).user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_GIVEN, 0);
	for (unsigned int i = 0; i < WINDOW - 1; i++)
		sc_release(conn, data[i]);
	must_ask_nothing(fake);
	sc_release(conn, data[WINDOW - 1]);
}

/* What a call that waited for others has kept is told, in order, though the connection is given meanwhile. */
static void test_given_tells_what_is_kept(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe timeout, connect, recv, give;
	struct sc_conn *conn = connecting(fake, &timeout, &connect);

	cqe_add(fake, connect.user_data, 0);
	cqe_add(fake, timeout.user_data, -ECANCELED);
	assert_int_equal(sc_session_turn(&fake->session, 0), 0);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	recv = must_ask(fake, IORING_OP_RECV);
	assert_int_equal(sc_conn_give(conn, &fake->taker), 0);
	(void)must_ask(fake, IORING_OP_ASYNC_CANCEL);
	cqe_add(fake, recv.user_data, -ECANCELED);
	assert_int_equal(sc_session_turn(&fake->session, 0), 0);
	give = must_ask(fake, IORING_OP_MSG_RING);
	cqe_add(fake, give.user_data, taker_slot);
	cqe_add(fake, (give.user_data & ~0xffULL) | (uint64_t)(__builtin_ctz(OP_CLOSE) + 1), 0);
	assert_int_equal(sc_session_turn(&fake->session, 0), 0);
	fake->event_cnt = sc_poll(&fake->session, fake->events, EVENTS);
	must_tell(fake, 2, SC_EVENT_CONNECT, 0);
	assert_int_equal(fake->events[1].type, SC_EVENT_GIVEN);
	assert_ptr_equal(fake->events[1].conn, conn);
}

/* The last thing that it waited for is not to be any more. */
static void test_give_goes_on_after_a_cancel(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);
	struct sc_job *job;

	while (io_uring_get_sqe(&fake->lane.ring))
		;
	assert_int_equal(sc_async_send(conn, sc_alloc(&fake->session, 10), 10, &job), 0);
	assert_int_equal(sc_conn_give(conn, &fake->taker), 0);
	answer(fake, recv.user_data, -ECANCELED, 0);
	sc_job_cancel(job);
	fake->sq_head = fake->sq_tail; /* the consumer takes them all */
	(void)must_ask(fake, IORING_OP_MSG_RING);
}

/* After sc_shutdown_recv no end is told either, by whatever way the connection receives. */
static void test_nothing_received_after_shutdown(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	struct sc_conn *conn = accepted(fake, &recv);

	assert_int_equal(sc_shutdown_recv(conn), 0);
	assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_JOBS), 0);
	assert_int_equal(sc_conn_set_recv_mode(conn, SC_RECV_BY_EVENTS), 0);
	answer(fake, recv.user_data, -ECANCELED, 0);
	assert_int_equal(fake->event_cnt, 0);
}

/* Shared memory: any number may stand in a completion. */
static void test_garbage(void **state)
{
	struct fake *fake = *state;
	struct io_uring_sqe recv;
	unsigned int seed = 5;

	(void)accepted(fake, &recv);
	for (int i = 0; i < 200000; i++) {
		uint64_t tag = (uint64_t)rand_r(&seed) << 40 ^ (uint64_t)rand_r(&seed) << 16 ^
			       (unsigned int)rand_r(&seed);

		answer(fake, i % 4 ? tag : tag % (1ULL << 34), rand_r(&seed) - rand_r(&seed),
		       (unsigned int)rand_r(&seed));
		fake->sq_head = fake->sq_tail;
		for (int e = 0; e < fake->event_cnt; e++) {
			size_t off = (size_t)((char *)fake->events[e].data - fake->session.mem);

			if (fake->events[e].type == SC_EVENT_RECV && fake->events[e].len)
				assert_true(off < fake->session.mem_len &&
					    fake->events[e].len <= fake->session.mem_len - off);
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_open, fake_close)
	const struct CMUnitTest tests[] = {
		TEST(test_accepts_are_bounded),
		TEST(test_listener_is_closed_once),
		TEST(test_failed_accept_is_asked_again),
		TEST(test_data_and_end),
		TEST(test_receive_goes_on),
		TEST(test_limit_is_refused_to_all),
		TEST(test_window),
		TEST(test_few_buffers_are_copied_out),
		TEST(test_starved_stand_in_line),
		TEST(test_sends_in_order),
		TEST(test_failed_send_fails_the_rest),
		TEST(test_reset_met_by_a_send),
		TEST(test_shutdown_after_sends),
		TEST(test_close_waits_for_shutdown),
		TEST(test_ended_rests),
		TEST(test_close_waits_for_all),
		TEST(test_closed_is_told_last),
		TEST(test_closed_is_told_last_one_at_a_time),
		TEST(test_close_now),
		TEST(test_connect_ends_its_timeout),
		TEST(test_timeout_ends_its_connect),
		TEST(test_connect_beats_its_timeout),
		TEST(test_timeout_before_the_connect_is_asked),
		TEST(test_close_ends_connect_and_timeout),
		TEST(test_full_queue),
		TEST(test_sleep_with_a_full_queue),
		TEST(test_accept_fails_in_full_queue),
		TEST(test_ended_listener_rests),
		TEST(test_failed_listens_take_no_place),
		TEST(test_ended_listener_is_not_named),
		TEST(test_given_receives_no_more),
		TEST(test_given_tells_what_is_kept),
		TEST(test_give_goes_on_after_a_cancel),
		TEST(test_nothing_received_after_shutdown),
		TEST(test_garbage),
	};

	return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}

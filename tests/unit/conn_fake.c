// SPDX-License-Identifier: MIT
/* A lane without a kernel: its queue is plain memory, and the test plays the consumer. */
#include "conn_fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handover.h"

static int fake_submit(struct sc_session *session)
{
	struct io_uring_sq *sq = &session->lanes[0].ring.sq;

	*sq->ktail = sq->sqe_tail;
	return 0;
}

static int fake_arm(struct sc_session *session)
{
	(void)fake_submit(session);
	return sc_session_ready(session);
}

static int fake_wait(struct sc_session *session, int timeout_ms)
{
	struct fake *fake = (struct fake *)((char *)session - offsetof(struct fake, session));

	(void)fake_submit(session);
	return fake->sleeps(fake, timeout_ms);
}

static int fake_file_add(struct lane *lane, unsigned int slot, int fd)
{
	(void)lane;
	return fd < 0 ? -EBADF : (int)slot;
}

static int fake_file_take(struct lane *lane, int descriptor)
{
	(void)lane;
	(void)descriptor;
	return -EBADF;
}

static const struct engine_ops fake_ops = {
	.file_add = fake_file_add,
	.file_take = fake_file_take,
	.submit = fake_submit,
	.arm = fake_arm,
	.wait = fake_wait,
};

static void ring_init(struct fake *fake)
{
	fake->lane.ring = (struct io_uring){
		.sq = { .khead = &fake->sq_head,
			.ktail = &fake->sq_tail,
			.kflags = &fake->sq_flags,
			.sqes = fake->sqes,
			.ring_mask = ENTRIES - 1,
			.ring_entries = ENTRIES },
		.cq = { .khead = &fake->cq_head,
			.ktail = &fake->cq_tail,
			.kflags = &fake->cq_flags,
			.cqes = fake->cqes,
			.ring_mask = ENTRIES - 1,
			.ring_entries = ENTRIES },
	};
}

int fake_open(void **state)
{
	struct fake *fake = aligned_alloc(_Alignof(struct fake), sizeof(*fake));
	size_t bufs = BUFS << BUF_SHIFT, scratch = CONNS * sizeof(struct send_scratch) + sizeof(struct lane_words);

	memset(fake, 0, sizeof(*fake));
	fake->session.mem_len = 4096 + bufs + ARENA + scratch;
	fake->session.mem = aligned_alloc(4096, (fake->session.mem_len + 4095) & ~(size_t)4095);
	memset(fake->session.mem, 0, fake->session.mem_len);
	fake->session.base = 0x100000; /* another process's address: what an SQE says must be translated */
	fake->group.session_cnt = 2;
	fake->taker = (struct sc_session){ .group = &fake->group, .lanes = &fake->taker_lane, .lane_cnt = 1 };
	fake->taker.uses = &fake->group.uses[1];
	fake->taker_lane = (struct lane){ .session = &fake->taker, .number = 1, .begun = true };
	fake->session.group = &fake->group;
	sc_segments_init(&fake->group);
	fake->session.uses = &fake->group.uses[0];
	fake->session.ops = &fake_ops;
	fake->session.lanes = &fake->lane;
	fake->session.lane_cnt = 1;
	assert_int_equal(sc_arena_init(&fake->session.arena, fake->session.mem + 4096 + bufs, ARENA), 0);
	ring_init(fake);
	fake->lane.session = &fake->session;
	fake->lane.buf_ring = (struct io_uring_buf_ring *)fake->session.mem;
	fake->lane.bufs = fake->session.mem + 4096;
	fake->lane.buf_cnt = BUFS;
	fake->lane.buf_shift = BUF_SHIFT;
	fake->lane.window = WINDOW;
	fake->lane.recv_limit = 1000;
	fake->lane.conn_cnt = CONNS;
	fake->lane.scratch = (struct send_scratch *)(fake->session.mem + 4096 + bufs + ARENA);
	fake->lane.words = (struct lane_words *)(fake->lane.scratch + CONNS);
	assert_int_equal(sc_lane_init(&fake->lane), 0);
	fake->session.listeners[0] = (struct sc_listener){ .session = &fake->session, .used = true };
	fake->session.listeners[0].lane[0].open = true;
	fake->session.listeners[0].lane[0].file = SC_SLOT_LISTENERS;
	*state = fake;
	return 0;
}

int fake_close(void **state)
{
	struct fake *fake = *state;

	sc_parcels_free(sc_mailbox_take(&fake->group.mailboxes[1]));
	sc_files_exit(&fake->session, false);
	sc_lane_exit(&fake->lane);
	sc_store_exit(&fake->session.store);
	sc_jobs_exit(&fake->session.jobs);
	sc_arena_exit(&fake->session.arena);
	free(fake->session.mem);
	free(fake);
	return 0;
}

/* --- the consumer's side --- */

struct io_uring_sqe *asked(struct fake *fake)
{
	fake->event_cnt = 0;
	(void)sc_poll(&fake->session, fake->events, 0);
	return fake->sq_head == fake->sq_tail ? NULL : &fake->sqes[fake->sq_head++ & (ENTRIES - 1)];
}

struct io_uring_sqe must_ask(struct fake *fake, int opcode)
{
	struct io_uring_sqe *sqe = asked(fake);

	assert_non_null(sqe);
	assert_int_equal(sqe->opcode, opcode);
	return *sqe;
}

void must_ask_nothing(struct fake *fake)
{
	assert_null(asked(fake));
}

struct sc_event *answer(struct fake *fake, uint64_t user_data, int res, unsigned int flags)
{
	fake->cqes[fake->cq_tail++ & (ENTRIES - 1)] =
		(struct io_uring_cqe){ .user_data = user_data, .res = res, .flags = flags };
	fake->event_cnt = sc_poll(&fake->session, fake->events, EVENTS);
	return fake->events;
}

void must_tell(struct fake *fake, int cnt, enum sc_event_type type, int result)
{
	assert_int_equal(fake->event_cnt, cnt);
	assert_int_equal(fake->events[0].type, type);
	assert_int_equal(fake->events[0].result, result);
}

unsigned int buffer(unsigned int bid, unsigned int more)
{
	return bid << IORING_CQE_BUFFER_SHIFT | IORING_CQE_F_BUFFER | (more ? IORING_CQE_F_MORE : 0);
}

/* The first request that is not an accept, or NULL. */
static struct io_uring_sqe *asked_but_accepts(struct fake *fake)
{
	struct io_uring_sqe *sqe;

	while ((sqe = asked(fake)) && sqe->opcode == IORING_OP_ACCEPT)
		fake->accepts[fake->accept_cnt++] = *sqe;
	return sqe;
}

struct sc_conn *accepted(struct fake *fake, struct io_uring_sqe *ret_recv)
{
	struct io_uring_sqe accept;
	struct sc_conn *conn;

	while (asked_but_accepts(fake))
		;
	assert_true(fake->accept_cnt > 0);
	accept = fake->accepts[--fake->accept_cnt];
	assert_int_equal(accept.fd, SC_SLOT_LISTENERS);
	assert_true(accept.flags & IOSQE_FIXED_FILE);
	answer(fake, accept.user_data, 0, 0);
	must_tell(fake, 1, SC_EVENT_ACCEPT, 0);
	conn = fake->events[0].conn;
	assert_int_equal(accept.file_index, sc_conn_slot(conn) + 1);
	*ret_recv = *asked_but_accepts(fake);
	assert_int_equal(ret_recv->opcode, IORING_OP_RECV);
	assert_int_equal(ret_recv->fd, sc_conn_slot(conn));
	assert_int_equal(ret_recv->flags, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
	assert_int_equal(ret_recv->ioprio, IORING_RECV_MULTISHOT);
	assert_int_equal(ret_recv->optlen, 1000);
	while (asked_but_accepts(fake))
		;
	return conn;
}

void cqe_add(struct fake *fake, uint64_t user_data, int res)
{
	fake->cqes[fake->cq_tail++ & (ENTRIES - 1)] = (struct io_uring_cqe){ .user_data = user_data, .res = res };
}

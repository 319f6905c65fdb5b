/* SPDX-License-Identifier: MIT */
/*
 * A lane without a kernel: its queue is plain memory, the test plays the consumer, looks at what is asked and answers as the
 * kernel may, in any order and with any result.
 */
#ifndef TESTS_CONN_FAKE_H
#define TESTS_CONN_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session.h"

enum { ENTRIES = 64, CONNS = 8, BUFS = 16, BUF_SHIFT = 8, ARENA = 1 << 20, WINDOW = 4, EVENTS = 32 };

struct fake {
	struct group group;
	struct sc_session session;
	struct lane lane;
	struct sc_session taker; /* another thread's, to be given connections */
	struct lane taker_lane;
	struct io_uring_sqe sqes[ENTRIES];
	struct io_uring_cqe cqes[ENTRIES];
	unsigned int sq_head, sq_tail, sq_flags, cq_head, cq_tail, cq_flags;
	struct sc_event events[EVENTS];
	int event_cnt;
	int (*sleeps)(struct fake *fake, int timeout_ms); /* what happens when the session does */
	struct io_uring_sqe accepts[CONNS]; /* asked for and not answered */
	unsigned int accept_cnt;
};

/* Setup and teardown of a test: *state is the struct fake. */
int fake_open(void **state);
int fake_close(void **state);

/* The next request asked for, or NULL. */
struct io_uring_sqe *asked(struct fake *fake);
struct io_uring_sqe must_ask(struct fake *fake, int opcode);
void must_ask_nothing(struct fake *fake);

/* The kernel answers; events are what the application then sees. */
struct sc_event *answer(struct fake *fake, uint64_t user_data, int res, unsigned int flags);
/* It answers, and the application does not look yet. */
void cqe_add(struct fake *fake, uint64_t user_data, int res);
void must_tell(struct fake *fake, int cnt, enum sc_event_type type, int result);

/* Flags of a completion that brings the buffer. */
unsigned int buffer(unsigned int bid, unsigned int more);

/* One more accepted connection; *ret_recv is its receive request. What else was asked for is dropped, but for accepts. */
struct sc_conn *accepted(struct fake *fake, struct io_uring_sqe *ret_recv);

#endif

// SPDX-License-Identifier: MIT
/*
 * What becomes of linked timeouts when a poller takes requests in batches: one NOP, then pairs of a NOP and the LINK_TIMEOUT that it is
 * linked to, all published at once. Prints how many timeouts found no request before them, with the poller serving one ring
 * and two; docs/decisions/connect-timeout.md quotes it.
 */
#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

enum { PAIRS = 20, REQUESTS = 1 + 2 * PAIRS, TIMEOUT = 1 };

static void queue(struct io_uring *ring, struct __kernel_timespec *limit)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, 0);
	for (int i = 0; i < PAIRS; i++) {
		sqe = io_uring_get_sqe(ring);
		io_uring_prep_nop(sqe);
		sqe->flags |= IOSQE_IO_LINK;
		io_uring_sqe_set_data64(sqe, 0);
		sqe = io_uring_get_sqe(ring);
		io_uring_prep_link_timeout(sqe, limit, 0);
		io_uring_sqe_set_data64(sqe, TIMEOUT);
	}
}

static int count_lost(struct io_uring *ring)
{
	struct __kernel_timespec limit = { .tv_sec = 1 };
	int lost = 0, ret;

	queue(ring, &limit);
	ret = io_uring_submit(ring);
	if (ret < 0)
		errx(1, "submit: %s", strerror(-ret));
	for (int i = 0; i < REQUESTS; i++) {
		struct io_uring_cqe *cqe;

		ret = io_uring_wait_cqe(ring, &cqe);
		if (ret)
			errx(1, "wait: %s", strerror(-ret));
		lost += cqe->user_data == TIMEOUT && cqe->res == -EINVAL;
		io_uring_cqe_seen(ring, cqe);
	}
	return lost;
}

static void ring_open(struct io_uring *ring, int attach)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQPOLL | IORING_SETUP_SUBMIT_ALL,
					  .sq_thread_idle = 100 };
	int ret;

	if (attach >= 0) {
		params.flags |= IORING_SETUP_ATTACH_WQ;
		params.wq_fd = (unsigned int)attach;
	}
	ret = io_uring_queue_init_params(64, ring, &params);
	if (ret)
		errx(1, "ring: %s", strerror(-ret));
}

int main(void)
{
	struct io_uring one, two;

	ring_open(&one, -1);
	printf("poller with one ring:  %d of %d linked timeouts lost their request\n", count_lost(&one), PAIRS);
	ring_open(&two, one.ring_fd);
	printf("poller with two rings: %d of %d\n", count_lost(&one), PAIRS);
	io_uring_queue_exit(&two);
	io_uring_queue_exit(&one);
	return 0;
}

// SPDX-License-Identifier: MIT
/* Owns liburing: ring, file table and buffer ring of a baseline server. */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "uring.h"

enum {
	ENTRIES = 2048,
	CQ_ENTRIES = 8 * ENTRIES,
	SLOTS_MAX = 16384,
	BUFS = 1024, /* a power of two */
	BUF_LEN = 4096,
	GROUP = 0,
};

static unsigned int slots_allowed(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > SLOTS_MAX)
		return SLOTS_MAX;
	return (unsigned int)limit.rlim_cur;
}

static int add_bufs(struct sc_uring *uring)
{
	int err;

	uring->memory = aligned_alloc(BUF_LEN, (size_t)BUFS * BUF_LEN);
	if (!uring->memory)
		return -ENOMEM;
	uring->bufs = io_uring_setup_buf_ring(&uring->ring, BUFS, GROUP, 0, &err);
	if (!uring->bufs)
		return err;
	for (int i = 0; i < BUFS; i++)
		io_uring_buf_ring_add(uring->bufs, uring->memory + (size_t)i * BUF_LEN, BUF_LEN, (unsigned short)i,
				      BUFS - 1, i);
	io_uring_buf_ring_advance(uring->bufs, BUFS);
	return 0;
}

static const char *next_step(int err)
{
	switch (err) {
	case -ENOSYS:
	case -EINVAL:
		return "the kernel lacks the feature, needs Linux 6.12";
	case -EPERM:
		return "set sysctl kernel.io_uring_disabled=0, or take away the seccomp filter that forbids it";
	case -EMFILE:
		return "raise the limit on open files (ulimit -n)";
	case -ENOMEM:
		return "raise the limit on locked memory (ulimit -l)";
	default:
		return "see dmesg for the kernel's words";
	}
}

static int refuse(const char *what, int err)
{
	warnx("%s: %s: %s", what, strerror(-err), next_step(err));
	return err;
}

int sc_uring_init(struct sc_uring *uring)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
			 IORING_SETUP_NO_SQARRAY | IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES,
	};
	int err;

	memset(uring, 0, sizeof(*uring));
	uring->slots = slots_allowed();
	err = io_uring_queue_init_params(ENTRIES, &uring->ring, &params);
	if (err)
		return refuse("io_uring", err);
	err = io_uring_register_files_sparse(&uring->ring, uring->slots);
	if (err) {
		(void)refuse("io_uring file table", err);
		goto err_ring;
	}
	err = add_bufs(uring);
	if (err) {
		(void)refuse("io_uring buffer ring", err);
		goto err_ring;
	}
	(void)io_uring_register_ring_fd(&uring->ring);
	return 0;
err_ring:
	sc_uring_exit(uring);
	return err;
}

void sc_uring_exit(struct sc_uring *uring)
{
	if (uring->bufs)
		(void)io_uring_free_buf_ring(&uring->ring, uring->bufs, BUFS, GROUP);
	io_uring_queue_exit(&uring->ring);
	free(uring->memory);
}

static struct io_uring_sqe *prepare(struct sc_uring *uring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	if (sqe)
		return sqe;
	(void)io_uring_submit(&uring->ring); /* without SQPOLL it takes all there is */
	return io_uring_get_sqe(&uring->ring);
}

static __u64 tag(enum sc_uring_op op, unsigned int slot)
{
	return (__u64)slot << 8 | op;
}

void sc_uring_accept(struct sc_uring *uring, int listener)
{
	struct io_uring_sqe *sqe = prepare(uring);

	io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
	io_uring_sqe_set_data64(sqe, tag(SC_URING_ACCEPT, 0));
}

void sc_uring_watch(struct sc_uring *uring, int fd)
{
	struct io_uring_sqe *sqe = prepare(uring);

	io_uring_prep_poll_add(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, tag(SC_URING_SIGNAL, 0));
}

void sc_uring_recv(struct sc_uring *uring, unsigned int slot)
{
	struct io_uring_sqe *sqe = prepare(uring);

	io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
	sqe->buf_group = GROUP;
	io_uring_sqe_set_data64(sqe, tag(SC_URING_RECV, slot));
}

void sc_uring_send(struct sc_uring *uring, unsigned int slot, const struct msghdr *message)
{
	struct io_uring_sqe *sqe = prepare(uring);
	const struct iovec *only = message->msg_iov;

	if (message->msg_iovlen == 1)
		io_uring_prep_send(sqe, (int)slot, only->iov_base, only->iov_len, MSG_WAITALL | MSG_NOSIGNAL);
	else
		io_uring_prep_sendmsg(sqe, (int)slot, message, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, tag(SC_URING_SEND, slot));
}

void sc_uring_shutdown(struct sc_uring *uring, unsigned int slot)
{
	struct io_uring_sqe *sqe = prepare(uring);

	io_uring_prep_shutdown(sqe, (int)slot, SHUT_WR);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, tag(SC_URING_SHUTDOWN, slot));
}

void sc_uring_cancel_recv(struct sc_uring *uring, unsigned int slot)
{
	struct io_uring_sqe *sqe = prepare(uring);

	io_uring_prep_cancel64(sqe, tag(SC_URING_RECV, slot), 0);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, tag(SC_URING_IGNORE, slot));
}

void sc_uring_cancel_all(struct sc_uring *uring, unsigned int slot)
{
	struct io_uring_sqe *sqe = prepare(uring);

	io_uring_prep_cancel_fd(sqe, (int)slot, IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD_FIXED);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, tag(SC_URING_IGNORE, slot));
}

void sc_uring_close(struct sc_uring *uring, unsigned int slot)
{
	struct io_uring_sqe *sqe = prepare(uring);

	io_uring_prep_close_direct(sqe, slot);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, tag(SC_URING_IGNORE, slot));
}

void *sc_uring_data(struct sc_uring *uring, const struct io_uring_cqe *cqe)
{
	return uring->memory + (size_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT) * BUF_LEN;
}

void sc_uring_recycle(struct sc_uring *uring, const struct io_uring_cqe *cqe)
{
	io_uring_buf_ring_add(uring->bufs, sc_uring_data(uring, cqe), BUF_LEN,
			      (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT), BUFS - 1, 0);
	io_uring_buf_ring_advance(uring->bufs, 1);
}

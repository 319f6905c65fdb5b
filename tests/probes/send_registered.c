// SPDX-License-Identifier: MIT
/*
 * Can a send use a registered buffer, and does a zero-copy send over loopback copy? docs/decisions/no-registered-buffers.md
 * quotes it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LEN = 16384 };

static _Alignas(4096) char mem[LEN];

static int connected(int *ret_peer)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);

	if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) || connect(fd, (struct sockaddr *)&addr, len))
		err(1, "loopback connection");
	*ret_peer = accept(listener, NULL, NULL);
	if (*ret_peer < 0)
		err(1, "accept");
	(void)close(listener);
	return fd;
}

static void show(struct io_uring *ring, const char *name)
{
	struct io_uring_cqe *cqe;
	unsigned int more;

	printf("%s:", name);
	if (io_uring_submit(ring) != 1)
		errx(1, "submit");
	do {
		if (io_uring_wait_cqe(ring, &cqe))
			errx(1, "wait");
		more = cqe->flags & IORING_CQE_F_MORE;
		if (cqe->flags & IORING_CQE_F_NOTIF)
			printf(", %s", (unsigned int)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED ? "copied" : "not copied");
		else if (cqe->res < 0)
			printf(" %s", strerror(-cqe->res));
		else
			printf(" %d bytes sent", cqe->res);
		io_uring_cqe_seen(ring, cqe);
	} while (more);
	printf("\n");
}

int main(void)
{
	struct iovec buffer = { .iov_base = mem, .iov_len = LEN };
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	int peer, fd = connected(&peer);

	if (io_uring_queue_init(8, &ring, 0) || io_uring_register_buffers(&ring, &buffer, 1))
		errx(1, "ring: io_uring is missing or forbidden, or RLIMIT_MEMLOCK too small");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send(sqe, fd, mem, LEN, 0);
	sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
	show(&ring, "SEND from a registered buffer");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send_zc(sqe, fd, mem, LEN, 0, IORING_SEND_ZC_REPORT_USAGE);
	show(&ring, "SEND_ZC, buffer not registered");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send_zc_fixed(sqe, fd, mem, LEN, 0, IORING_SEND_ZC_REPORT_USAGE, 0);
	show(&ring, "SEND_ZC, buffer registered");
	io_uring_queue_exit(&ring);
	(void)close(fd);
	(void)close(peer);
	return 0;
}

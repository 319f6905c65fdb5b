// SPDX-License-Identifier: MIT
/*
 * What tells a thread that sleeps in poll() that a ring with deferred task work has something: the ring's descriptor or a
 * registered eventfd? docs/decisions/local-eventfd.md quotes it.
 */
#include <err.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 500, BYTE_MS = 50 };

static long now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Milliseconds that poll() of fd sleeps, when a byte arrives at the receive's socket after BYTE_MS. */
static long sleeps_ms(int fd, int peer)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	pid_t writer = fork();
	long start, end;

	if (writer < 0)
		err(1, "fork");
	if (!writer) {
		(void)usleep(BYTE_MS * 1000);
		_exit(write(peer, "x", 1) != 1);
	}
	start = now_ms();
	(void)poll(&pollfd, 1, PATIENCE_MS);
	end = now_ms();
	(void)waitpid(writer, NULL, 0);
	return end - start;
}

static void show(const char *name, unsigned int flags, bool by_eventfd)
{
	struct io_uring_params params = { .flags = flags };
	int pair[2], event = eventfd(0, EFD_NONBLOCK);
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	char byte;

	if (event < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		err(1, "eventfd, socketpair");
	if (io_uring_queue_init_params(8, &ring, &params) || io_uring_register_eventfd(&ring, event))
		errx(1, "ring: io_uring is missing or forbidden");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, pair[0], &byte, 1, 0);
	if (io_uring_submit(&ring) != 1)
		errx(1, "submit");
	printf("%s, poll of %s: %ld ms\n", name, by_eventfd ? "the eventfd" : "the ring",
	       sleeps_ms(by_eventfd ? event : ring.ring_fd, pair[1]));
	io_uring_queue_exit(&ring);
	(void)close(event);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

int main(void)
{
	const unsigned int deferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

	printf("a byte comes after %d ms, poll gives up after %d ms\n", BYTE_MS, PATIENCE_MS);
	show("plain ring", 0, false);
	show("plain ring", 0, true);
	show("DEFER_TASKRUN", deferred, false);
	show("DEFER_TASKRUN", deferred, true);
	return 0;
}

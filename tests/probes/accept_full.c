// SPDX-License-Identifier: MIT
/*
 * What becomes of a connection when a ring accepts and its file table is full: by multishot accept, and by single accepts
 * of which each brings its own slot. Prints what the clients saw; docs/decisions/accept.md quotes it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOTS = 2, CLIENTS = 3, PATIENCE_MS = 200 };

static int listen_on_loopback(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (struct sockaddr *)addr, len) || listen(fd, CLIENTS) ||
	    getsockname(fd, (struct sockaddr *)addr, &len))
		err(1, "listening socket");
	return fd;
}

static int client(const struct sockaddr_in *addr)
{
	struct timeval patience = { .tv_usec = PATIENCE_MS * 1000 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || send(fd, "x", 1, 0) != 1 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		err(1, "client");
	return fd;
}

/* Nothing to read after the patience: the connection lives. */
static const char *fate(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, 0);

	if (got < 0)
		return errno == EAGAIN ? "open" : strerror(errno);
	return "closed";
}

static void accept_by_slots(struct io_uring *ring, int listener, bool multishot)
{
	for (int slot = 0; slot < SLOTS; slot++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		if (multishot)
			io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
		else
			io_uring_prep_accept_direct(sqe, listener, NULL, NULL, 0, (unsigned int)slot);
		io_uring_sqe_set_data64(sqe, (unsigned int)slot);
		if (multishot)
			break;
	}
	if (io_uring_submit(ring) < 0)
		errx(1, "submit");
}

static void report(struct io_uring *ring)
{
	struct __kernel_timespec patience = { .tv_nsec = PATIENCE_MS * 1000000LL };
	struct io_uring_cqe *cqe;

	while (!io_uring_wait_cqe_timeout(ring, &cqe, &patience)) {
		if (cqe->res < 0)
			printf("  ring:     %s\n", strerror(-cqe->res));
		else /* the kernel tells the slot only where it chose it */
			printf("  ring:     accepted into slot %d\n", cqe->res + (int)cqe->user_data);
		io_uring_cqe_seen(ring, cqe);
	}
}

static void show(const char *name, bool multishot)
{
	struct sockaddr_in addr;
	struct io_uring ring;
	int listener = listen_on_loopback(&addr), clients[CLIENTS];

	printf("%s, %d slots, %d clients\n", name, SLOTS, CLIENTS);
	if (io_uring_queue_init(8, &ring, 0) || io_uring_register_files_sparse(&ring, SLOTS))
		errx(1, "ring: io_uring is missing or forbidden");
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = client(&addr);
	accept_by_slots(&ring, listener, multishot);
	report(&ring);
	for (int i = 0; i < CLIENTS; i++) {
		printf("  client %d: %s\n", i + 1, fate(clients[i]));
		(void)close(clients[i]);
	}
	io_uring_queue_exit(&ring);
	(void)close(listener);
}

int main(void)
{
	show("multishot accept", true);
	show("single accepts", false);
	return 0;
}

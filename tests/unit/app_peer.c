// SPDX-License-Identifier: MIT
/* A plain socket client in a thread of its own, as the far end of a session under test. */
#include "app_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void *peer_main(void *arg)
{
	struct peer *peer = arg;

	peer->result = peer->run(peer);
	__atomic_store_n(&peer->done, true, __ATOMIC_RELEASE);
	return NULL;
}

void peer_start(struct peer *peer, uint16_t port, int (*run)(struct peer *), void *arg)
{
	*peer = (struct peer){ .port = port, .run = run, .arg = arg };
	if (pthread_create(&peer->thread, NULL, peer_main, peer))
		peer->result = __LINE__;
}

bool peer_done(struct peer *peer)
{
	return __atomic_load_n(&peer->done, __ATOMIC_ACQUIRE);
}

int peer_join(struct peer *peer)
{
	(void)pthread_join(peer->thread, NULL);
	return peer->result;
}

/*
 * The kernel ends a closed ring in its own time and interrupts its thread for it, without a signal: calls of the thread that
 * closed a local session may return EINTR for a while.
 */
static int connected(int fd, const struct sockaddr_in *addr)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int err;

	if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return 0;
	if (errno != EINTR)
		return -errno;
	while (poll(&poll_fd, 1, -1) < 0) /* interrupted, it goes on all the same */
		if (errno != EINTR)
			return -errno;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) ? -errno : -err;
}

int peer_connect(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval timeout = { .tv_sec = 30 }; /* what TCP has to send again it does ever later */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	err = connected(fd, &addr);
	if (!err)
		return fd;
	(void)close(fd);
	return err;
}

bool peer_send(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		at += sent;
		len -= (size_t)sent;
	}
	return true;
}

bool peer_recv(int fd, void *data, size_t len)
{
	char *at = data;

	while (len) {
		ssize_t got = recv(fd, at, len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

bool peer_ends(int fd, int err)
{
	char byte;
	ssize_t got;

	do
		got = recv(fd, &byte, 1, 0);
	while (got < 0 && errno == EINTR);
	return err ? got < 0 && errno == err : got == 0;
}

void peer_pattern(void *data, size_t len, uint64_t seed, uint64_t pos)
{
	unsigned char *at = data;

	for (size_t i = 0; i < len; i++, pos++)
		at[i] = (unsigned char)((pos * 0x9e3779b97f4a7c15ULL + seed) >> 29);
}

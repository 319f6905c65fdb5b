// SPDX-License-Identifier: MIT
/* Sockets made here, with the caller's rights, and bound to an address for one lane. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "reason.h"
#include "session.h"
#include "socket.h"

static const char *unix_hint(int err)
{
	switch (err) {
	case EADDRINUSE:
		return ": remove the file if no program listens there any more (ss -lx)";
	case EACCES:
	case ENOENT:
		return ": choose a folder that is there and may be written to";
	default:
		return "";
	}
}

static const char *inet_hint(int err)
{
	switch (err) {
	case EADDRINUSE:
		return ": choose another port, or stop the program that has it (ss -ltunp)";
	case EACCES:
		return ": ports below 1024 need CAP_NET_BIND_SERVICE, choose a higher one";
	case EADDRNOTAVAIL:
		return ": no interface has this address (ip addr)";
	default:
		return "";
	}
}

int sc_socket_refused(int err, const struct address *address, const char *text, uint16_t port)
{
	return sc_reason_set(-err, "%s port %u: %s%s", text, port, strerror(err),
			     address->addr.ss_family == AF_UNIX ? unix_hint(err) : inet_hint(err));
}

/*
 * Several lanes share the port by SO_REUSEPORT, and SO_INCOMING_CPU makes the kernel prefer the socket of the core that
 * received the packet. Lanes are the session's, or one of each session opened together. With one in all SO_REUSEPORT stays off,
 * so that a second server is told the port is taken.
 */
static void lane_options(int fd, const struct lane *lane)
{
	int one = 1;

	if (lane->session->lane_cnt < 2 && lane->session->group->session_cnt < 2)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &lane->cpu, sizeof(lane->cpu));
}

int sc_socket_bound(const struct lane *lane, int type, const struct address *address, const char *text, uint16_t port)
{
	int fd = socket(address->addr.ss_family, type | SOCK_CLOEXEC, 0), one = 1, err;

	if (fd < 0) {
		err = errno;
		return sc_reason_set(-err, "socket for %s port %u: %s", text, port, strerror(err));
	}
	if (type == SOCK_STREAM) /* past connections do not keep the port; to datagram sockets it means to share it */
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (address->addr.ss_family != AF_UNIX)
		lane_options(fd, lane);
	if (!bind(fd, (const struct sockaddr *)&address->addr, address->len))
		return fd;
	err = errno;
	(void)close(fd);
	return sc_socket_refused(err, address, text, port);
}

// SPDX-License-Identifier: MIT
/* socket, bind, listen, with the options a server's connections are to inherit. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listen.h"

enum { BACKLOG = 4096 };

union address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

static socklen_t parse(const struct sc_listen_options *options, union address *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, options->address, &address->ip4.sin_addr) == 1) {
		address->ip4.sin_family = AF_INET;
		address->ip4.sin_port = htons(options->port);
		return sizeof(address->ip4);
	}
	if (inet_pton(AF_INET6, options->address, &address->ip6.sin6_addr) == 1) {
		address->ip6.sin6_family = AF_INET6;
		address->ip6.sin6_port = htons(options->port);
		return sizeof(address->ip6);
	}
	return 0;
}

static const char *next_step(int err)
{
	switch (err) {
	case -EACCES:
		return "ports below 1024 need CAP_NET_BIND_SERVICE, choose a higher one";
	case -EADDRINUSE:
		return "choose another port, or stop the program that has it (ss -ltnp)";
	case -EADDRNOTAVAIL:
		return "no interface has this address (ip addr)";
	default:
		return "take an address of this machine and a free port";
	}
}

static int set_up(int fd, union address *address, socklen_t len, int share)
{
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &share, sizeof(share)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) || bind(fd, &address->any, len) ||
	    listen(fd, BACKLOG) || getsockname(fd, &address->any, &len))
		return -errno;
	return 0;
}

int sc_listen_open(const struct sc_listen_options *options, bool share, uint16_t *ret_port)
{
	union address address;
	socklen_t len = parse(options, &address);
	int fd, err;

	if (!len) {
		warnx("address %s: not a numeric IPv4 or IPv6 address: give one of this machine, or 0.0.0.0",
		      options->address);
		return -EINVAL;
	}
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	err = fd < 0 ? -errno : set_up(fd, &address, len, share);
	if (err) {
		warnx("address %s port %u: %s: %s", options->address, options->port, strerror(-err), next_step(err));
		if (fd >= 0)
			close(fd);
		return err;
	}
	*ret_port = ntohs(address.ip4.sin_port); /* at the same place in both */
	return fd;
}

void sc_listen_raise_files(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

// SPDX-License-Identifier: MIT
// Two ordinary requests that teach what each response must look like.
#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "probe.h"
#include "wire.h"

enum { HEAD_MAX = 8192, TIMEOUT_S = 3 };

static int connected_socket(const struct sc_probe *p, int type)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	int err, fd;

	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, p->ifname, (socklen_t)strlen(p->ifname)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    connect(fd, (const struct sockaddr *)&p->target, sizeof(p->target))) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		warnx("%s: cannot connect through %s: %s: is the server up, and is this its client's namespace?",
		      p->name, p->ifname, err == -EINPROGRESS ? "no answer" : strerror(-err));
		return err;
	}
	return fd;
}

int sc_probe_prepare(const struct sc_probe *p, struct xdpload_config *config)
{
	struct sockaddr_in local;
	socklen_t len = sizeof(local);
	char request[HEAD_MAX];
	int fd, request_len;

	request_len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", p->path, p->name);
	if (request_len < 0 || request_len > XDPLOAD_REQUEST_MAX) {
		warnx("path: the request would be %d bytes, at most %d fit: use a shorter path", request_len,
		      XDPLOAD_REQUEST_MAX);
		return -E2BIG;
	}
	memcpy(config->request, request, (size_t)request_len);
	config->request_len = (__u16)request_len;
	/* The buffer is zero behind the request: the pad byte of an odd length. */
	config->request_sum = sc_wire_fold(sc_wire_sum(config->request, ((__u32)request_len + 1) & ~1U));

	fd = connected_socket(p, SOCK_DGRAM); /* sends nothing: asks the routing table */
	if (fd < 0)
		return fd;
	(void)getsockname(fd, (struct sockaddr *)&local, &len);
	close(fd);
	config->local_ip = local.sin_addr.s_addr;
	config->target_ip = p->target.sin_addr.s_addr;
	config->target_port = p->target.sin_port;
	return 0;
}

static int wrong(const struct sc_probe *p, const char *reason)
{
	warnx("%s%s: %s: xdpload needs a 200 of constant Content-Length on a kept connection", p->name, p->path,
	      reason);
	return -EPROTO;
}

/* Receives at least up to the end of the head. Its length or -errno; ret_len is all that has come. */
static int read_head(const struct sc_probe *p, int fd, char *head, size_t *ret_len)
{
	size_t len = 0;
	ssize_t got;
	char *end;

	for (;;) {
		got = recv(fd, head + len, HEAD_MAX - len, 0);
		if (got < 0)
			return wrong(p, errno == EAGAIN ? "no response within 3 s" : strerror(errno));
		if (!got)
			return wrong(p, "the server closed the connection");
		len += (size_t)got;
		head[len] = '\0';
		end = strstr(head, "\r\n\r\n");
		if (end)
			break;
		if (len == HEAD_MAX)
			return wrong(p, "the headers are larger than 8 KiB");
	}
	*ret_len = len;
	return (int)(end + 4 - head);
}

/* One request and its whole response. 0 or -errno. */
static int exchange(const struct sc_probe *p, int fd, const struct xdpload_config *config, __u32 *ret_len, __u8 *prefix)
{
	char head[HEAD_MAX + 1], scratch[65536], *field;
	size_t have, total;
	ssize_t got;
	int head_len;

	if (send(fd, config->request, config->request_len, MSG_NOSIGNAL) != config->request_len)
		return wrong(p, strerror(errno));
	head_len = read_head(p, fd, head, &have);
	if (head_len < 0)
		return head_len;
	if (strncmp(head, "HTTP/1.", 7) || strncmp(head + 8, " 200", 4)) {
		head[strcspn(head, "\r\n")] = '\0';
		return wrong(p, head);
	}
	head[head_len - 1] = '\0'; /* a body may hold anything */
	field = strcasestr(head, "\r\nContent-Length:");
	if (!field)
		return wrong(p, "the response has no Content-Length");
	total = (size_t)head_len + strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
	if (total > UINT32_MAX / 2)
		return wrong(p, "the response is larger than 2 GiB");
	while (have < total) {
		got = recv(fd, scratch, sizeof(scratch), 0);
		if (got <= 0)
			return wrong(p, "the body is shorter than its Content-Length");
		have += (size_t)got;
	}
	if (have != total)
		return wrong(p, "the body is longer than its Content-Length");
	memcpy(prefix, head, XDPLOAD_PREFIX_LEN);
	*ret_len = (__u32)total;
	return 0;
}

int sc_probe_learn(const struct sc_probe *p, struct xdpload_config *config)
{
	__u32 first_len, second_len;
	int err, fd;

	fd = connected_socket(p, SOCK_STREAM);
	if (fd < 0)
		return fd;
	err = exchange(p, fd, config, &first_len, config->prefix);
	if (!err)
		err = exchange(p, fd, config, &second_len, config->prefix);
	close(fd);
	if (err)
		return err;
	if (first_len != second_len)
		return wrong(p, "two responses differ in length");
	config->response_len = first_len;
	return 0;
}

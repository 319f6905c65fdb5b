// SPDX-License-Identifier: MIT
/* The control socket to ringsvc: one request, one reply, with descriptors beside them. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "reason.h"

enum { TIMEOUT_S = 5, FDS_MAX = 1 + 2 * SC_LANES_MAX };

static int connect_fail(const char *path, int err)
{
	if (err == ENOENT || err == ECONNREFUSED)
		return sc_reason_set(-err, "%s: no sidecore-ringsvc answers: start it, or use engine local", path);
	if (err == EACCES)
		return sc_reason_set(-EACCES,
				     "%s: no right to connect: ask for access to the socket, or run your own: "
				     "sidecore-ringsvc --user",
				     path);
	return sc_reason_set(-err, "%s: %s", path, strerror(err));
}

int sc_control_connect(const char *path)
{
	struct timeval timeout = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return connect_fail(path, errno);
	(void)strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len)) {
		err = errno;
		(void)close(fd);
		return connect_fail(path, err);
	}
	if (peer.uid != 0 && peer.uid != geteuid()) {
		(void)close(fd);
		return sc_reason_set(-EACCES,
				     "%s: the service belongs to uid %u, neither root nor this user: not trusted", path,
				     peer.uid);
	}
	return fd;
}

static int message_send(int socket, const struct sc_ctl_msg *msg, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = sizeof(*msg) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		hdr.msg_control = control.buf;
		hdr.msg_controllen = sizeof(control.buf);
		CMSG_FIRSTHDR(&hdr)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&hdr)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&hdr)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&hdr)), &fd, sizeof(fd));
	}
	if (sendmsg(socket, &hdr, MSG_NOSIGNAL) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : errno == EPIPE || errno == ECONNRESET ? -EOWNERDEAD : -errno;
	return 0;
}

static unsigned int fds_take(struct msghdr *hdr, int *fds, unsigned int max)
{
	unsigned int cnt = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr); cmsg; cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		unsigned int there = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (unsigned int i = 0; i < there; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
			if (cnt < max)
				fds[cnt++] = fd;
			else
				(void)close(fd);
		}
	}
	return cnt;
}

static int message_receive(int socket, struct sc_ctl_msg *msg, int *fds, unsigned int *fd_cnt)
{
	union {
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t len;

	do
		len = recvmsg(socket, &hdr, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0) {
		*fd_cnt = 0;
		return errno == EAGAIN ? -ETIMEDOUT : errno == ECONNRESET ? -EOWNERDEAD : -errno;
	}
	*fd_cnt = fds_take(&hdr, fds, *fd_cnt);
	if (!len)
		return -EOWNERDEAD;
	return len == sizeof(*msg) && !(hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? 0 : -EPROTO;
}

int sc_control_call(int socket, struct sc_ctl_msg *msg, int fd, int *fds, unsigned int *fd_cnt)
{
	unsigned int none = 0, *cnt = fd_cnt ? fd_cnt : &none;
	__u16 type = msg->type;
	int err;

	msg->magic = SC_CTL_MAGIC;
	msg->version = SC_ABI_VERSION;
	err = message_send(socket, msg, fd);
	/* A service that refuses before it is asked has hung up, its reason waits in the socket. */
	if (!err || err == -EOWNERDEAD)
		err = message_receive(socket, msg, fds, cnt);
	else
		*cnt = 0;
	if (!err && (msg->magic != SC_CTL_MAGIC || msg->type != (type | SC_CTL_REPLY)))
		err = -EPROTO;
	return err;
}

const char *sc_control_reason(const struct sc_ctl_msg *reply)
{
	static const char *const texts[SC_REFUSED_CNT] = {
		[SC_REFUSED_VERSION] =
			"the service speaks another version of the protocol: install libapp and ringsvc of one release",
		[SC_REFUSED_MALFORMED] =
			"the service did not understand the request: install libapp and ringsvc of one release",
		[SC_REFUSED_LIMIT] = "an option is out of the service's bounds: ask for less",
		[SC_REFUSED_ENGINES] = "too many engines run for this user: close other sessions first",
		[SC_REFUSED_SESSIONS] = "too many sessions are open: close other sessions first",
		[SC_REFUSED_MEMLOCK] =
			"ring memory beyond RLIMIT_MEMLOCK of this user: close other sessions or ask for fewer conns and bufs",
		[SC_REFUSED_MEMORY] = "the service is out of memory: ask for less",
		[SC_REFUSED_RING] = "the kernel refused the ring: see the service's log",
		[SC_REFUSED_CPU] = "a dedicated core is offline or forbidden: restart the service with other --cpus",
		[SC_REFUSED_IDENTITY] = "the service does not serve this user: run your own: sidecore-ringsvc --user",
	};

	if (reply->reason < SC_REFUSED_CNT && texts[reply->reason])
		return texts[reply->reason];
	return strerror(-reply->status);
}

// SPDX-License-Identifier: MIT
// Sends and receives control packets.
#include "ctl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DRAIN_MAX = 4096 };

union control {
	char bytes[CMSG_SPACE(SC_CTL_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

void sc_ctl_close_all(int *fds, unsigned int cnt)
{
	for (unsigned int i = 0; i < cnt; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
		fds[i] = -1;
	}
}

static unsigned int take_fds(struct msghdr *hdr, int *fds, unsigned int fd_max)
{
	unsigned int cnt = 0, in_cmsg;
	struct cmsghdr *cmsg;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(hdr); cmsg; cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		in_cmsg = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (unsigned int i = 0; i < in_cmsg; i++, cnt++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (cnt < fd_max)
				fds[cnt] = fd;
			else
				(void)close(fd);
		}
	}
	return cnt;
}

int sc_ctl_recv(int fd, void *msg, size_t len, int *fds, unsigned int fd_max)
{
	struct iovec iov = { .iov_base = msg, .iov_len = len };
	union control control;
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	unsigned int cnt;
	ssize_t got;

	assert(fd_max <= SC_CTL_FDS_MAX);
	for (unsigned int i = 0; i < fd_max; i++)
		fds[i] = -1;
	do {
		got = recvmsg(fd, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	cnt = take_fds(&hdr, fds, fd_max);
	if (!got && !cnt)
		return -EPIPE; // an empty packet ends the session as well: it is not of the protocol
	if ((size_t)got != len || hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || cnt > fd_max) {
		sc_ctl_close_all(fds, fd_max);
		return -EBADMSG;
	}
	return cnt;
}

int sc_ctl_send(int fd, const void *msg, size_t len, const int *fds, unsigned int fd_cnt)
{
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	ssize_t sent;

	assert(fd_cnt <= SC_CTL_FDS_MAX);
	if (fd_cnt) {
		memset(&control, 0, sizeof(control));
		hdr.msg_control = control.bytes;
		hdr.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));
		CMSG_FIRSTHDR(&hdr)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&hdr)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&hdr)->cmsg_len = CMSG_LEN(fd_cnt * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&hdr)), fds, fd_cnt * sizeof(int));
	}
	do {
		sent = sendmsg(fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int sc_ctl_reply(int fd, enum sc_ctl_type type, int status, enum sc_refusal reason)
{
	struct sc_ctl_msg reply = {
		.magic = SC_CTL_MAGIC,
		.version = SC_ABI_VERSION,
		.type = type | SC_CTL_REPLY,
		.status = status,
		.reason = reason,
	};

	return sc_ctl_send(fd, &reply, sizeof(reply), NULL, 0);
}

void sc_ctl_refuse(int fd, enum sc_ctl_type type, int status, enum sc_refusal reason)
{
	char byte;

	(void)sc_ctl_reply(fd, type, status, reason); // an app that does not read need not know
	// Closing with packets unread turns the peer's recv into ECONNRESET before it could see the reply. So: nothing
	// more may come in, then what came is thrown away unread.
	(void)shutdown(fd, SHUT_RDWR);
	for (int i = 0; i < DRAIN_MAX && recv(fd, &byte, 1, MSG_DONTWAIT) > 0; i++)
		;
}

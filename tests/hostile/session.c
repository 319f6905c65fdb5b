// SPDX-License-Identifier: MIT
/* Connects, speaks and maps as libapp would, with no check that libapp makes. */
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "session.h"

union control {
	char bytes[CMSG_SPACE(SESSION_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

bool session_connect(struct session *session, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_usec = 200000 };

	*session = (struct session){ .ctl = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) };
	(void)strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	(void)setsockopt(session->ctl, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(session->ctl, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(session->ctl, (struct sockaddr *)&addr, sizeof(addr)))
		return true;
	session_close(session);
	return false;
}

void session_send(const struct session *session, const void *data, size_t len, const int *fds, unsigned int fd_cnt)
{
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { 0 };

	if (fd_cnt) {
		hdr.msg_control = control.bytes;
		hdr.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_cnt * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fd_cnt * sizeof(int));
	}
	(void)sendmsg(session->ctl, &hdr, MSG_NOSIGNAL);
}

static void take_channel(struct session *session, const struct msghdr *hdr, const struct sc_ctl_msg *reply)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr);
	void *mem;

	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS || session->fd_cnt)
		return;
	session->fd_cnt = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(session->fds, CMSG_DATA(cmsg), session->fd_cnt * sizeof(int));
	mem = mmap(NULL, reply->mem_len, PROT_READ | PROT_WRITE, MAP_SHARED, session->fds[0], 0);
	if (mem == MAP_FAILED)
		return;
	session->mem = mem;
	session->len = reply->mem_len;
	memcpy(&session->header, mem, sizeof(session->header));
}

/* false: the session is over. */
static bool receive(struct session *session, struct msghdr *hdr, union control *control, struct sc_ctl_msg *reply)
{
	struct iovec iov = { .iov_base = reply, .iov_len = sizeof(*reply) };

	*hdr = (struct msghdr){
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control->bytes,
		.msg_controllen = sizeof(control->bytes),
	};
	if (recvmsg(session->ctl, hdr, MSG_CMSG_CLOEXEC) > 0)
		return true;
	session_close(session);
	return false;
}

void session_reply(struct session *session)
{
	struct sc_ctl_msg reply = { 0 };
	union control control;
	struct msghdr hdr;

	if (receive(session, &hdr, &control, &reply))
		take_channel(session, &hdr, &reply);
}

int session_take(struct session *session)
{
	struct sc_ctl_msg reply = { 0 };
	struct cmsghdr *cmsg;
	union control control;
	struct msghdr hdr;
	int fd;

	if (!receive(session, &hdr, &control, &reply))
		return -1;
	cmsg = CMSG_FIRSTHDR(&hdr);
	if (reply.type != (SC_CTL_FILE_TAKE | SC_CTL_REPLY) || !cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

struct sc_ctl_msg session_message(enum sc_ctl_type type)
{
	return (struct sc_ctl_msg){ .magic = SC_CTL_MAGIC, .version = SC_ABI_VERSION, .type = type };
}

void session_hello(struct session *session, struct chance *chance)
{
	struct sc_ctl_msg hello = session_message(SC_CTL_HELLO);

	hello.conn_cnt = 1 + chance_below(chance, 64);
	hello.buf_cnt = 8U << chance_below(chance, 4);
	hello.buf_len = 256U << chance_below(chance, 4);
	hello.sq_entries = 64U << chance_below(chance, 3);
	hello.mem_len = 65536;
	hello.flags = chance_below(chance, 2) ? SC_HELLO_THREADS : 0;
	hello.lane_cnt = chance_below(chance, 4);
	session_send(session, &hello, sizeof(hello), NULL, 0);
	session_reply(session);
}

void session_close(struct session *session)
{
	for (unsigned int i = 0; i < session->fd_cnt; i++)
		(void)close(session->fds[i]);
	if (session->mem)
		(void)munmap(session->mem, session->len);
	if (session->ctl >= 0)
		(void)close(session->ctl);
	*session = (struct session){ .ctl = -1 };
}

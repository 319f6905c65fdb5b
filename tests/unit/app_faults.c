// SPDX-License-Identifier: MIT
/*
 * Every call libapp makes of the system or of the heap fails once, one after the other: what was asked for is refused with an
 * errno and a reason, or done nevertheless, or the engine is lost; nothing is left open, and the next session works.
 */
#include "app_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reason.h"

enum { EVENTS = 16, SEGMENT_LEN = 4096, WAIT_MS = 10000 };

/* --- the calls that fail (the linker's --wrap leads here) --- */

static bool armed; /* libapp runs, not the test */
static unsigned int calls; /* so far, of those below */
static unsigned int fail_at; /* 0: none */
static const char *failed; /* the one that did */

static bool fails(const char *name)
{
	if (!armed || ++calls != fail_at)
		return false;
	failed = name;
	return true;
}

/* What fails as the C library does: by errno. */
#define FAULT(type, name, value, err, params, ...)         \
	type __real_##name params;                         \
	type __wrap_##name params;                         \
	type __wrap_##name params                          \
	{                                                  \
		if (!fails(#name))                         \
			return __real_##name(__VA_ARGS__); \
		errno = err;                               \
		return value;                              \
	}

/* What fails as liburing does: by its result. */
#define FAULT_RING(name, err, params, ...)                 \
	int __real_##name params;                          \
	int __wrap_##name params;                          \
	int __wrap_##name params                           \
	{                                                  \
		if (!fails(#name))                         \
			return __real_##name(__VA_ARGS__); \
		return -(err);                             \
	}

FAULT(void *, malloc, NULL, ENOMEM, (size_t len), len)
FAULT(void *, calloc, NULL, ENOMEM, (size_t cnt, size_t len), cnt, len)
FAULT(void *, aligned_alloc, NULL, ENOMEM, (size_t alignment, size_t len), alignment, len)
FAULT(void *, realloc, NULL, ENOMEM, (void *mem, size_t len), mem, len)
FAULT(void *, mmap, MAP_FAILED, ENOMEM, (void *mem, size_t len, int prot, int flags, int fd, off_t off), mem, len, prot,
      flags, fd, off)
FAULT(int, socket, -1, EMFILE, (int domain, int type, int protocol), domain, type, protocol)
FAULT(int, socketpair, -1, EMFILE, (int domain, int type, int protocol, int *fds), domain, type, protocol, fds)
FAULT(int, setsockopt, -1, ENOPROTOOPT, (int fd, int level, int name, const void *value, socklen_t len), fd, level,
      name, value, len)
FAULT(int, getsockopt, -1, ENOBUFS, (int fd, int level, int name, void *value, socklen_t *len), fd, level, name, value,
      len)
FAULT(int, getsockname, -1, ENOBUFS, (int fd, struct sockaddr *addr, socklen_t *len), fd, addr, len)
FAULT(int, bind, -1, EADDRINUSE, (int fd, const struct sockaddr *addr, socklen_t len), fd, addr, len)
FAULT(int, listen, -1, EADDRINUSE, (int fd, int backlog), fd, backlog)
FAULT(int, connect, -1, ECONNREFUSED, (int fd, const struct sockaddr *addr, socklen_t len), fd, addr, len)
FAULT(int, getpeername, -1, ENOTCONN, (int fd, struct sockaddr *addr, socklen_t *len), fd, addr, len)
FAULT(ssize_t, sendmsg, -1, ENOBUFS, (int fd, const struct msghdr *msg, int flags), fd, msg, flags)
FAULT(ssize_t, recvmsg, -1, ECONNRESET, (int fd, struct msghdr *msg, int flags), fd, msg, flags)
FAULT(int, open, -1, EMFILE, (const char *path, int flags), path, flags)
FAULT(int, fcntl, -1, EMFILE, (int fd, int command, long arg), fd, command, arg)
FAULT(int, fstat, -1, EIO, (int fd, struct stat *ret), fd, ret)
FAULT(int, eventfd, -1, EMFILE, (unsigned int value, int flags), value, flags)
FAULT(int, eventfd_write, -1, EAGAIN, (int fd, eventfd_t value), fd, value)
FAULT(int, epoll_create1, -1, EMFILE, (int flags), flags)
FAULT(int, epoll_ctl, -1, ENOMEM, (int epoll, int op, int fd, struct epoll_event *event), epoll, op, fd, event)
FAULT(int, epoll_wait, -1, EINTR, (int epoll, struct epoll_event *events, int max, int timeout_ms), epoll, events, max,
      timeout_ms)
FAULT_RING(io_uring_queue_init, ENOMEM, (unsigned int entries, struct io_uring *ring, unsigned int flags), entries,
	   ring, flags)
FAULT_RING(io_uring_queue_init_params, EPERM,
	   (unsigned int entries, struct io_uring *ring, struct io_uring_params *params), entries, ring, params)
FAULT_RING(io_uring_register_files, ENOMEM, (struct io_uring * ring, const int *fds, unsigned int cnt), ring, fds, cnt)
FAULT_RING(io_uring_register_files_sparse, EMFILE, (struct io_uring * ring, unsigned int cnt), ring, cnt)
FAULT_RING(io_uring_register_files_update, ENOMEM,
	   (struct io_uring * ring, unsigned int off, const int *fds, unsigned int cnt), ring, off, fds, cnt)
FAULT_RING(io_uring_register_buffers_sparse, ENOMEM, (struct io_uring * ring, unsigned int cnt), ring, cnt)
FAULT_RING(io_uring_register_buffers_update_tag, ENOMEM,
	   (struct io_uring * ring, unsigned int off, const struct iovec *iov, const __u64 *tags, unsigned int cnt),
	   ring, off, iov, tags, cnt)
FAULT_RING(io_uring_register_buf_ring, ENOMEM,
	   (struct io_uring * ring, struct io_uring_buf_reg *reg, unsigned int flags), ring, reg, flags)
FAULT_RING(io_uring_register_file_alloc_range, EINVAL, (struct io_uring * ring, unsigned int off, unsigned int cnt),
	   ring, off, cnt)
FAULT_RING(io_uring_enable_rings, EBADFD, (struct io_uring * ring), ring)
FAULT_RING(io_uring_register_eventfd, EBUSY, (struct io_uring * ring, int fd), ring, fd)
FAULT_RING(io_uring_register_ring_fd, ENOMEM, (struct io_uring * ring), ring)
FAULT_RING(io_uring_register_sync_cancel, ETIME, (struct io_uring * ring, struct io_uring_sync_cancel_reg *reg), ring,
	   reg)
FAULT_RING(io_uring_submit_and_get_events, EFAULT, (struct io_uring * ring), ring)
FAULT_RING(io_uring_submit_and_wait_timeout, EFAULT,
	   (struct io_uring * ring, struct io_uring_cqe **cqe, unsigned int cnt, struct __kernel_timespec *time,
	    sigset_t *mask),
	   ring, cqe, cnt, time, mask)

/* --- a session that talks to itself --- */

struct talk {
	struct sc_session *session;
	struct sc_session *taker; /* another of its group, which is given what is accepted; or NULL */
	struct sc_listener *listener;
	struct sc_segment *segment;
	struct sc_conn *near;
	const char *said; /* 5 bytes */
	bool echoed, ended; /* the bytes came back; no use waiting */
};

#define LIB(call)                          \
	({                                 \
		(void)sc_refuse(0, "");    \
		armed = true;              \
		__auto_type ret_ = (call); \
		armed = false;             \
		ret_;                      \
	})

/* A refusal says why. */
static bool refused(int err)
{
	assert_true(err <= 0);
	if (err && !*sc_reason())
		fail_msg("refused without a reason when %s failed: %s", failed ? failed : "nothing", strerror(-err));
	return err;
}

static void talk_event(struct talk *talk, const struct sc_event *event)
{
	bool near = event->conn == talk->near;

	switch (event->type) {
	case SC_EVENT_CONNECT:
	case SC_EVENT_ERROR:
	case SC_EVENT_GIVEN:
		talk->ended |= event->result < 0;
		break;
	case SC_EVENT_ACCEPT:
		talk->ended |= talk->taker && refused(LIB(sc_conn_give(event->conn, talk->taker)));
		break;
	case SC_EVENT_TAKEN:
		talk->ended |= refused(LIB(sc_send(talk->near, sc_segment_mem(talk->segment), 5, 0)));
		break;
	case SC_EVENT_RECV:
		if (!event->len || (!near && refused(LIB(sc_send(event->conn, event->data, event->len, 1))))) {
			talk->ended = true;
		} else if (near) {
			assert_memory_equal(event->data, talk->said, 5);
			talk->echoed = true;
		}
		break;
	case SC_EVENT_LOST:
		assert_true(event->result < 0);
		talk->ended = true;
		break;
	default:
		break;
	}
}

static void talk_turn(struct talk *talk, struct sc_session *session, int timeout_ms)
{
	struct sc_event events[EVENTS];
	int cnt = LIB(sc_wait(session, events, EVENTS, timeout_ms));

	if (cnt < 0)
		talk->ended = cnt != -EINTR;
	for (int i = 0; i < cnt; i++)
		talk_event(talk, &events[i]);
}

static void talk_run(struct talk *talk)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (!talk->echoed && !talk->ended) {
		if (talk->taker)
			talk_turn(talk, talk->taker, 1);
		talk_turn(talk, talk->session, talk->taker ? 1 : 20);
		if (time(NULL) > end)
			fail_msg("nothing came after a failure of %s", failed ? failed : "nothing");
	}
}

/* The same by calls that wait: both ends are of this thread. */
static void talk_by_jobs(struct talk *talk)
{
	char *mem = sc_segment_mem(talk->segment), text[5];
	struct sc_conn *far;
	struct sc_job *job;
	ssize_t result = 0;
	int ret;

	if (refused(LIB(sc_async_recv(talk->near, text, 5, SC_RECV_ALL, &job))) ||
	    refused(LIB(sc_sync_accept(talk->listener, WAIT_MS, &far))) ||
	    refused(LIB(sc_sync_send(talk->near, mem, 5, WAIT_MS))))
		return;
	result = LIB(sc_sync_recv(far, mem + 5, 5, SC_RECV_ALL, WAIT_MS));
	if (result != 5) {
		(void)refused((int)result);
		return;
	}
	if (refused(LIB(sc_sync_send(far, mem + 5, 5, WAIT_MS))))
		return;
	do
		ret = LIB(sc_job_wait(job, WAIT_MS, &result));
	while (ret == -EINTR);
	assert_int_equal(ret, 1);
	if (result < 0)
		return;
	assert_int_equal(result, 5);
	assert_memory_equal(text, "hello", 5);
	talk->echoed = !refused(LIB(sc_sync_close(far, WAIT_MS)));
}

static void talk_by_events(struct talk *talk)
{
	if (!refused(LIB(sc_send(talk->near, sc_segment_mem(talk->segment), 5, 0))))
		talk_run(talk);
}

/* What is accepted goes to the other session, which sends it back from there. */
static void talk_by_handing_over(struct talk *talk)
{
	talk_run(talk);
}

/* The beginning of this program, from its file. */
static void talk_by_files(struct talk *talk)
{
	struct sc_file *file;

	talk->said = "\177ELF\2";
	if (!refused(LIB(sc_file_open(talk->session, "/proc/self/exe", &file))) &&
	    !refused(LIB(sc_send_file(talk->near, file, 0, 5, 0))))
		talk_run(talk);
}

/* A datagram to itself, and options: the descriptor comes here for each. */
static void talk_by_datagrams(struct talk *talk)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int size = 65536;

	if (refused(LIB(sc_udp_open(talk->session, "127.0.0.1", 0, &talk->near))) ||
	    refused(LIB(sc_setsockopt(talk->near, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)))) ||
	    refused(LIB(sc_getsockname(talk->near, (struct sockaddr *)&addr, &len))) ||
	    refused(LIB(sc_sendto(talk->near, sc_segment_mem(talk->segment), 5, (struct sockaddr *)&addr, len, 0))))
		return;
	talk_run(talk);
}

static void talk_begin(struct talk *talk, void (*how)(struct talk *))
{
	struct sc_connect_options options = SC_CONNECT_OPTIONS_INIT;

	if (refused(LIB(sc_listen(talk->session, "127.0.0.1", 0, 0, &talk->listener))) ||
	    refused(LIB(sc_register_mem(talk->session, SEGMENT_LEN, &talk->segment))))
		return;
	memcpy(sc_segment_mem(talk->segment), talk->said, 5);
	options.address = "127.0.0.1";
	options.port = sc_listener_port(talk->listener);
	if (how == talk_by_datagrams || !refused(LIB(sc_connect(talk->session, &options, &talk->near))))
		how(talk);
}

/* True if the bytes made their way. */
static bool talk(void (*how)(struct talk *))
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct talk talk = { .said = "hello" };
	struct sc_session *sessions[2] = { NULL, NULL };

	calls = 0;
	failed = NULL;
	options.conns = 16;
	server_options(&options);
	if (refused(LIB(how == talk_by_handing_over ? sc_open_threads(&options, 2, sessions) :
						      sc_open(&options, sessions))))
		return false;
	talk.session = sessions[0];
	talk.taker = sessions[1];
	talk_begin(&talk, how);
	armed = true;
	sc_close_session(talk.session);
	sc_close_session(talk.taker);
	armed = false;
	return talk.echoed;
}

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int cnt = 0;

	assert_non_null(dir);
	while (readdir(dir))
		cnt++;
	(void)closedir(dir);
	return cnt;
}

static void each_call_fails(void (*how)(struct talk *))
{
	unsigned int before = descriptors(), all, survived = 0;

	fail_at = 0;
	assert_true(talk(how));
	all = calls;
	assert_true(all > 20);
	for (fail_at = 1; fail_at <= all; fail_at++) {
		survived += talk(how);
		if (descriptors() != before)
			fail_msg("call %u, %s: %u descriptors are left open", fail_at, failed, descriptors() - before);
	}
	fail_at = 0;
	assert_true(talk(how));
	assert_true(survived < all);
	print_message("%u calls failed, %u of them not noticed by the application\n", all, survived);
}

static void test_each_call_fails(void **state)
{
	(void)state;
	each_call_fails(talk_by_events);
}

static void test_each_call_fails_by_datagrams(void **state)
{
	(void)state;
	each_call_fails(talk_by_datagrams);
}

static void test_each_call_fails_by_jobs(void **state)
{
	(void)state;
	each_call_fails(talk_by_jobs);
}

static void test_each_call_fails_by_files(void **state)
{
	(void)state;
	each_call_fails(talk_by_files);
}

static void test_each_call_fails_by_handing_over(void **state)
{
	(void)state;
	each_call_fails(talk_by_handing_over);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest scenarios[] = {
		cmocka_unit_test(test_each_call_fails),
		cmocka_unit_test(test_each_call_fails_by_jobs),
		cmocka_unit_test(test_each_call_fails_by_datagrams),
		cmocka_unit_test(test_each_call_fails_by_files),
		cmocka_unit_test(test_each_call_fails_by_handing_over),
	};

	return server_run(scenarios, sizeof(scenarios) / sizeof(*scenarios), argc > 1 ? argv[1] : NULL);
}

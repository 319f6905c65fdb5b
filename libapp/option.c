// SPDX-License-Identifier: MIT
/*
 * Options and names of sockets that live with the engine: a copy of the descriptor is brought here for one plain system call.
 * A slow path. The lane installs the slot's file among its consumer's descriptors, from where file_take fetches it.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "reason.h"
#include "session.h"

enum { PATIENCE_MS = 1000, PAUSE_NS = 50 * 1000 };

/*
 * The completion is taken out of the middle of the queue by making it nobody's: those before it are the caller's next events. The
 * kernel does not look at a completion again that it has published.
 */
static bool completion_take(struct lane *lane, uint64_t tag, int *ret_res)
{
	struct io_uring_cqe *cqe;
	unsigned int head;

	io_uring_for_each_cqe(&lane->ring, head, cqe) {
		if (cqe->user_data != tag)
			continue;
		*ret_res = cqe->res;
		cqe->user_data = SC_TAG_NOBODY;
		return true;
	}
	return false;
}

static bool install_ask(struct lane *lane, int file, uint64_t tag)
{
	struct io_uring_sqe *sqe = sc_lane_sqe(lane);

	if (!sqe)
		return false;
	io_uring_prep_fixed_fd_install(sqe, file, 0);
	io_uring_sqe_set_data64(sqe, tag);
	return true;
}

/* Returns the consumer's descriptor, or -errno. An answer that comes too late is dropped by sc_file_unwanted. */
static int install(struct lane *lane, int file)
{
	uint64_t tag = (uint64_t)lane->take_seq++ << 32 | FILE_INSTALL << 8;
	int64_t end = sc_session_now_ms() + PATIENCE_MS;
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	bool asked = false;
	int res;

	for (;;) {
		asked = asked || install_ask(lane, file, tag);
		res = lane->session->ops->submit(lane->session);
		if (res && res != -EINTR)
			return sc_refuse(res, sc_strerror(res));
		if (asked && completion_take(lane, tag, &res))
			return res < 0 ? sc_refuse(res, sc_strerror(res)) : res;
		if (IO_URING_READ_ONCE(*lane->ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW)
			return sc_refuse(-EBUSY, "socket: its answer is behind too many events: call sc_poll first");
		if (sc_session_now_ms() > end)
			return sc_refuse(-ETIMEDOUT, "socket: the engine did not answer in 1 s: call sc_poll first");
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
}

/* A copy of the file that requests call so; the caller closes it. */
static int file_take(struct lane *lane, int file)
{
	int there = file, fd;

	if (lane->session->lost)
		return sc_session_refuse(lane->session);
	if (!lane->descriptors)
		there = install(lane, file);
	if (there < 0)
		return there;
	fd = lane->session->ops->file_take(lane, there);
	return fd < 0 ? sc_refuse(fd, "socket: the engine did not hand it out: see the service's log") : fd;
}

void sc_file_unwanted(struct lane *lane, int res)
{
	int fd = res < 0 ? res : lane->session->ops->file_take(lane, res);

	if (fd >= 0)
		(void)close(fd);
}

static int conn_take(const struct sc_conn *conn)
{
	if (conn->closing)
		return sc_refuse(-EBADF, "connection: being closed: ask before sc_close");
	if (conn->given)
		return sc_refuse(-EBADF, "connection: another session has it: ask there");
	return file_take(conn->lane, conn->file);
}

static int done(int fd, int ret)
{
	int err = ret ? -errno : 0;

	(void)close(fd);
	return err ? sc_reason_set(err, "socket: the kernel refused: %s", strerror(-err)) : 0;
}

/* --- connections --- */

int sc_setsockopt(struct sc_conn *conn, int level, int name, const void *value, socklen_t len)
{
	int fd = conn_take(conn);

	return fd < 0 ? fd : done(fd, setsockopt(fd, level, name, value, len));
}

int sc_getsockopt(struct sc_conn *conn, int level, int name, void *value, socklen_t *len)
{
	int fd = conn_take(conn);

	return fd < 0 ? fd : done(fd, getsockopt(fd, level, name, value, len));
}

int sc_getsockname(struct sc_conn *conn, struct sockaddr *addr, socklen_t *len)
{
	int fd = conn_take(conn);

	return fd < 0 ? fd : done(fd, getsockname(fd, addr, len));
}

int sc_getpeername(struct sc_conn *conn, struct sockaddr *addr, socklen_t *len)
{
	int fd = conn_take(conn);

	return fd < 0 ? fd : done(fd, getpeername(fd, addr, len));
}

/* --- listeners --- */

static int listener_take(const struct sc_listener *listener, unsigned int lane)
{
	if (listener->closing)
		return sc_refuse(-EBADF, "listener: closed");
	return file_take(&listener->session->lanes[lane], listener->lane[lane].file);
}

int sc_listener_setsockopt(struct sc_listener *listener, int level, int name, const void *value, socklen_t len)
{
	int err = 0;

	for (unsigned int i = 0; i < listener->session->lane_cnt && !err; i++) {
		int fd = listener_take(listener, i);

		err = fd < 0 ? fd : done(fd, setsockopt(fd, level, name, value, len));
	}
	return err;
}

int sc_listener_getsockopt(struct sc_listener *listener, int level, int name, void *value, socklen_t *len)
{
	int fd = listener_take(listener, 0);

	return fd < 0 ? fd : done(fd, getsockopt(fd, level, name, value, len));
}

int sc_listener_getsockname(struct sc_listener *listener, struct sockaddr *addr, socklen_t *len)
{
	int fd = listener_take(listener, 0);

	return fd < 0 ? fd : done(fd, getsockname(fd, addr, len));
}

// SPDX-License-Identifier: MIT
/*
 * Connections made from here: the socket is made with the caller's rights and handed to a lane, which connects it.
 *
 * A time limit is a TIMEOUT of the lane, whose end cancels the CONNECT. Not a linked one: a poller takes requests of several
 * rings in batches, and a batch that ends between the two would break the link.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "inbox.h"
#include "reason.h"
#include "session.h"

/* What the two requests point to, in the arena until the connect ends. Who scribbles over it spoils that connect. */
struct connect {
	struct address to;
	struct __kernel_timespec timeout;
};

/* --- the lane's side --- */

/* A socket that is connected already gets its completion by a request that does nothing. */
void sc_connect_prep(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	struct connect *connect = conn->connect;

	if (!connect) {
		io_uring_prep_nop(sqe);
		return;
	}
	io_uring_prep_connect(sqe, conn->file,
			      (void *)(uintptr_t)sc_session_addr(conn->lane->session, &connect->to.addr),
			      connect->to.len);
	sc_lane_use_file(conn->lane, sqe);
}

void sc_connect_timeout_prep(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	io_uring_prep_timeout(sqe, (void *)(uintptr_t)sc_session_addr(conn->lane->session, &conn->connect->timeout), 0,
			      0);
}

/* No request needs the address any more. */
static void outcome_known(struct sc_conn *conn)
{
	conn->connecting = false;
	if (conn->connect)
		sc_arena_free(&conn->lane->session->arena, conn->connect);
	conn->connect = NULL;
	conn->want &= (uint16_t) ~(OP_TIMEOUT | OP_CONNECT);
	if (conn->inflight & OP_TIMEOUT)
		sc_conn_cancel(conn, OP_TIMEOUT);
}

static void connect_fail(struct sc_conn *conn, int err)
{
	conn->recv_ended = true;
	conn->recv_result = err;
	conn->send_ended = true;
	sc_conn_broke(conn);
	if (conn->inbox)
		sc_inbox_end(conn, err);
	sc_sends_end(conn, err);
}

static void connect_succeed(struct sc_conn *conn)
{
	conn->lane->session->counters.connected++;
	sc_recv_next(conn);
	if (conn->recv_shut)
		sc_conn_want(conn, OP_SHUTDOWN_RECV);
	if (conn->send_head)
		sc_send_begin(conn);
	else if (conn->shut && !conn->closing)
		sc_conn_want(conn, OP_SHUTDOWN);
}

void sc_connect_complete(struct sc_conn *conn, int res, struct sink *sink)
{
	if (res == -ECANCELED && conn->timed_out)
		res = -ETIMEDOUT;
	outcome_known(conn);
	if (!conn->closing)
		sc_event_add(sink, SC_EVENT_CONNECT, conn)->result = res;
	if (res < 0)
		connect_fail(conn, res);
	else if (!conn->close_asked)
		connect_succeed(conn);
	sc_conn_close_step(conn);
}

void sc_connect_timeout_complete(struct sc_conn *conn, int res, struct sink *sink)
{
	if (res != -ETIME || !conn->connecting)
		return;
	conn->timed_out = true;
	if (conn->want & OP_CONNECT) /* the queue was full all the time */
		sc_connect_complete(conn, -ECANCELED, sink);
	else
		sc_conn_cancel(conn, OP_CONNECT);
}

void sc_connect_abort(struct sc_conn *conn)
{
	if (conn->inflight & OP_CONNECT)
		sc_conn_cancel(conn, OP_CONNECT);
	else
		outcome_known(conn);
}

/* --- the caller's side --- */

static int options_copy(const struct sc_connect_options *options, struct sc_connect_options *ret)
{
	if (!sc_options_known(options, options->size, sizeof(*ret)))
		return sc_reason_set(-E2BIG, "connect options: fields of a newer libapp are set: link against it");
	memcpy(ret, options, options->size < sizeof(*ret) ? options->size : sizeof(*ret));
	if (!ret->address && ret->fd < 0)
		return sc_reason_set(
			-EINVAL, "connect options: no address: give one, or in fd a socket that is connected already");
	return 0;
}

static int local_bind(int fd, const struct sc_connect_options *opt, const struct address *to)
{
	const char *any = to->addr.ss_family == AF_INET6 ? "::" : "0.0.0.0";
	struct address local;
	int one = 1, err;

	if (!opt->local_address && !opt->local_port)
		return 0;
	err = sc_address_parse(opt->local_address ? opt->local_address : any, opt->local_port, &local);
	if (err)
		return err;
	if (opt->local_port)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	else /* the port is chosen by the connect, which knows what it must differ from */
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&local.addr, local.len)) {
		err = errno;
		return sc_reason_set(-err,
				     "local address %s port %u: %s: choose an address of this host and a free port",
				     opt->local_address ? opt->local_address : "any", opt->local_port, strerror(err));
	}
	return 0;
}

static int socket_make(const struct sc_connect_options *opt, const struct address *to)
{
	int fd = socket(to->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, err = errno;

	if (fd < 0)
		return sc_reason_set(-err, "socket for %s port %u: %s", opt->address, opt->port, strerror(err));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Whether the caller's own socket will do. */
static int socket_check(int fd, bool connected)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(int);
	int type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
		return sc_reason_set(-errno, "descriptor %d: %s: give a stream socket", fd, strerror(errno));
	if (type != SOCK_STREAM)
		return sc_reason_set(-EPROTOTYPE, "descriptor %d: not a stream socket: give one of SOCK_STREAM", fd);
	len = sizeof(peer);
	if (connected && getpeername(fd, (struct sockaddr *)&peer, &len))
		return sc_reason_set(-errno, "descriptor %d: %s: say where to connect it", fd, strerror(errno));
	return 0;
}

/*
 * A unix socket is connected here: the name means something in this process's root directory, and the other end need not accept
 * for it. So nothing is waited for.
 */
static int unix_connect(int fd, const struct sc_connect_options *opt, const struct address *to)
{
	int flags = fcntl(fd, F_GETFL), err = 0;

	(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (connect(fd, (const struct sockaddr *)&to->addr, to->len))
		err = sc_reason_set(-errno, "%s: %s: %s", opt->address, strerror(errno),
				    errno == EAGAIN ? "its backlog is full, try again later" :
						      "is somebody listening there?");
	(void)fcntl(fd, F_SETFL, flags);
	return err;
}

/* What the requests will point to; conn->connect stays NULL for a socket that is connected. */
static int connect_prepare(struct sc_conn *conn, const struct sc_connect_options *opt, const struct address *to)
{
	if (!to->len || to->addr.ss_family == AF_UNIX)
		return 0;
	conn->connect = sc_arena_alloc(&conn->lane->session->arena, sizeof(*conn->connect));
	if (!conn->connect)
		return sc_reason_set(-ENOMEM, "%s port %u: the arena has no %zu bytes left for the address: free some",
				     opt->address, opt->port, sizeof(*conn->connect));
	*conn->connect = (struct connect){
		.to = *to,
		.timeout = { .tv_sec = opt->timeout_ms / 1000, .tv_nsec = opt->timeout_ms % 1000 * 1000000LL },
	};
	return 0;
}

/* The file is the lane's from here on, so this does not fail afterwards. */
static int hand_over(struct sc_conn *conn, const struct sc_connect_options *opt, int fd)
{
	int file = conn->lane->session->ops->file_add(conn->lane, sc_conn_slot(conn), fd), flags;

	if (file < 0)
		return sc_reason_set(file, "%s port %u: the engine did not take the socket: %s",
				     opt->address ? opt->address : "connected socket", opt->port, strerror(-file));
	flags = fcntl(fd, F_GETFL);
	if (flags & O_NONBLOCK) /* else requests end with EAGAIN instead of waiting */
		(void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	conn->file = file;
	conn->connecting = true;
	if (conn->connect && opt->timeout_ms)
		sc_conn_want(conn, OP_TIMEOUT);
	sc_conn_want(conn, OP_CONNECT);
	return 0;
}

static int conn_start(struct sc_session *session, const struct sc_connect_options *opt, const struct address *to,
		      int fd, struct sc_conn **ret_conn)
{
	struct sc_conn *conn = sc_session_conn_get(session);
	int err;

	if (!conn)
		return -ENOSPC;
	err = connect_prepare(conn, opt, to);
	if (!err)
		err = hand_over(conn, opt, fd);
	if (err) {
		if (conn->connect)
			sc_arena_free(&session->arena, conn->connect);
		sc_lane_conn_put(conn);
		return err;
	}
	*ret_conn = conn;
	return 0;
}

int sc_connect(struct sc_session *session, const struct sc_connect_options *options, struct sc_conn **ret_conn)
{
	struct sc_connect_options opt = SC_CONNECT_OPTIONS_INIT;
	struct address to = { 0 };
	int err, fd;

	if (session->lost)
		return sc_session_refuse(session);
	err = options_copy(options, &opt);
	if (!err && opt.address)
		err = sc_address_parse(opt.address, opt.port, &to);
	if (err)
		return err;
	fd = opt.fd < 0 ? socket_make(&opt, &to) : opt.fd;
	if (fd < 0)
		return fd;
	if (opt.fd >= 0)
		err = socket_check(fd, !opt.address);
	if (!err && opt.address)
		err = local_bind(fd, &opt, &to);
	if (!err && to.addr.ss_family == AF_UNIX)
		err = unix_connect(fd, &opt, &to);
	if (!err)
		err = conn_start(session, &opt, &to, fd, ret_conn);
	if (!err || opt.fd < 0)
		(void)close(fd);
	return err;
}

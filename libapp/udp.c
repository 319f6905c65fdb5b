// SPDX-License-Identifier: MIT
/*
 * Datagram sockets: each datagram with the address it came from or goes to, several under way at a time.
 *
 * A received datagram lies in its buffer behind a header, the peer's address and a control message, all of fixed room. A send has one
 * of UDP_SENDS places, taken in turn, so that requests go into the queue in the order of the calls.
 */
#include "udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reason.h"
#include "session.h"
#include "socket.h"

enum { UDP_SENDS = 32, NAME_ROOM = 32, CONTROL_ROOM = CMSG_SPACE(sizeof(uint32_t)) };
enum { PAYLOAD = sizeof(struct io_uring_recvmsg_out) + NAME_ROOM + CONTROL_ROOM };
_Static_assert(NAME_ROOM >= sizeof(struct sockaddr_in6), "either family's address");
_Static_assert(PAYLOAD + 64 <= SC_BUF_LEN_MIN, "the smallest buffer holds something");

/* What requests point to, in the arena. Who scribbles over it spoils the datagrams of this session. */
struct udp_shared {
	struct msghdr recv;
	struct {
		struct msghdr msg;
		struct iovec piece[SEND_PIECES];
		struct sockaddr_in6 to;
	} send[UDP_SENDS];
};

struct udp {
	struct udp_shared *shared;
	struct send *sends[UDP_SENDS]; /* NULL: the place is free */
	uint32_t asked, submitted; /* sends so far: the place of the next is its number modulo UDP_SENDS */
	unsigned int flying;
	uint32_t drops; /* that the kernel has told of */
};

/* --- receiving --- */

void sc_udp_recv_prep(const struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	io_uring_prep_recvmsg_multishot(
		sqe, conn->file, (void *)(uintptr_t)sc_session_addr(conn->lane->session, &conn->udp->shared->recv), 0);
}

/* The kernel counts what found no room in the socket, and says so with the next datagram that did. */
static void drops_count(struct sc_conn *conn, const char *control, size_t len)
{
	struct cmsghdr header;
	uint32_t drops;

	if (len < CMSG_LEN(sizeof(drops)))
		return;
	memcpy(&header, control, sizeof(header));
	if (header.cmsg_level != SOL_SOCKET || header.cmsg_type != SO_RXQ_OVFL)
		return;
	memcpy(&drops, control + CMSG_LEN(0), sizeof(drops));
	conn->lane->session->counters.datagrams_dropped += drops - conn->udp->drops;
	conn->udp->drops = drops;
}

/* Few buffers left: address and datagram move to the arena. */
static char *copy_out(struct lane *lane, char *buf, size_t len, const struct sockaddr **addr)
{
	size_t at = (len + 7) & ~(size_t)7;
	char *copy = sc_lane_bufs_few(lane) ? sc_arena_alloc(&lane->session->arena, at + NAME_ROOM) : NULL;

	if (!copy)
		return buf + PAYLOAD;
	memcpy(copy, buf + PAYLOAD, len);
	memcpy(copy + at, *addr, NAME_ROOM);
	*addr = (const struct sockaddr *)(copy + at);
	sc_lane_buf_put(lane, buf);
	lane->session->counters.recv_copied++;
	return copy;
}

bool sc_udp_recv(struct sc_conn *conn, void *data, size_t *len, struct sink *sink)
{
	char *buf = data, *name = buf + sizeof(struct io_uring_recvmsg_out);
	const struct sockaddr *addr = (const struct sockaddr *)name;
	struct io_uring_recvmsg_out out;
	struct sc_event *event;

	if (*len < PAYLOAD) {
		sc_lane_buf_put(conn->lane, buf);
		*len = 0;
		return false;
	}
	memcpy(&out, buf, sizeof(out));
	drops_count(conn, name + NAME_ROOM, out.controllen);
	*len -= PAYLOAD;
	event = sc_event_add(sink, SC_EVENT_RECV, conn);
	event->data = copy_out(conn->lane, buf, *len, &addr);
	event->len = *len;
	event->addr = addr;
	event->addr_len = out.namelen < NAME_ROOM ? out.namelen : NAME_ROOM;
	if (out.flags & MSG_TRUNC) {
		event->flags = SC_EVENT_TRUNCATED;
		conn->lane->session->counters.datagrams_truncated++;
	}
	return true;
}

/* --- sending --- */

bool sc_udp_waits(const struct sc_conn *conn)
{
	return conn->udp->submitted != conn->udp->asked;
}

bool sc_udp_busy(const struct sc_conn *conn)
{
	return conn->udp->flying || sc_udp_waits(conn);
}

uint64_t sc_udp_tag(const struct sc_conn *conn)
{
	return (uint64_t)((conn->udp->submitted - 1) % UDP_SENDS) << 48;
}

void sc_udp_send_prep(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	struct udp *udp = conn->udp;
	struct msghdr *msg = &udp->shared->send[udp->submitted++ % UDP_SENDS].msg;

	udp->flying++;
	io_uring_prep_sendmsg(sqe, conn->file, (void *)(uintptr_t)sc_session_addr(conn->lane->session, msg), 0);
	sc_lane_use_file(conn->lane, sqe);
}

/* A completion that another process has made up finds no such send, or ends one early: that is all. */
static bool in_flight(const struct udp *udp, uint32_t nr)
{
	return nr < UDP_SENDS && udp->sends[nr] && (nr - udp->submitted) % UDP_SENDS >= udp->asked - udp->submitted;
}

void sc_udp_complete(struct sc_conn *conn, const struct io_uring_cqe *cqe, struct sink *sink)
{
	struct udp *udp = conn->udp;
	uint32_t nr = sc_tag_nr(cqe->user_data);
	int res = cqe->res;
	struct send *send;

	if (!in_flight(udp, nr))
		return;
	send = udp->sends[nr];
	udp->sends[nr] = NULL;
	if (!--udp->flying)
		conn->inflight &= (uint16_t)~OP_SENDTO;
	if (res >= 0)
		conn->lane->session->counters.sent += send->len;
	else if (res == -EINTR && conn->close_now) /* cancelled in a thread of the kernel's */
		res = -ECANCELED;
	sc_lane_send_tell(conn->lane, send, res < 0 ? res : (int)send->len, sink);
	sc_conn_close_step(conn);
}

void sc_udp_cancel(struct sc_conn *conn)
{
	struct udp *udp = conn->udp;

	for (uint32_t nth = udp->submitted; nth != udp->asked; nth++) {
		sc_lane_send_done(conn->lane, udp->sends[nth % UDP_SENDS], -ECANCELED);
		udp->sends[nth % UDP_SENDS] = NULL;
	}
	udp->asked = udp->submitted;
	conn->want &= (uint16_t)~OP_SENDTO;
	if (udp->flying)
		sc_conn_cancel(conn, OP_SENDTO);
}

static int to_check(const struct sc_conn *conn, const struct sockaddr *addr, socklen_t addr_len)
{
	if (conn->lane->session->lost)
		return sc_session_refuse(conn->lane->session);
	if (!conn->datagram)
		return sc_refuse(-EPROTOTYPE, "sendto: not a datagram socket: use sc_send");
	if (!addr || addr_len < sizeof(sa_family_t) || addr_len > sizeof(struct sockaddr_in6))
		return sc_refuse(-EDESTADDRREQ, "sendto: no address of IPv4 or IPv6: give the receiver's");
	if (!conn->closing && conn->udp->sends[conn->udp->asked % UDP_SENDS])
		return sc_refuse(-EAGAIN,
				 "sendto: as many datagrams as there may be are under way: wait for SC_EVENT_SENT");
	return 0;
}

int sc_sendtov(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, const struct sockaddr *addr,
	       socklen_t addr_len, uint64_t tag)
{
	struct send *send;
	struct udp *udp;
	uint32_t nr;
	int err = to_check(conn, addr, addr_len);

	if (!err)
		err = sc_send_new(conn, iov, cnt, tag, &send);
	if (err)
		return err;
	udp = conn->udp;
	nr = udp->asked++ % UDP_SENDS;
	udp->sends[nr] = send;
	memcpy(udp->shared->send[nr].piece, send->piece, cnt * sizeof(*send->piece));
	memcpy(&udp->shared->send[nr].to, addr, addr_len);
	udp->shared->send[nr].msg = (struct msghdr){
		.msg_name = (void *)(uintptr_t)sc_session_addr(conn->lane->session, &udp->shared->send[nr].to),
		.msg_namelen = addr_len,
		.msg_iov = (void *)(uintptr_t)sc_session_addr(conn->lane->session, udp->shared->send[nr].piece),
		.msg_iovlen = cnt,
	};
	sc_conn_want(conn, OP_SENDTO);
	return 0;
}

int sc_sendto(struct sc_conn *conn, const void *data, size_t len, const struct sockaddr *addr, socklen_t addr_len,
	      uint64_t tag)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };

	return sc_sendtov(conn, &iov, !!len, addr, addr_len, tag);
}

/* --- opening and closing --- */

void sc_udp_free(struct sc_conn *conn)
{
	sc_arena_free(&conn->lane->session->arena, conn->udp->shared);
	free(conn->udp);
	conn->udp = NULL;
}

static int udp_init(struct sc_conn *conn)
{
	struct udp_shared *shared = sc_arena_alloc(&conn->lane->session->arena, sizeof(*shared));

	conn->udp = calloc(1, sizeof(*conn->udp));
	if (!conn->udp || !shared) {
		if (shared)
			sc_arena_free(&conn->lane->session->arena, shared);
		free(conn->udp);
		return sc_reason_set(-ENOMEM, "datagram socket: no %zu bytes in the arena, or out of memory: free some",
				     sizeof(*shared));
	}
	shared->recv = (struct msghdr){ .msg_namelen = NAME_ROOM, .msg_controllen = CONTROL_ROOM };
	conn->udp->shared = shared;
	conn->datagram = true;
	return 0;
}

static int udp_start(struct sc_conn *conn, const struct address *address, const char *text, uint16_t port)
{
	struct lane *lane = conn->lane;
	int fd = sc_socket_bound(lane, SOCK_DGRAM, address, text, port), one = 1;

	if (fd < 0)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one));
	conn->file = lane->session->ops->file_add(lane, sc_conn_slot(conn), fd);
	(void)close(fd);
	if (conn->file < 0)
		return sc_reason_set(conn->file, "%s port %u: the engine did not take the socket: %s", text, port,
				     strerror(-conn->file));
	sc_recv_next(conn);
	return 0;
}

int sc_udp_open(struct sc_session *session, const char *text, uint16_t port, struct sc_conn **ret_conn)
{
	struct address address;
	struct sc_conn *conn;
	int err;

	if (session->lost)
		return sc_session_refuse(session);
	err = sc_address_parse(text, port, &address);
	if (err)
		return err;
	if (address.addr.ss_family == AF_UNIX)
		return sc_reason_set(-EAFNOSUPPORT, "%s: datagrams are of IPv4 and IPv6: use a stream socket", text);
	conn = sc_session_conn_get(session);
	if (!conn)
		return -ENOSPC;
	err = udp_init(conn);
	if (!err) {
		err = udp_start(conn, &address, text, port);
		if (err)
			sc_udp_free(conn);
	}
	if (err) {
		sc_lane_conn_put(conn);
		return err;
	}
	*ret_conn = conn;
	return 0;
}

// SPDX-License-Identifier: MIT
/* Attacks on the control socket, on the channel's memory and, by forged requests, on the engine's own descriptors. */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attack.h"

enum {
	ENGINE_BROKER_FD = 3, /* where an engine keeps its socket to the broker */
	ENGINE_FDS = 40, /* its descriptors lie below */
	REPORT_MAGIC = 0x54504552, /* of what an engine tells the broker */
	HANDOVER_MAGIC = 0x4f444e48,
};

static const char *succeeded;

const char *attack_succeeded(void)
{
	return succeeded;
}

/* --- the channel's memory --- */

static const struct sc_lane *lane_of(const struct session *session, struct chance *chance)
{
	return &session->header.lane[chance_below(chance, session->header.lane_cnt)];
}

static unsigned int *word(const struct session *session, __u64 off)
{
	return (unsigned int *)(session->mem + off);
}

/* The engine's addresses: inside the channel, at its edges, in its program, in the kernel, nowhere. */
static __u64 address(const struct session *session, struct chance *chance)
{
	switch (chance_below(chance, 6)) {
	case 0:
		return session->header.base + session->len - chance_below(chance, 64);
	case 1:
		return chance_next(chance) >> 17;
	case 2:
		return 0x555555554000 + ((__u64)chance_below(chance, 1 << 20) << 12);
	case 3:
		return 0xffff888000000000 + chance_next(chance) % (1ULL << 34);
	default:
		return session->header.base + chance_next(chance) % session->len;
	}
}

static void scribble(char *mem, size_t len, struct chance *chance)
{
	for (size_t at = 0; at + 8 <= len; at += 8)
		*(__u64 *)(mem + at) = chance_next(chance);
}

static void forge(struct io_uring_sqe *sqe, const struct session *session, struct chance *chance)
{
	static const __u8 ops[] = {
		IORING_OP_NOP,		IORING_OP_ACCEPT,
		IORING_OP_SEND,		IORING_OP_SENDMSG,
		IORING_OP_SEND_ZC,	IORING_OP_RECV,
		IORING_OP_CLOSE,	IORING_OP_SHUTDOWN,
		IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD,
		IORING_OP_MSG_RING,	IORING_OP_CONNECT,
		IORING_OP_TIMEOUT,	IORING_OP_FIXED_FD_INSTALL,
		IORING_OP_RECVMSG,	IORING_OP_READ,
		IORING_OP_WRITE,
	};

	scribble((char *)sqe, sizeof(*sqe), chance);
	if (!chance_below(chance, 8))
		return; /* pure noise */
	sqe->opcode = chance_below(chance, 16) ? ops[chance_below(chance, sizeof(ops))] :
						 (__u8)chance_below(chance, 80);
	sqe->flags = chance_below(chance, 2) ? IOSQE_FIXED_FILE : (__u8)chance_next(chance);
	sqe->ioprio = (__u16)(chance_below(chance, 2) ? chance_below(chance, 16) : 0);
	sqe->fd = (int)(chance_below(chance, 8) ? chance_below(chance, ENGINE_FDS) : chance_odd_number(chance));
	sqe->addr = sqe->opcode == IORING_OP_MSG_RING ? chance_below(chance, 3) : address(session, chance);
	sqe->addr2 = chance_below(chance, 2) ? 0 : address(session, chance);
	sqe->len = chance_below(chance, 2) ? chance_below(chance, 8192) : chance_odd_number(chance);
	sqe->msg_flags = chance_below(chance, 2) ? 0 : chance_odd_number(chance);
	sqe->personality = 0;
	sqe->file_index = chance_below(chance, 2) ? chance_below(chance, 32) : chance_odd_number(chance);
	sqe->addr3 = 0;
	sqe->__pad2[0] = 0;
	if (chance_below(chance, 2))
		sqe->buf_group = SC_BUF_GROUP;
}

static void ring_doorbell(const struct session *session, eventfd_t value)
{
	for (unsigned int fd = 2; fd < session->fd_cnt; fd += 2)
		(void)eventfd_write(session->fds[fd], value);
}

/* Where the tail goes: some new requests, or a jump ahead or back. */
static void move_tail(const struct session *session, const struct sc_lane *lane, struct chance *chance)
{
	unsigned int *tail = word(session, lane->sq_tail_off);
	unsigned int to = chance_below(chance, 4) ? *tail + chance_below(chance, lane->sq_entries + 1) :
						    *tail + chance_odd_number(chance);

	__atomic_store_n(tail, to, __ATOMIC_RELEASE);
	ring_doorbell(session, 1);
}

static void forged_requests(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);
	struct io_uring_sqe *sqes = (struct io_uring_sqe *)(session->mem + lane->sqes_off);

	for (unsigned int i = 0; i < lane->sq_entries; i++)
		forge(&sqes[i], session, chance);
	move_tail(session, lane, chance);
}

/* The poller reads a request while it changes. */
static void changing_requests(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);
	struct io_uring_sqe *sqes = (struct io_uring_sqe *)(session->mem + lane->sqes_off);

	move_tail(session, lane, chance);
	for (int i = 0; i < 2000; i++)
		forge(&sqes[chance_below(chance, lane->sq_entries)], session, chance);
}

static void wild_indexes(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);
	const __u64 offs[] = { lane->sq_head_off, lane->sq_tail_off, lane->sq_flags_off,
			       lane->cq_head_off, lane->cq_tail_off, lane->cq_flags_off };
	unsigned int *at = word(session, offs[chance_below(chance, sizeof(offs) / sizeof(*offs))]);

	__atomic_store_n(at, *at + chance_odd_number(chance), __ATOMIC_RELEASE);
	ring_doorbell(session, 1);
}

static void wild_buffers(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);
	struct io_uring_buf_ring *ring = (struct io_uring_buf_ring *)(session->mem + lane->buf_ring_off);

	for (unsigned int i = 0; i < lane->buf_cnt; i++) {
		ring->bufs[i].addr = address(session, chance);
		ring->bufs[i].len = chance_odd_number(chance);
		ring->bufs[i].bid = (__u16)chance_next(chance);
	}
	__atomic_store_n(&ring->tail, (__u16)chance_next(chance), __ATOMIC_RELEASE);
}

static void scribbled_header(struct session *session, struct chance *chance)
{
	scribble(session->mem, 4096, chance);
}

/* The kernel's own struct io_rings and its completions lie before the first SQE. */
static void scribbled_rings(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);

	scribble(session->mem + 4096, lane->sqes_off - 4096, chance);
	ring_doorbell(session, 1);
}

static void scribbled_channel(struct session *session, struct chance *chance)
{
	scribble(session->mem + chance_below(chance, (__u32)session->len - 4096) / 8 * 8, 4096, chance);
}

static void resized_channel(struct session *session, struct chance *chance)
{
	int memfd = session->fds[0];

	if (!ftruncate(memfd, (off_t)chance_below(chance, 2) * (off_t)session->len * 2))
		succeeded = "ftruncate of the channel";
	if (!fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE) || !fcntl(memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		succeeded = "a further seal on the channel";
	if (!fallocate(memfd, 0, (off_t)session->len, 4096))
		succeeded = "fallocate beyond the channel";
}

/* Allowed to the owner of memory: pages vanish under the service, which reads zeros then. */
static void punched_channel(struct session *session, struct chance *chance)
{
	off_t at = chance_below(chance, (__u32)(session->len / 4096)) * 4096L;

	(void)fallocate(session->fds[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 65536);
}

/* --- the engine's own descriptors --- */

static struct io_uring_sqe *next_request(const struct session *session, const struct sc_lane *lane)
{
	struct io_uring_sqe *sqes = (struct io_uring_sqe *)(session->mem + lane->sqes_off);
	struct io_uring_sqe *sqe = &sqes[*word(session, lane->sq_tail_off) & (lane->sq_entries - 1)];

	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

static void submit(const struct session *session, const struct sc_lane *lane)
{
	unsigned int *tail = word(session, lane->sq_tail_off);

	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	ring_doorbell(session, 1);
}

/* The engine's report on ended sessions, as nobody asked for it. */
static void forged_report(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);
	struct io_uring_sqe *sqe = next_request(session, lane);
	__u32 *report = (__u32 *)(session->mem + session->header.arena_off);

	report[0] = chance_below(chance, 4) ? REPORT_MAGIC : HANDOVER_MAGIC;
	report[1] = chance_odd_number(chance);
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = ENGINE_BROKER_FD;
	sqe->addr = session->header.base + session->header.arena_off;
	sqe->len = chance_below(chance, 4) ? 8 : chance_below(chance, 64);
	submit(session, lane);
}

/* Any of the engine's descriptors, sent to the broker. */
static void descriptors_to_broker(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);
	struct io_uring_sqe *sqe = next_request(session, lane);
	__u64 arena = session->header.base + session->header.arena_off;
	struct {
		struct msghdr hdr;
		struct iovec iov;
		__u32 report[2];
		union {
			char bytes[CMSG_SPACE(8 * sizeof(int))];
			struct cmsghdr header;
		} control;
	} *at = (void *)(session->mem + session->header.arena_off);
	int fds[8];

	for (unsigned int i = 0; i < 8; i++)
		fds[i] = (int)chance_below(chance, ENGINE_FDS);
	memset(at, 0, sizeof(*at));
	at->report[0] = REPORT_MAGIC;
	at->report[1] = 1;
	at->iov.iov_base = (void *)(arena + ((char *)at->report - (char *)at));
	at->iov.iov_len = sizeof(at->report);
	at->hdr.msg_iov = (void *)(arena + ((char *)&at->iov - (char *)at));
	at->hdr.msg_iovlen = 1;
	at->hdr.msg_control = (void *)(arena + ((char *)&at->control - (char *)at));
	at->hdr.msg_controllen = CMSG_SPACE(sizeof(int) * (1 + chance_below(chance, 8)));
	at->control.header.cmsg_level = SOL_SOCKET;
	at->control.header.cmsg_type = SCM_RIGHTS;
	at->control.header.cmsg_len = at->hdr.msg_controllen;
	memcpy(CMSG_DATA(&at->control.header), fds, sizeof(fds));
	sqe->opcode = IORING_OP_SENDMSG;
	sqe->fd = ENGINE_BROKER_FD;
	sqe->addr = arena;
	submit(session, lane);
}

static void closed_descriptors(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);
	struct io_uring_sqe *sqe = next_request(session, lane);

	sqe->opcode = chance_below(chance, 2) ? IORING_OP_CLOSE : IORING_OP_SHUTDOWN;
	sqe->fd = (int)chance_below(chance, ENGINE_FDS);
	submit(session, lane);
}

/* The engine hears no more of its apps, of the broker or of both, and so not of their ends. */
static void deafened(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);

	for (int fd = ENGINE_BROKER_FD + (int)chance_below(chance, 3); fd < ENGINE_FDS; fd++) {
		struct io_uring_sqe *sqe = next_request(session, lane);

		sqe->opcode = IORING_OP_CLOSE;
		sqe->fd = fd;
		submit(session, lane);
	}
}

/* What the broker says to the engine next, descriptors included, goes nowhere. */
static void stolen_handover(struct session *session, struct chance *chance)
{
	const struct sc_lane *lane = lane_of(session, chance);
	struct io_uring_sqe *sqe = next_request(session, lane);

	sqe->opcode = IORING_OP_RECV;
	sqe->fd = ENGINE_BROKER_FD;
	sqe->addr = session->header.base + session->header.arena_off;
	sqe->len = 64;
	submit(session, lane);
}

/* --- the control socket --- */

static void wild_message(struct session *session, struct chance *chance)
{
	char noise[512];
	size_t len = chance_below(chance, 2) ? sizeof(struct sc_ctl_msg) : chance_below(chance, sizeof(noise));

	scribble(noise, sizeof(noise), chance);
	session_send(session, noise, len, NULL, 0);
	session_reply(session);
}

/* Right but for one field. */
static void altered_message(struct session *session, struct chance *chance)
{
	struct sc_ctl_msg msg = session_message(SC_CTL_HELLO + chance_below(chance, SC_CTL_SEGMENT_DEL + 1));

	((__u32 *)&msg)[chance_below(chance, sizeof(msg) / sizeof(__u32))] = chance_odd_number(chance);
	session_send(session, &msg, sizeof(msg), NULL, 0);
	session_reply(session);
}

static void second_hello(struct session *session, struct chance *chance)
{
	session_hello(session, chance);
}

static int odd_descriptor(const struct session *session, struct chance *chance)
{
	int pair[2] = { -1, -1 };

	switch (chance_below(chance, 10)) {
	case 0:
		(void)!pipe2(pair, O_CLOEXEC);
		break;
	case 1:
		(void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
		break;
	case 2:
		return dup(session->ctl); /* a socket that holds itself */
	case 3:
		return dup(session->fds[0]);
	case 4:
		return open("/proc/self/exe", O_PATH | O_CLOEXEC);
	case 8:
		return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	case 9:
		return open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	case 5:
		return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	case 6:
		return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	default:
		return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	(void)close(pair[1]);
	return pair[0];
}

static void odd_files(struct session *session, struct chance *chance)
{
	struct sc_ctl_msg msg = session_message(SC_CTL_FILE_ADD);
	unsigned int cnt = chance_below(chance, 4) ? 1 : chance_below(chance, SESSION_FDS_MAX);
	int fds[SESSION_FDS_MAX];

	for (unsigned int i = 0; i < cnt; i++)
		fds[i] = odd_descriptor(session, chance);
	msg.lane = chance_below(chance, 4) ? 0 : chance_odd_number(chance);
	msg.slot = chance_below(chance, 4) ? chance_below(chance, SC_SLOT_CONNS + 64) : chance_odd_number(chance);
	session_send(session, &msg, sizeof(msg), fds, cnt);
	for (unsigned int i = 0; i < cnt; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	session_reply(session);
}

/* A descriptor that the engine did not get from an app. */
static bool engines_own(int fd)
{
	socklen_t len = sizeof(int);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) || (type != SOCK_STREAM && type != SOCK_DGRAM);
}

static void taken_files(struct session *session, struct chance *chance)
{
	struct sc_ctl_msg msg = session_message(SC_CTL_FILE_TAKE);
	int fd;

	msg.slot = chance_below(chance, 4) ? chance_below(chance, ENGINE_FDS) : chance_odd_number(chance);
	session_send(session, &msg, sizeof(msg), NULL, 0);
	fd = session_take(session);
	if (fd < 0)
		return;
	if (engines_own(fd))
		succeeded = "taking a descriptor of the engine's own";
	(void)close(fd);
}

/* Added, written to, taken away while requests may use them, never, or twice. Few are real: memory is the machine's. */
static void odd_segments(struct session *session, struct chance *chance)
{
	struct sc_ctl_msg msg = session_message(chance_below(chance, 2) ? SC_CTL_SEGMENT_ADD : SC_CTL_SEGMENT_DEL);

	msg.slot = chance_below(chance, 4) ? chance_below(chance, 4) : chance_odd_number(chance);
	if (msg.type == SC_CTL_SEGMENT_ADD)
		msg.mem_len = chance_below(chance, 4) ? (1 + chance_below(chance, 64)) * 4096ULL :
							chance_next(chance) >> chance_below(chance, 64);
	session_send(session, &msg, sizeof(msg), NULL, 0);
	session_reply(session);
}

static void kick_flood(struct session *session, struct chance *chance)
{
	struct sc_ctl_msg msg = session_message(SC_CTL_KICK);

	for (unsigned int i = chance_below(chance, 1000); i && session->ctl >= 0; i--)
		session_send(session, &msg, sizeof(msg), NULL, 0); /* replies are not read */
}

static void doorbell_flood(struct session *session, struct chance *chance)
{
	for (unsigned int i = chance_below(chance, 1000); i; i--)
		ring_doorbell(session, 1 + chance_below(chance, 2) * 0xfffffffeULL);
}

/* A child keeps all that this process has for a while after its death. */
static void heir(struct session *session, struct chance *chance)
{
	pid_t pid;

	(void)session;
	if (chance_below(chance, 8))
		return;
	pid = fork();
	if (pid)
		return;
	(void)usleep(300000);
	_exit(0);
}

static void (*const without_channel[])(struct session *, struct chance *) = { wild_message, altered_message };

static void (*const with_channel[])(struct session *, struct chance *) = {
	forged_requests,
	forged_requests,
	forged_requests,
	changing_requests,
	wild_indexes,
	wild_buffers,
	wild_buffers,
	scribbled_header,
	scribbled_rings,
	scribbled_channel,
	resized_channel,
	punched_channel,
	forged_report,
	wild_message,
	altered_message,
	descriptors_to_broker,
	closed_descriptors,
	second_hello,
	odd_files,
	odd_files,
	deafened,
	stolen_handover,
	taken_files,
	taken_files,
	odd_segments,
	odd_segments,
	kick_flood,
	doorbell_flood,
	heir,
};

#define pick(list, chance) ((list)[chance_below(chance, sizeof(list) / sizeof(*(list)))])

void attack(struct session *session, struct chance *chance)
{
	if (session->mem)
		pick(with_channel, chance)(session, chance);
	else if (chance_below(chance, 4))
		session_hello(session, chance);
	else
		pick(without_channel, chance)(session, chance);
}

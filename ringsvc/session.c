// SPDX-License-Identifier: MIT
// Serves the control messages of one app.
#include "session.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "ctl.h"
#include "lane.h"
#include "layout.h"
#include "request.h"

// Descriptors on their way to the app: memfd, then two per lane.
struct parcel {
	int fds[SC_CTL_FDS_MAX];
	unsigned int cnt;
};

void sc_session_init(struct sc_session *session, __u32 id, int ctl, int pidfd)
{
	*session = (struct sc_session){ .id = id, .ctl = ctl, .pidfd = pidfd };
}

static void close_channel(struct sc_session *session)
{
	for (unsigned int i = 0; i < session->lane_cnt; i++)
		sc_lane_close(session->rings[i], session->slot_cnt);
	if (session->len)
		(void)munmap(session->base, session->len);
	sc_segments_exit(&session->segments);
	session->lane_cnt = 0;
	session->len = 0;
}

// What an app made and was given lies among our descriptors, in places only it knows.
static void close_all_but(int a, int b)
{
	int first = a < b ? a : b, second = a < b ? b : a;

	if (first + 1 < second)
		(void)close_range(first + 1, second - 1, 0);
	(void)close_range(second + 1, ~0U, 0);
}

void sc_session_exit_last(struct sc_session *session, int broker_fd)
{
	close_channel(session);
	close_all_but(session->ctl, broker_fd);
	(void)close(session->ctl);
}

void sc_session_exit(struct sc_session *session)
{
	close_channel(session);
	(void)close(session->pidfd);
	(void)close(session->ctl); // the app, if it lives, sees its end last
	session->ctl = -1;
}

static enum sc_refusal lane_reason(int err)
{
	return err == -ENOMEM ? SC_REFUSED_MEMLOCK : SC_REFUSED_RING;
}

static int open_lanes(struct sc_session *session, struct sc_cores *cores, const struct sc_wish *wish,
		      const struct sc_layout *layout, struct parcel *parcel, enum sc_refusal *ret_reason)
{
	struct sc_channel *channel = (void *)session->base;
	struct sc_lane_place place = {
		.base = session->base,
		.layout = layout,
		.wish = wish,
		.idle_ms = cores->config->idle_ms,
	};
	unsigned int first = sc_cores_first(cores, wish->lane_cnt), core;
	struct sc_lane_fds fds;
	struct sc_lane lane;
	int err;

	for (unsigned int i = 0; i < wish->lane_cnt; i++) {
		core = (first + i) % cores->config->cpu_cnt;
		place.idx = i;
		place.anchor = sc_cores_anchor(cores, core);
		if (place.anchor < 0) {
			*ret_reason = place.anchor == -EINVAL ? SC_REFUSED_CPU : lane_reason(place.anchor);
			return place.anchor;
		}
		err = sc_lane_open(&place, &lane, &fds);
		if (err) {
			*ret_reason = lane_reason(err);
			return err;
		}
		lane.cpu = cores->config->cpus[core];
		channel->lane[i] = lane;
		session->rings[session->lane_cnt++] = fds.ring;
		parcel->fds[parcel->cnt++] = fds.completion;
		parcel->fds[parcel->cnt++] = fds.doorbell;
	}
	return 0;
}

static void fill_header(const struct sc_session *session, const struct sc_cores *cores, const struct sc_layout *layout)
{
	struct sc_channel *channel = (void *)session->base;

	channel->magic = SC_CHANNEL_MAGIC;
	channel->version = SC_ABI_VERSION;
	channel->lane_cnt = session->lane_cnt;
	channel->header_len = sizeof(*channel);
	channel->features = cores->config->features;
	channel->channel_len = layout->channel_len;
	channel->base = (unsigned long)session->base;
	channel->arena_off = layout->arena_off;
	channel->arena_len = layout->arena_len;
	channel->conn_cnt = session->conn_cnt;
}

static int open_channel(struct sc_session *session, struct sc_cores *cores, const struct sc_ctl_msg *hello,
			struct parcel *parcel, enum sc_refusal *ret_reason)
{
	struct sc_layout layout;
	struct sc_wish wish;
	int memfd, err;

	*ret_reason = SC_REFUSED_LIMIT;
	err = sc_request_wish(hello, cores->config->cpu_cnt, &wish);
	if (err)
		return err;
	err = sc_layout_init(&wish, sysconf(_SC_PAGESIZE), &layout);
	if (err)
		return err;
	*ret_reason = SC_REFUSED_MEMORY;
	memfd = sc_channel_create(layout.channel_len, &session->base);
	if (memfd < 0)
		return memfd;
	parcel->fds[parcel->cnt++] = memfd;
	session->len = layout.channel_len;
	session->conn_cnt = wish.conn_cnt;
	session->slot_cnt = sc_wish_slot_cnt(&wish);
	err = open_lanes(session, cores, &wish, &layout, parcel, ret_reason);
	if (err)
		return err;
	fill_header(session, cores, &layout);
	return 0;
}

static bool refuse(struct sc_session *session, enum sc_ctl_type type, int status, enum sc_refusal reason)
{
	sc_ctl_refuse(session->ctl, type, status, reason);
	return false;
}

static bool serve_hello(struct sc_session *session, struct sc_cores *cores, const struct sc_ctl_msg *hello)
{
	struct sc_ctl_msg reply = {
		.magic = SC_CTL_MAGIC,
		.version = SC_ABI_VERSION,
		.type = SC_CTL_HELLO | SC_CTL_REPLY,
	};
	enum sc_refusal reason;
	struct parcel parcel = { .cnt = 0 };
	int err;

	err = open_channel(session, cores, hello, &parcel, &reason);
	if (!err) {
		reply.mem_len = session->len;
		reply.lane_cnt = session->lane_cnt;
		err = sc_ctl_send(session->ctl, &reply, sizeof(reply), parcel.fds, parcel.cnt);
		reason = SC_REFUSED_NONE;
	}
	// The app has its copies; the kernel keeps the eventfds for the ring, the mapping keeps the memory
	sc_ctl_close_all(parcel.fds, parcel.cnt);
	if (!err)
		return true;
	close_channel(session);
	return refuse(session, SC_CTL_HELLO, err, reason);
}

// A ring may hold what the app could use itself: sockets. Anything else has no business there.
static int check_socket(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);
	struct stat st;

	if (fstat(fd, &st) || !S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
		return -errno;
	if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
		return -EAFNOSUPPORT;
	return type == SOCK_STREAM || type == SOCK_DGRAM ? 0 : -ESOCKTNOSUPPORT;
}

// What the app reads from it goes into its own channel.
static int check_regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

// With SC_CHANNEL_DESCRIPTORS the engine keeps the descriptor until it ends, which is when its only session ends, or until
// the app closes it by a request.
static int take_file(struct sc_session *session, const struct sc_cores *cores, const struct sc_ctl_msg *msg, int *fd,
		     __u32 *ret_slot)
{
	bool regular = msg->slot >= SC_SLOT_FILES && msg->slot < SC_SLOT_CONNS;
	int err = regular ? check_regular(*fd) : check_socket(*fd);

	if (err)
		return err;
	*ret_slot = msg->slot;
	if (!(cores->config->features & SC_CHANNEL_DESCRIPTORS))
		return sc_lane_file_add(session->rings[msg->lane], msg->slot, *fd);
	*ret_slot = *fd;
	*fd = -1;
	return 0;
}

static bool serve_file_add(struct sc_session *session, const struct sc_cores *cores, const struct sc_ctl_msg *msg,
			   int *fd)
{
	struct sc_ctl_msg reply = {
		.magic = SC_CTL_MAGIC,
		.version = SC_ABI_VERSION,
		.type = SC_CTL_FILE_ADD | SC_CTL_REPLY,
	};

	if (msg->lane >= session->lane_cnt || msg->slot < SC_SLOT_LISTENERS ||
	    msg->slot >= SC_SLOT_CONNS + session->conn_cnt) {
		reply.status = -EINVAL;
		reply.reason = SC_REFUSED_LIMIT;
	} else {
		reply.status = take_file(session, cores, msg, fd, &reply.slot);
	}
	return !sc_ctl_send(session->ctl, &reply, sizeof(reply), NULL, 0);
}

// An app could have any socket of its engine sent to it by a request; this is the way that costs it no memory in the channel.
static bool serve_file_take(struct sc_session *session, const struct sc_cores *cores, const struct sc_ctl_msg *msg)
{
	struct sc_ctl_msg reply = {
		.magic = SC_CTL_MAGIC,
		.version = SC_ABI_VERSION,
		.type = SC_CTL_FILE_TAKE | SC_CTL_REPLY,
	};
	int fd = msg->slot, err = check_socket(fd);

	if (err)
		return !sc_ctl_reply(session->ctl, SC_CTL_FILE_TAKE, err, SC_REFUSED_NONE);
	err = sc_ctl_send(session->ctl, &reply, sizeof(reply), &fd, 1);
	if (!(cores->config->features & SC_CHANNEL_DESCRIPTORS))
		(void)close(fd);
	return !err;
}

static bool serve_kick(struct sc_session *session, const struct sc_ctl_msg *msg)
{
	if (msg->lane >= session->lane_cnt)
		return !sc_ctl_reply(session->ctl, SC_CTL_KICK, -EINVAL, SC_REFUSED_LIMIT);
	return !sc_ctl_reply(session->ctl, SC_CTL_KICK, sc_lane_kick(session->rings[msg->lane]), SC_REFUSED_NONE);
}

// Before Linux 6.13 a registered buffer, like a slot's file, is not given up while any older request of the ring is pending. The
// kernel looks at the limit only when it has all pages, which would then stay allocated for nothing.
static bool may_register(const struct sc_session *session, const struct sc_cores *cores, __u64 len)
{
	return !(cores->config->features & SC_CHANNEL_DESCRIPTORS) &&
	       len <= cores->config->memlock_len / session->lane_cnt;
}

static bool serve_segment_add(struct sc_session *session, const struct sc_cores *cores, const struct sc_ctl_msg *msg)
{
	struct sc_ctl_msg reply = {
		.magic = SC_CTL_MAGIC,
		.version = SC_ABI_VERSION,
		.type = SC_CTL_SEGMENT_ADD | SC_CTL_REPLY,
		.slot = msg->slot,
		.mem_len = msg->mem_len,
	};
	enum sc_refusal reason;
	int memfd, err;

	memfd = sc_segment_add(&session->segments, msg, &reply.mem_base, &reason);
	if (memfd < 0)
		return !sc_ctl_reply(session->ctl, SC_CTL_SEGMENT_ADD, memfd, reason);
	if (may_register(session, cores, msg->mem_len) &&
	    sc_segment_register(&session->segments, msg->slot, session->rings, session->lane_cnt))
		reply.lane_cnt = session->lane_cnt;
	err = sc_ctl_send(session->ctl, &reply, sizeof(reply), &memfd, 1);
	(void)close(memfd); // the mapping keeps the memory
	return !err;
}

static bool serve_segment_del(struct sc_session *session, const struct sc_ctl_msg *msg)
{
	int err = sc_segment_del(&session->segments, msg->slot, session->rings, session->lane_cnt);

	return !sc_ctl_reply(session->ctl, SC_CTL_SEGMENT_DEL, err, err ? SC_REFUSED_LIMIT : SC_REFUSED_NONE);
}

bool sc_session_serve(struct sc_session *session, struct sc_cores *cores)
{
	enum sc_refusal reason;
	struct sc_ctl_msg msg;
	int fd, got, err;
	bool alive;

	got = sc_ctl_recv(session->ctl, &msg, sizeof(msg), &fd, 1);
	if (got == -EAGAIN)
		return true;
	if (got == -EBADMSG)
		return refuse(session, 0, got, SC_REFUSED_MALFORMED);
	if (got < 0)
		return false;
	err = sc_request_check(&msg, got, &reason);
	if (!err && (msg.type == SC_CTL_HELLO) != !session->len) { // HELLO comes first and once
		err = -EBADMSG;
		reason = SC_REFUSED_MALFORMED;
	}
	if (err)
		alive = refuse(session, msg.type & ~SC_CTL_REPLY, err, reason);
	else if (msg.type == SC_CTL_HELLO)
		alive = serve_hello(session, cores, &msg);
	else if (msg.type == SC_CTL_FILE_ADD)
		alive = serve_file_add(session, cores, &msg, &fd);
	else if (msg.type == SC_CTL_FILE_TAKE)
		alive = serve_file_take(session, cores, &msg);
	else if (msg.type == SC_CTL_SEGMENT_ADD)
		alive = serve_segment_add(session, cores, &msg);
	else if (msg.type == SC_CTL_SEGMENT_DEL)
		alive = serve_segment_del(session, &msg);
	else
		alive = serve_kick(session, &msg);
	sc_ctl_close_all(&fd, 1);
	return alive;
}

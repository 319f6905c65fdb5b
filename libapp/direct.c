// SPDX-License-Identifier: MIT
/*
 * The direct engine: a poller of ringsvc on a dedicated core consumes the queue; this process only writes to memory.
 *
 * System calls are made when somebody sleeps: write(doorbell) wakes the poller, epoll_wait sleeps here. The barriers'
 * letters and their partners are in docs/memory-order.md.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "control.h"
#include "group.h"
#include "reason.h"
#include "session.h"

enum { CHECK_MS = 10, GOODBYE_MS = 500, EPOLL_EVENTS = 8, MARKER_QUEUE = 8, SPIN_MIN_US = 5 };

#define PATH_SYSTEM "/run/sidecore/ringsvc.sock"

/* --- opening --- */

/* All but the tails and heads that this side writes, which it reads here for the only time. */
static void ring_init(struct io_uring *ring, char *mem, const struct sc_lane *at)
{
	*ring = (struct io_uring){
		.flags = IORING_SETUP_SQPOLL | IORING_SETUP_NO_SQARRAY | IORING_SETUP_NO_MMAP,
		.ring_fd = -1,
		.enter_ring_fd = -1,
		.sq = {
			.khead = (unsigned int *)(mem + at->sq_head_off),
			.ktail = (unsigned int *)(mem + at->sq_tail_off),
			.kflags = (unsigned int *)(mem + at->sq_flags_off),
			.sqes = (struct io_uring_sqe *)(mem + at->sqes_off),
			.ring_mask = at->sq_entries - 1,
			.ring_entries = at->sq_entries,
		},
		.cq = {
			.khead = (unsigned int *)(mem + at->cq_head_off),
			.ktail = (unsigned int *)(mem + at->cq_tail_off),
			.kflags = (unsigned int *)(mem + at->cq_flags_off),
			.cqes = (struct io_uring_cqe *)(mem + at->cqes_off),
			.ring_mask = at->cq_entries - 1,
			.ring_entries = at->cq_entries,
		},
	};
	ring->sq.sqe_tail = *ring->sq.ktail;
	ring->sq.sqe_head = ring->sq.sqe_tail;
}

static void lane_open(struct lane *lane, struct sc_session *session, const struct sc_channel *header,
		      const struct sc_lane *at)
{
	ring_init(&lane->ring, session->mem, at);
	lane->shared_queue = true;
	lane->flushed_tail = lane->ring.sq.sqe_tail;
	lane->number = (unsigned int)(at - header->lane);
	lane->begun = true;
	session->group->mailboxes[lane->number].ring_fd = (int)at->ring;
	lane->cpu = (int)at->cpu;
	lane->buf_ring = (struct io_uring_buf_ring *)(session->mem + at->buf_ring_off);
	lane->bufs = session->mem + at->bufs_off;
	lane->buf_cnt = at->buf_cnt;
	lane->buf_shift = (unsigned int)__builtin_ctz(at->buf_len);
	lane->conn_cnt = header->conn_cnt;
	lane->doorbell_armed = true;
	lane->recv_limit = !!(header->features & SC_CHANNEL_RECV_LIM);
	lane->descriptors = header->features & SC_CHANNEL_DESCRIPTORS;
}

/* Edge-triggered, so that a wake-up costs no read of the eventfd. */
static int epoll_open(struct sc_session *session)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		return -errno;
	for (unsigned int i = 0; i < session->lane_cnt; i++) {
		event.data.u32 = i;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, session->lanes[i].event_fd, &event))
			goto err_close;
	}
	event = (struct epoll_event){ .events = EPOLLRDHUP, .data.u32 = UINT32_MAX };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, session->group->control, &event))
		goto err_close;
	return epoll;

err_close:
	(void)close(epoll);
	return -errno;
}

static void events_enable(struct sc_session *session, bool enable)
{
	for (unsigned int i = 0; i < session->lane_cnt; i++)
		IO_URING_WRITE_ONCE(*session->lanes[i].ring.cq.kflags, enable ? 0 : IORING_CQ_EVENTFD_DISABLED);
	if (enable)
		/* C: enabling before the last look at the queue; matches the kernel's barrier between its write of the CQ
		 * tail and its look at the flag. */
		sc_barrier_full();
}

/* This one's part of the channel: lanes from `first` on, and a slice of the arena. */
static int session_open(struct sc_session *session, const struct sc_channel *header, const int *fds, unsigned int first)
{
	unsigned int nth = first / session->lane_cnt;

	session->mem = session->group->mem;
	session->mem_len = session->group->mem_len;
	session->base = header->base;
	session->arena_len = header->arena_len / session->group->session_cnt & ~4095ULL;
	session->arena_mem = session->mem + header->arena_off + nth * session->arena_len;
	if (session->arena_len <= sc_session_scratch_len(session->lane_cnt, header->conn_cnt))
		return -EBADMSG;
	session->lanes = calloc(session->lane_cnt, sizeof(*session->lanes));
	if (!session->lanes)
		return -ENOMEM;
	for (unsigned int i = 0; i < session->lane_cnt; i++) {
		lane_open(&session->lanes[i], session, header, &header->lane[first + i]);
		session->lanes[i].event_fd = fds[1 + 2 * (first + i)];
		session->lanes[i].doorbell_fd = fds[2 + 2 * (first + i)];
	}
	events_enable(session, false);
	session->fd = epoll_open(session);
	return session->fd < 0 ? session->fd : 0;
}

/* The descriptors of the lanes are the caller's still. */
static void session_undo(struct sc_session *session)
{
	if (session->fd > 0)
		(void)close(session->fd);
	free(session->lanes);
	session->lanes = NULL;
}

static int channel_open(struct sc_session *const *sessions, const int *fds, unsigned int fd_cnt)
{
	struct group *group = sessions[0]->group;
	struct sc_channel header;
	unsigned int each;
	int err;

	group->mem = sc_channel_map(fds[0], &header, &err);
	if (!group->mem)
		return err;
	group->mem_len = header.channel_len;
	each = header.lane_cnt / group->session_cnt;
	err = !each || header.lane_cnt % group->session_cnt || fd_cnt != 1 + 2U * header.lane_cnt ? -EBADMSG : 0;
	for (unsigned int i = 0; i < group->session_cnt && !err; i++) {
		sessions[i]->lane_cnt = each;
		err = session_open(sessions[i], &header, fds, i * each);
	}
	if (!err)
		return 0;
	for (unsigned int i = 0; i < group->session_cnt; i++)
		session_undo(sessions[i]);
	(void)munmap(group->mem, group->mem_len);
	return sc_reason_set(err, "channel: %s", strerror(-err));
}

static int hello(struct group *group, const struct settings *set, const char *path, int *fds, unsigned int *fd_cnt)
{
	unsigned int lanes = set->lanes ? set->lanes : SC_LANES_MAX;
	struct sc_ctl_msg msg = {
		.type = SC_CTL_HELLO,
		.lane_cnt = set->lanes * group->session_cnt,
		.conn_cnt = set->conns,
		.buf_cnt = set->bufs,
		.buf_len = set->buf_len,
		.flags = set->threads ? SC_HELLO_THREADS : 0,
		.mem_len = (set->arena_len + sc_session_scratch_len(lanes, set->conns)) * group->session_cnt,
	};
	int err = sc_group_call(group, &msg, -1, fds, fd_cnt);

	if (err)
		return sc_reason_set(err, "%s: no answer to the first message: %s: see the service's log", path,
				     strerror(-err));
	if (msg.status)
		return sc_reason_set(msg.status, "%s: %s (%s)", path, sc_control_reason(&msg), strerror(-msg.status));
	if (!*fd_cnt)
		return sc_reason_set(-EPROTO, "%s: an answer without a channel: is it sidecore-ringsvc that answers?",
				     path);
	return 0;
}

static int open_at(struct sc_session *const *sessions, const struct settings *set, const char *path)
{
	struct group *group = sessions[0]->group;
	int fds[1 + 2 * SC_LANES_MAX], err;
	unsigned int fd_cnt = sizeof(fds) / sizeof(*fds);

	group->control = sc_control_connect(path);
	if (group->control < 0)
		return group->control;
	err = hello(group, set, path, fds, &fd_cnt);
	if (!err)
		err = channel_open(sessions, fds, fd_cnt);
	if (!err) {
		(void)close(fds[0]); /* the mapping keeps the memory */
		return 0;
	}
	for (unsigned int i = 0; i < fd_cnt; i++)
		(void)close(fds[i]);
	(void)close(group->control);
	return err;
}

/* The user's own service, if there is one, else the system's. */
static int direct_open(struct sc_session *const *sessions, const struct settings *set)
{
	const char *dir = secure_getenv("XDG_RUNTIME_DIR");
	char own[sizeof(set->socket_path)];

	if (set->path_given)
		return open_at(sessions, set, set->socket_path);
	if (dir && snprintf(own, sizeof(own), "%s/sidecore/ringsvc.sock", dir) < (int)sizeof(own) &&
	    !access(own, F_OK) && !open_at(sessions, set, own))
		return 0;
	return open_at(sessions, set, PATH_SYSTEM);
}

static void direct_close(struct sc_session *session)
{
	for (unsigned int i = 0; i < session->lane_cnt; i++) {
		(void)close(session->lanes[i].event_fd);
		(void)close(session->lanes[i].doorbell_fd);
	}
	(void)close(session->fd);
}

/* The service hangs up when it has taken everything back: from then on the ports are free. */
static void direct_end(struct group *group, bool stale)
{
	struct pollfd control = { .fd = group->control, .events = POLLIN };

	if (!stale && !shutdown(group->control, SHUT_WR))
		(void)poll(&control, 1, GOODBYE_MS);
	(void)close(group->control);
	(void)munmap(group->mem, group->mem_len);
}

/* --- slow path: the control socket --- */

static int direct_file_add(struct lane *lane, unsigned int slot, int fd)
{
	struct sc_ctl_msg msg = { .type = SC_CTL_FILE_ADD, .lane = lane->number, .slot = slot };
	int err = sc_group_call(lane->session->group, &msg, fd, NULL, NULL);

	if (err || msg.status)
		return err ? err : msg.status;
	return msg.slot > INT_MAX ? -EPROTO : (int)msg.slot;
}

static int segment_fail(const struct sc_ctl_msg *msg, int err)
{
	if (err)
		return sc_reason_set(err, "segment: no answer of the service: %s: see its log", strerror(-err));
	return sc_reason_set(msg->status, "segment: %s (%s)", sc_control_reason(msg), strerror(-msg->status));
}

static int direct_segment_del(struct sc_segment *segment)
{
	struct sc_ctl_msg msg = { .type = SC_CTL_SEGMENT_DEL, .slot = segment->slot };
	int err = sc_group_call(segment->group, &msg, -1, NULL, NULL);

	if (err == -EOWNERDEAD)
		return 0;
	return err || msg.status ? segment_fail(&msg, err) : 0;
}

static int direct_segment_add(struct sc_session *session, struct sc_segment *segment, char **ret_mem)
{
	struct sc_ctl_msg msg = { .type = SC_CTL_SEGMENT_ADD, .slot = segment->slot, .mem_len = segment->len };
	unsigned int fd_cnt = 1;
	char *mem = NULL;
	int memfd, map_err = 0, err = sc_group_call(session->group, &msg, -1, &memfd, &fd_cnt);

	if (!err && !msg.status && !fd_cnt)
		err = -EPROTO;
	if (!err && !msg.status)
		mem = sc_channel_map_segment(memfd, segment->len, &map_err);
	if (fd_cnt)
		(void)close(memfd);
	if (mem) {
		*ret_mem = mem;
		segment->base = msg.mem_base;
		__atomic_store_n(&segment->registered, msg.lane_cnt ? UINT32_MAX : 0, __ATOMIC_RELAXED);
		return 0;
	}
	if (err || msg.status)
		return segment_fail(&msg, err);
	(void)direct_segment_del(segment);
	return map_err;
}

static int direct_file_take(struct lane *lane, int descriptor)
{
	struct sc_ctl_msg msg = { .type = SC_CTL_FILE_TAKE, .slot = (__u32)descriptor };
	unsigned int cnt = 1;
	int fd = -1, err = sc_group_call(lane->session->group, &msg, -1, &fd, &cnt);

	if (err && cnt)
		(void)close(fd);
	if (err || msg.status)
		return err ? err : msg.status;
	return cnt ? fd : -EPROTO;
}

static int kick(struct lane *lane)
{
	struct sc_ctl_msg msg = { .type = SC_CTL_KICK, .lane = lane->number };
	int err = sc_group_call(lane->session->group, &msg, -1, NULL, NULL);

	return err ? err : msg.status;
}

/* Not by being readable: that may be an answer to another session of the group. */
static int alive(struct sc_session *session)
{
	struct pollfd control = { .fd = session->group->control, .events = POLLRDHUP };

	return poll(&control, 1, 0) > 0 ? -EOWNERDEAD : 0;
}

/*
 * A program that never sleeps in epoll_wait must learn of the loss too. It is looked for when nothing has completed for a
 * while, so that a busy program makes no system call for it.
 */
static int alive_if_quiet(struct sc_session *session)
{
	int64_t now;

	if (sc_session_ready(session))
		return 0;
	now = sc_session_now_ms();
	if (!session->quiet_ms)
		session->quiet_ms = now;
	if (now - session->quiet_ms < CHECK_MS)
		return 0;
	session->quiet_ms = now;
	return alive(session);
}

/* --- fast path --- */

/* The poller's doorbell is a poll that the kernel ends when the completion queue runs over; then it is laid anew. */
static int doorbell_ring(struct lane *lane)
{
	struct io_uring_sqe *sqe;

	lane->session->counters.doorbells++;
	if (lane->doorbell_armed)
		return eventfd_write(lane->doorbell_fd, 1) ? -errno : 0;
	sqe = sc_lane_sqe(lane);
	if (sqe) {
		io_uring_prep_poll_multishot(sqe, SC_SLOT_DOORBELL, POLLIN);
		sqe->flags |= IOSQE_FIXED_FILE;
		io_uring_sqe_set_data64(sqe, SC_DOORBELL_TAG);
		io_uring_smp_store_release(lane->ring.sq.ktail, lane->ring.sq.sqe_tail);
		lane->flushed_tail = lane->ring.sq.sqe_tail;
		lane->doorbell_armed = true;
	}
	return kick(lane);
}

static int lane_submit(struct lane *lane)
{
	struct io_uring_sq *sq = &lane->ring.sq;
	int err = 0;

	if (sq->sqe_tail != lane->flushed_tail) {
		/* A: the SQEs before the tail; matches the poller's acquire of the tail. */
		io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
		lane->flushed_tail = sq->sqe_tail;
		/* B: the tail before the flags are read; matches the poller's barrier between setting NEED_WAKEUP and
		 * its last look at the tail. */
		sc_barrier_full();
		if (IO_URING_READ_ONCE(*sq->kflags) & IORING_SQ_NEED_WAKEUP)
			err = doorbell_ring(lane);
	}
	if (!err && IO_URING_READ_ONCE(*sq->kflags) & IORING_SQ_CQ_OVERFLOW && !io_uring_cq_ready(&lane->ring)) {
		lane->session->counters.cq_overflow++;
		err = kick(lane);
	}
	return err;
}

static int direct_submit(struct sc_session *session)
{
	int err = 0;

	if (session->armed)
		events_enable(session, false);
	session->armed = false;
	for (unsigned int i = 0; i < session->lane_cnt && !err; i++)
		err = lane_submit(&session->lanes[i]);
	return err ? err : alive_if_quiet(session);
}

/* Takes wake-ups, sleeping up to timeout_ms for the first. What a marker was queued for has happened, if it was that. */
static int wakeups_take(struct sc_session *session, int timeout_ms)
{
	struct epoll_event events[EPOLL_EVENTS];
	int cnt = epoll_wait(session->fd, events, EPOLL_EVENTS, timeout_ms), err = cnt < 0 ? -errno : 0;

	for (int i = 0; i < cnt; i++) {
		if (events[i].data.u32 < session->lane_cnt)
			session->lanes[events[i].data.u32].marker_pending = false;
		else
			err = -EOWNERDEAD;
	}
	return err;
}

static int direct_arm(struct sc_session *session)
{
	int err = direct_submit(session);

	if (!err)
		err = wakeups_take(session, 0); /* old ones */
	if (err)
		return err;
	events_enable(session, true);
	session->armed = true;
	return sc_session_ready(session);
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool spin(const struct sc_session *session, int64_t budget_us)
{
	int64_t end = now_us() + budget_us;

	do {
		for (unsigned int turn = 0; turn < 32; turn++) {
			if (sc_session_ready(session))
				return true;
			cpu_relax();
		}
	} while (now_us() < end);
	return false;
}

/*
 * While the poller has much of our queue before it, to be woken at the next completion gains nothing: an answer given sooner
 * would only wait at the end of that queue. So a marker goes there, a write to the completion eventfd, and completions in
 * between stay silent: one wake-up per queue instead of one per few completions. A wake-up costs the application's core as
 * much as serving 10 to 20 small requests (docs/decisions/marker.md).
 */
static bool queue_long(const struct lane *lane)
{
	return lane->ring.sq.sqe_tail - io_uring_smp_load_acquire(lane->ring.sq.khead) >= MARKER_QUEUE;
}

/*
 * Whether one is under way is not told by the SQ head, which the kernel moves only after the batch that wrote to us. As
 * long as no wake-up of the lane was taken since it was queued, its wake-up is still to come.
 */
static bool marker_set(struct lane *lane)
{
	struct io_uring_sqe *sqe;

	if (lane->marker_pending)
		return true;
	sqe = sc_lane_sqe(lane);
	if (!sqe)
		return false;
	io_uring_prep_write(sqe, SC_SLOT_COMPLETION,
			    (void *)(uintptr_t)sc_session_addr(lane->session, &lane->words->one),
			    sizeof(lane->words->one), 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, SC_TAG_NOBODY);
	lane->marker_pending = true;
	return true;
}

/* A lane with a long queue wakes us at its marker, any other at its next completion. false: that one is there already. */
static bool wake_arrange(struct sc_session *session)
{
	bool may_sleep = true;

	for (unsigned int i = 0; i < session->lane_cnt && may_sleep; i++) {
		struct lane *lane = &session->lanes[i];

		if (queue_long(lane) && marker_set(lane))
			continue;
		IO_URING_WRITE_ONCE(*lane->ring.cq.kflags, 0);
		sc_barrier_full(); /* C */
		may_sleep = !sc_lane_ready(lane);
	}
	return may_sleep;
}

/* true if a lane without a long queue has completions: no reason to sleep, nor to arrange for it */
static bool ready_now(const struct sc_session *session)
{
	for (unsigned int i = 0; i < session->lane_cnt; i++)
		if (sc_lane_ready(&session->lanes[i]) && (session->spin_us || !queue_long(&session->lanes[i])))
			return true;
	return false;
}

/*
 * Spinning is kept up while it pays, as in the kernel's haltpoll: a sleep so short that spinning would have caught its end
 * makes the next spin longer, a longer sleep halves it. So an idle application comes to spin not at all.
 */
static void spin_adapt(struct sc_session *session, int64_t slept_us)
{
	unsigned int now = session->spin_now_us;

	if (slept_us > session->spin_us)
		session->spin_now_us = now / 2;
	else if (now < session->spin_us)
		session->spin_now_us = now < SPIN_MIN_US ? SPIN_MIN_US : now * 2;
	if (session->spin_now_us > session->spin_us)
		session->spin_now_us = session->spin_us;
}

static int sleep_once(struct sc_session *session, int timeout_ms)
{
	int64_t start = session->spin_us ? now_us() : 0;
	int err = wakeups_take(session, timeout_ms);

	session->counters.sleeps++;
	if (session->spin_us)
		spin_adapt(session, now_us() - start);
	return err;
}

static int direct_wait(struct sc_session *session, int timeout_ms)
{
	int64_t spin_us = session->spin_now_us;
	int err = direct_submit(session);

	if (timeout_ms >= 0 && spin_us > timeout_ms * 1000LL)
		spin_us = timeout_ms * 1000LL;
	if (err || ready_now(session) || (spin_us && spin(session, spin_us)))
		return err;
	if (timeout_ms >= 0)
		timeout_ms -= (int)(spin_us / 1000);
	if (wake_arrange(session)) {
		err = direct_submit(session); /* the markers */
		if (!err)
			err = sleep_once(session, timeout_ms);
	}
	events_enable(session, false);
	return err;
}

const struct engine_ops sc_engine_direct = {
	.id = SC_ENGINE_DIRECT,
	.open = direct_open,
	.close = direct_close,
	.end = direct_end,
	.file_add = direct_file_add,
	.file_take = direct_file_take,
	.segment_add = direct_segment_add,
	.segment_del = direct_segment_del,
	.submit = direct_submit,
	.arm = direct_arm,
	.wait = direct_wait,
};

// SPDX-License-Identifier: MIT
/*
 * The local engine: an io_uring in this process, driven by the session's thread inside sc_poll and sc_wait. It needs no
 * service, and is what the direct engine is measured against.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "file.h"
#include "handover.h"
#include "reason.h"
#include "session.h"

enum { SQ_ENTRIES = 1024, PAGE_LEN = 4096, GOODBYE_MS = 500, RELEASE_MS = 20, WORK_TURNS = 1024 };

static int open_fail(int err, const char *what)
{
	switch (err) {
	case -ENOSYS:
		return sc_reason_set(
			-ENOSYS, "local engine: %s: this kernel has no io_uring: boot a kernel with CONFIG_IO_URING",
			what);
	case -EPERM:
		return sc_reason_set(
			-EPERM,
			"local engine: %s: io_uring is forbidden here: see sysctl kernel.io_uring_disabled and seccomp",
			what);
	case -EINVAL:
		return sc_reason_set(-ENOSYS, "local engine: %s: the kernel lacks it: Linux 6.12 or newer is needed",
				     what);
	case -ENOMEM:
		return sc_reason_set(-ENOMEM, "local engine: %s: out of memory: raise RLIMIT_MEMLOCK (ulimit -l)",
				     what);
	case -EMFILE:
		return sc_reason_set(
			-EMFILE,
			"local engine: %s: too many descriptors: raise RLIMIT_NOFILE (ulimit -n) or ask for fewer conns",
			what);
	default:
		return sc_reason_set(err, "local engine: %s: %s", what, strerror(-err));
	}
}

static unsigned int pow2_above(unsigned int n)
{
	unsigned int pow2 = 1;

	while (pow2 < n)
		pow2 <<= 1;
	return pow2;
}

/*
 * Whether the kernel releases the file of a slot at once though an older request of the ring is pending. Linux 6.12 does not: a
 * closed connection would live as long as any idle one. SIDECORE_DESCRIPTORS=1 says no, for tests.
 */
static bool slots_release(void)
{
	struct pollfd far = { .events = POLLIN };
	int files[2] = { -1, -1 }, pair[2] = { -1, -1 };
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	bool released = false;

	if (secure_getenv("SIDECORE_DESCRIPTORS") || io_uring_queue_init(4, &ring, 0))
		return false;
	if (!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) && (files[0] = eventfd(0, EFD_CLOEXEC)) >= 0) {
		files[1] = pair[0];
		far.fd = pair[1];
		if (!io_uring_register_files(&ring, files, 2)) {
			sqe = io_uring_get_sqe(&ring);
			io_uring_prep_poll_add(sqe, 0, POLLIN);
			sqe->flags |= IOSQE_FIXED_FILE;
			io_uring_prep_close_direct(io_uring_get_sqe(&ring), 1);
			(void)io_uring_submit_and_wait(&ring, 1);
		}
		(void)close(pair[0]);
		pair[0] = -1;
		released = poll(&far, 1, RELEASE_MS) > 0;
	}
	io_uring_queue_exit(&ring);
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			(void)close(pair[i]);
	if (files[0] >= 0)
		(void)close(files[0]);
	return released;
}

/* What a session takes of the group's memory: buffer ring, buffers, arena. */
struct part {
	size_t ring_len, bufs_len, arena_len, len;
};

static struct part part_of(const struct settings *set)
{
	struct part part = {
		.ring_len = (set->bufs * sizeof(struct io_uring_buf) + PAGE_LEN - 1) & ~(size_t)(PAGE_LEN - 1),
		.bufs_len = (size_t)set->bufs * set->buf_len,
		.arena_len = set->arena_len + sc_session_scratch_len(1, set->conns),
	};

	part.len = (part.ring_len + part.bufs_len + part.arena_len + PAGE_LEN - 1) & ~(size_t)(PAGE_LEN - 1);
	return part;
}

static void lane_open(struct sc_session *session, char *mem, const struct settings *set, bool descriptors)
{
	struct part part = part_of(set);
	struct lane *lane = session->lanes;

	session->mem = session->group->mem;
	session->mem_len = session->group->mem_len;
	session->base = (uint64_t)(uintptr_t)session->mem;
	session->arena_mem = mem + part.ring_len + part.bufs_len;
	session->arena_len = part.arena_len;
	lane->session = session;
	lane->buf_ring = (struct io_uring_buf_ring *)mem;
	lane->bufs = mem + part.ring_len;
	lane->buf_cnt = set->bufs;
	lane->buf_shift = (unsigned int)__builtin_ctz(set->buf_len);
	lane->conn_cnt = set->conns;
	lane->cpu = -1;
	lane->recv_limit = !descriptors; /* of 6.18: no kernel has it without slots that do */
	lane->descriptors = descriptors;
}

static int ring_open(struct sc_session *session, struct lane *lane, const struct settings *set)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_NO_SQARRAY | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
			 IORING_SETUP_R_DISABLED,
		.cq_entries = pow2_above(set->bufs + 3 * set->conns + SQ_ENTRIES),
	};
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)lane->buf_ring,
		.ring_entries = lane->buf_cnt,
		.bgid = SC_BUF_GROUP,
	};
	int err = io_uring_queue_init_params(SQ_ENTRIES, &lane->ring, &params);

	if (err)
		return open_fail(err, "io_uring_setup with deferred task work");
	session->group->mailboxes[lane->number].ring_fd = lane->ring.ring_fd;
	err = io_uring_register_files_sparse(&lane->ring, SC_SLOT_CONNS + (set->threads ? 2 : 1) * set->conns);
	if (!err && set->threads) /* what is handed over goes behind the slots that are dealt out here */
		err = io_uring_register_file_alloc_range(&lane->ring, SC_SLOT_CONNS + set->conns, set->conns);
	if (err) {
		io_uring_queue_exit(&lane->ring);
		return open_fail(err, "file table");
	}
	err = io_uring_register_buffers_sparse(&lane->ring, SC_SEGMENTS_MAX);
	if (err) {
		io_uring_queue_exit(&lane->ring);
		return open_fail(err, "table of registered buffers");
	}
	err = io_uring_register_buf_ring(&lane->ring, &reg, 0);
	if (err) {
		io_uring_queue_exit(&lane->ring);
		return open_fail(err, "provided buffer ring");
	}
	return 0;
}

static int eventfd_open(struct sc_session *session, struct lane *lane)
{
	int err;

	session->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (session->fd < 0)
		return open_fail(-errno, "eventfd");
	err = io_uring_register_eventfd(&lane->ring, session->fd);
	if (!err)
		err = io_uring_cq_eventfd_toggle(&lane->ring, false);
	if (err) {
		(void)close(session->fd);
		return open_fail(err, "eventfd");
	}
	return 0;
}

static int session_open(struct sc_session *session, unsigned int nth, const struct settings *set, bool descriptors)
{
	struct lane *lane = calloc(1, sizeof(*lane));
	int err;

	if (!lane)
		return open_fail(-ENOMEM, "lane");
	session->lanes = lane;
	lane->number = nth;
	lane_open(session, session->group->mem + nth * part_of(set).len, set, descriptors);
	err = ring_open(session, lane, set);
	if (err)
		goto err_free;
	err = eventfd_open(session, lane);
	if (err)
		goto err_exit;
	session->lane_cnt = 1;
	return 0;

err_exit:
	io_uring_queue_exit(&lane->ring);
err_free:
	free(lane);
	session->lanes = NULL;
	return err;
}

static void session_undo(struct sc_session *session)
{
	io_uring_queue_exit(&session->lanes[0].ring);
	(void)close(session->fd);
	free(session->lanes);
	session->lanes = NULL;
}

static int local_open(struct sc_session *const *sessions, const struct settings *set)
{
	struct group *group = sessions[0]->group;
	bool descriptors = !slots_release();
	unsigned int done;
	int err = 0;

	group->mem_len = group->session_cnt * part_of(set).len;
	group->mem = mmap(NULL, group->mem_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (group->mem == MAP_FAILED)
		return open_fail(-ENOMEM, "memory for buffers");
	for (done = 0; done < group->session_cnt; done++) {
		err = session_open(sessions[done], done, set, descriptors);
		if (err)
			break;
	}
	if (!err)
		return 0;
	while (done--)
		session_undo(sessions[done]);
	(void)munmap(group->mem, group->mem_len);
	return err;
}

/*
 * The ring belongs to the thread that uses it first, which need not be the one that opened it. The kernel would not let two in.
 */
static int begin(struct lane *lane)
{
	int err;

	if (lane->begun)
		return 0;
	err = io_uring_enable_rings(&lane->ring);
	if (err)
		return err;
	(void)io_uring_register_ring_fd(&lane->ring); /* only saves time */
	__atomic_store_n(&lane->begun, true, __ATOMIC_RELEASE);
	return 0;
}

static int local_file_add(struct lane *lane, unsigned int slot, int fd)
{
	int ret;

	if (lane->descriptors) {
		ret = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		return ret < 0 ? -errno : ret;
	}
	ret = io_uring_register_files_update(&lane->ring, slot, &fd, 1);
	return ret < 0 ? ret : (int)slot;
}

/*
 * Where slots release files late, so do buffers: nothing is registered then. The kernel looks at the limit only when it has all
 * pages, which would then stay allocated for nothing.
 */
static bool may_register(const struct lane *lane, size_t len)
{
	struct rlimit limit;

	return !lane->descriptors && !getrlimit(RLIMIT_MEMLOCK, &limit) && len <= limit.rlim_cur;
}

static int buffer_set(struct lane *lane, const struct sc_segment *segment, char *mem)
{
	struct iovec iov = { .iov_base = mem, .iov_len = mem ? segment->len : 0 };

	return io_uring_register_buffers_update_tag(&lane->ring, segment->slot, &iov, NULL, 1) == 1 ? 0 : -EIO;
}

static void buffer_drop(struct lane *lane, struct sc_segment *segment)
{
	uint32_t bit = 1U << lane->number;

	if (segment->stale & bit)
		(void)buffer_set(lane, segment, NULL);
	segment->stale &= ~bit;
}

/* That the memory may not be pinned is no reason not to send from it. */
static void buffer_try(struct lane *lane, struct sc_segment *segment, char *mem)
{
	uint32_t bit = 1U << lane->number;

	if (segment->tried & bit)
		return;
	segment->tried |= bit;
	if (may_register(lane, segment->len) && !buffer_set(lane, segment, mem))
		(void)__atomic_or_fetch(&segment->registered, bit, __ATOMIC_RELAXED);
}

/* Only the session's thread may register with its ring. The group's segments are locked. */
static void segments_sync(struct sc_session *session)
{
	struct group *group = session->group;

	for (unsigned int slot = 0; slot < group->segment_end; slot++) {
		struct sc_segment *segment = &group->segments[slot];

		buffer_drop(&session->lanes[0], segment);
		if (segment->used)
			buffer_try(&session->lanes[0], segment, segment->mem);
	}
	session->segments_seen = group->segments_version;
}

/* If another session is at them just now, later. */
static void segments_look(struct sc_session *session)
{
	struct group *group = session->group;

	if (session->segments_seen == __atomic_load_n(&group->segments_version, __ATOMIC_RELAXED) ||
	    pthread_mutex_trylock(&group->segments_lock))
		return;
	segments_sync(session);
	(void)pthread_mutex_unlock(&group->segments_lock);
}

static int local_segment_add(struct sc_session *session, struct sc_segment *segment, char **ret_mem)
{
	char *mem;

	segments_sync(session); /* what is pinned for nothing does not count against this one */
	mem = mmap(NULL, segment->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return sc_reason_set(-ENOMEM, "segment of %zu bytes: out of memory", segment->len);
	segment->base = (uint64_t)(uintptr_t)mem;
	buffer_try(&session->lanes[0], segment, mem);
	session->segments_seen = __atomic_add_fetch(&session->group->segments_version, 1, __ATOMIC_RELAXED);
	*ret_mem = mem;
	return 0;
}

static int local_segment_del(struct sc_segment *segment)
{
	segment->stale |= segment->registered;
	(void)__atomic_add_fetch(&segment->group->segments_version, 1, __ATOMIC_RELAXED);
	return 0;
}

static int local_file_take(struct lane *lane, int descriptor)
{
	int fd;

	if (!lane->descriptors)
		return descriptor;
	fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* SQ flags, before the kernel is entered and takes care of what they say. */
static unsigned int flags_look(struct sc_session *session)
{
	unsigned int flags = IO_URING_READ_ONCE(*session->lanes[0].ring.sq.kflags);

	if (flags & IORING_SQ_CQ_OVERFLOW)
		session->counters.cq_overflow++;
	return flags;
}

static int local_submit(struct sc_session *session)
{
	struct io_uring *ring = &session->lanes[0].ring;
	unsigned int flags;
	int ret = begin(&session->lanes[0]);

	if (ret)
		return ret;
	segments_look(session);
	(void)io_uring_cq_eventfd_toggle(ring, false);
	flags = flags_look(session);
	if (!io_uring_sq_ready(ring) && !(flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
		return 0;
	ret = io_uring_submit_and_get_events(ring);
	/* -EBUSY, -EAGAIN: what could not be taken now lies in the queue still */
	return ret < 0 && ret != -EBUSY && ret != -EAGAIN && ret != -EINTR ? ret : 0;
}

/*
 * Runs all deferred task work, or until `enough` says so: the kernel does 20 pieces each time, and says by the flag that there
 * are more. It sets the flag after it has listed the work, so the flag can outlive work that was taken in between: the turns are
 * bounded, to more than a session can have.
 */
static void work_run(struct sc_session *session, bool (*enough)(const struct sc_session *))
{
	struct io_uring *ring = &session->lanes[0].ring;

	for (unsigned int turn = 0; turn < WORK_TURNS; turn++)
		if (io_uring_get_events(ring) || !(IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_TASKRUN) ||
		    (enough && enough(session)))
			return;
}

/*
 * With deferred task work the ring's own descriptor does not become readable before this thread enters the kernel (seen on
 * 6.18), a registered eventfd does: it is signalled when work is added.
 */
static int local_arm(struct sc_session *session)
{
	struct io_uring *ring = &session->lanes[0].ring;
	eventfd_t stale;
	int err = local_submit(session);

	if (err)
		return err;
	(void)eventfd_read(session->fd, &stale);
	(void)io_uring_cq_eventfd_toggle(ring, true);
	/* D: enabling before the last look, by the kernel itself: it runs what was added before it could see the flag. All of it:
	 * for what would be left over no signal comes. */
	sc_barrier_full();
	work_run(session, sc_session_ready);
	if (!sc_session_ready(session))
		return 0;
	(void)io_uring_cq_eventfd_toggle(ring, false);
	return 1;
}

static int local_wait(struct sc_session *session, int timeout_ms)
{
	struct __kernel_timespec ts = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000LL };
	struct io_uring_cqe *cqe;
	int ret = begin(&session->lanes[0]);

	if (ret)
		return ret;
	segments_look(session);
	(void)flags_look(session);
	session->counters.sleeps++;
	ret = io_uring_submit_and_wait_timeout(&session->lanes[0].ring, &cqe, 1, timeout_ms < 0 ? NULL : &ts, NULL);
	return ret < 0 && ret != -ETIME && ret != -EBUSY && ret != -EAGAIN ? ret : 0;
}

/* By their names: to cancel whatever there is, the kernel begins its search anew for each request that it has found. */
static void receives_cancel(struct lane *lane)
{
	for (unsigned int i = 0; i < lane->conns_fresh; i++) {
		struct io_uring_sync_cancel_reg receive = {
			.addr = sc_conn_tag(&lane->conns[i], OP_RECV),
			.fd = -1,
			.timeout = { .tv_sec = 0 },
		};

		if (lane->conns[i].inflight & OP_RECV)
			(void)io_uring_register_sync_cancel(&lane->ring, &receive);
	}
}

/*
 * The kernel ends the requests of a closed ring in its own time, and until then they hold their sockets. Here they end before,
 * so that the ports are free afterwards.
 */
static void sockets_close(struct sc_session *session)
{
	struct io_uring *ring = &session->lanes[0].ring;
	struct io_uring_sync_cancel_reg all = {
		.fd = -1,
		.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
		.timeout = { .tv_nsec = GOODBYE_MS * 1000000LL },
	};

	receives_cancel(&session->lanes[0]);
	work_run(session, NULL);
	(void)io_uring_register_sync_cancel(ring, &all);
	work_run(session, NULL); /* where cancelled requests end */
	(void)io_uring_unregister_files(ring);
}

/* What the completions that nobody will look at tell of descriptors: an accepted one, or one that is closed. */
static void completions_close(struct sc_session *session)
{
	struct lane *lane = &session->lanes[0];
	struct io_uring_cqe *cqe;
	unsigned int head;

	io_uring_for_each_cqe(&lane->ring, head, cqe) {
		uint32_t op = sc_tag_op(cqe->user_data), idx = sc_tag_idx(cqe->user_data);

		if (op == OP_ACCEPT && cqe->res >= 0)
			(void)close(cqe->res);
		else if (op == OP_CLOSE) /* closed already: the number may be somebody else's now */
			lane->conns[idx].file = -1;
		else if (!op && sc_tag_gen(cqe->user_data) == FILE_CLOSE)
			sc_file_closed(lane, idx);
		else if (!op && idx < LISTENERS_MAX && sc_tag_gen(cqe->user_data) == LISTENER_CLOSE)
			session->listeners[idx].lane[0].open = false;
	}
}

static void descriptors_close(struct sc_session *session)
{
	struct lane *lane = &session->lanes[0];

	sc_handover_mail(lane);
	for (const struct parcel *parcel = lane->parcels; parcel; parcel = parcel->next)
		if (parcel->state == PARCEL_POSTED && !parcel->conn)
			(void)close(parcel->file);
	for (unsigned int i = 0; i < lane->conns_fresh; i++)
		if (lane->conns[i].file >= 0)
			(void)close(lane->conns[i].file);
	for (unsigned int i = 0; i < LISTENERS_MAX; i++)
		if (session->listeners[i].used && session->listeners[i].lane[0].open)
			(void)close(session->listeners[i].lane[0].file);
	sc_files_exit(session, true);
}

/*
 * A stale session's queue is the parent's, who goes on with it. Of the descriptors only those are surely copies that nobody was
 * closing when this process came to be.
 */
static void closing_forget(struct lane *lane)
{
	for (unsigned int i = 0; i < lane->conns_fresh; i++)
		if (lane->conns[i].close_asked)
			lane->conns[i].file = -1;
}

static void local_close(struct sc_session *session)
{
	struct lane *lane = &session->lanes[0];
	bool stale = sc_session_stale(session);

	if (!stale)
		sockets_close(session);
	if (lane->descriptors) {
		if (stale)
			closing_forget(lane);
		else
			completions_close(session);
		descriptors_close(session);
	}
	io_uring_queue_exit(&lane->ring);
	(void)close(session->fd);
}

static void local_end(struct group *group, bool stale)
{
	(void)stale; /* the mapping is a copy */
	(void)munmap(group->mem, group->mem_len);
}

const struct engine_ops sc_engine_local = {
	.id = SC_ENGINE_LOCAL,
	.open = local_open,
	.close = local_close,
	.end = local_end,
	.file_add = local_file_add,
	.file_take = local_file_take,
	.segment_add = local_segment_add,
	.segment_del = local_segment_del,
	.submit = local_submit,
	.arm = local_arm,
	.wait = local_wait,
};

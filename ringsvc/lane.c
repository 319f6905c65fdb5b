// SPDX-License-Identifier: MIT
// Opens, feeds and ends io_urings; the only file that speaks io_uring beside the start-up probes.
#include "lane.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	ANCHOR_ENTRIES = 2,
	WORKERS_MAX = 4, // io-wq threads of a poller, of either kind; networking needs next to none
	CONSUME_TIMEOUT_MS = 1000,
	MEMORY_TIMEOUT_MS = 100,
	MEMORY_PAUSE_MS = 5,
};

static const __u8 allowed_ops[] = {
	IORING_OP_NOP,	    IORING_OP_ACCEPT,	IORING_OP_SEND,
	IORING_OP_SENDMSG,  IORING_OP_SEND_ZC,	IORING_OP_RECV,
	IORING_OP_CLOSE,    IORING_OP_SHUTDOWN, IORING_OP_ASYNC_CANCEL,
	IORING_OP_POLL_ADD,
	IORING_OP_WRITE, // to the completion eventfd; to a socket it is a SEND
	IORING_OP_READ, // of files; of a socket it is a RECV
	IORING_OP_MSG_RING, // to another lane of the engine
	IORING_OP_CONNECT,  IORING_OP_TIMEOUT,	IORING_OP_FIXED_FD_INSTALL,
	IORING_OP_RECVMSG,
};

// What this file itself still needs when the ring runs
static const __u8 allowed_registers[] = { IORING_REGISTER_FILES_UPDATE, IORING_REGISTER_BUFFERS_UPDATE };

enum { ALLOWED_SQE_FLAGS = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS };

// Workers belong to the poller thread: set once, on the ring that brought it.
static int pin_workers(int ring, unsigned int cpu)
{
	unsigned int max[2] = { WORKERS_MAX, WORKERS_MAX };
	cpu_set_t set;
	int err;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	err = io_uring_register(ring, IORING_REGISTER_IOWQ_AFF, &set, sizeof(set));
	if (err < 0)
		return err;
	return io_uring_register(ring, IORING_REGISTER_IOWQ_MAX_WORKERS, max, 2);
}

int sc_anchor_open(unsigned int cpu, unsigned int idle_ms)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_NO_SQARRAY,
		.sq_thread_cpu = cpu,
		.sq_thread_idle = idle_ms,
	};
	int ring, err;

	ring = io_uring_setup(ANCHOR_ENTRIES, &params);
	if (ring < 0)
		return ring;
	err = pin_workers(ring, cpu);
	if (err < 0) {
		(void)close(ring);
		return err;
	}
	return ring;
}

static char *lane_mem(const struct sc_lane_place *place)
{
	return place->base + place->layout->lanes_off + place->idx * place->layout->lane_len;
}

static int setup(const struct sc_lane_place *place, struct io_uring_params *params)
{
	*params = (struct io_uring_params){
		.flags = IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ | IORING_SETUP_NO_MMAP | IORING_SETUP_NO_SQARRAY |
			 IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED,
		.cq_entries = place->layout->cq_entries,
		.sq_thread_idle = place->idle_ms,
		.wq_fd = place->anchor,
	};
	params->cq_off.user_addr = (unsigned long)(lane_mem(place) + place->layout->ring_off);
	params->sq_off.user_addr = (unsigned long)(lane_mem(place) + place->layout->sqes_off);
	return io_uring_setup(place->wish->sq_entries, params);
}

static int restrict_ring(int ring)
{
	struct io_uring_restriction list[sizeof(allowed_ops) + sizeof(allowed_registers) + 1] = { 0 };
	unsigned int cnt = 0;

	for (unsigned int i = 0; i < sizeof(allowed_ops); i++, cnt++) {
		list[cnt].opcode = IORING_RESTRICTION_SQE_OP;
		list[cnt].sqe_op = allowed_ops[i];
	}
	for (unsigned int i = 0; i < sizeof(allowed_registers); i++, cnt++) {
		list[cnt].opcode = IORING_RESTRICTION_REGISTER_OP;
		list[cnt].register_op = allowed_registers[i];
	}
	list[cnt].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	list[cnt++].sqe_flags = ALLOWED_SQE_FLAGS;
	return io_uring_register(ring, IORING_REGISTER_RESTRICTIONS, list, cnt);
}

static int update_files(int ring, unsigned int slot, const int *fds, unsigned int cnt)
{
	struct io_uring_files_update update = { .offset = slot, .fds = (unsigned long)fds };
	int ret;

	ret = io_uring_register(ring, IORING_REGISTER_FILES_UPDATE, &update, cnt);
	if (ret < 0)
		return ret;
	return (unsigned int)ret == cnt ? 0 : -EBADF;
}

int sc_lane_file_add(int ring, unsigned int slot, int fd)
{
	return update_files(ring, slot, &fd, 1);
}

// What a MSG_RING without a slot of its own brings goes behind the slots that the app deals out.
static int reserve_slots(int ring, const struct sc_wish *wish)
{
	struct io_uring_file_index_range range = { .off = SC_SLOT_CONNS + wish->conn_cnt, .len = wish->conn_cnt };

	return wish->threads ? io_uring_register(ring, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0) : 0;
}

int sc_lane_buffer_set(int ring, unsigned int idx, void *mem, __u64 len)
{
	struct iovec iov = { .iov_base = len ? mem : NULL, .iov_len = len };
	struct io_uring_rsrc_update2 update = { .offset = idx, .data = (unsigned long)&iov, .nr = 1 };
	int ret = io_uring_register(ring, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));

	return ret < 0 ? ret : 0;
}

// All that needs an unrestricted ring.
static int furnish(const struct sc_lane_place *place, const struct sc_lane_fds *fds)
{
	struct io_uring_rsrc_register files = {
		.nr = sc_wish_slot_cnt(place->wish),
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};
	struct io_uring_buf_reg bufs = {
		.ring_addr = (unsigned long)(lane_mem(place) + place->layout->buf_ring_off),
		.ring_entries = place->wish->buf_cnt,
		.bgid = SC_BUF_GROUP,
	};
	struct io_uring_rsrc_register segments = { .nr = SC_SEGMENTS_MAX, .flags = IORING_RSRC_REGISTER_SPARSE };
	int err;

	err = io_uring_register(fds->ring, IORING_REGISTER_FILES2, &files, sizeof(files));
	if (err < 0)
		return err;
	err = reserve_slots(fds->ring, place->wish);
	if (err < 0)
		return err;
	err = io_uring_register(fds->ring, IORING_REGISTER_BUFFERS2, &segments, sizeof(segments));
	if (err < 0)
		return err;
	err = sc_lane_file_add(fds->ring, SC_SLOT_DOORBELL, fds->doorbell);
	if (err < 0)
		return err;
	err = sc_lane_file_add(fds->ring, SC_SLOT_COMPLETION, fds->completion);
	if (err < 0)
		return err;
	err = io_uring_register(fds->ring, IORING_REGISTER_PBUF_RING, &bufs, 1);
	if (err < 0)
		return err;
	err = io_uring_register(fds->ring, IORING_REGISTER_EVENTFD, &fds->completion, 1);
	if (err < 0)
		return err;
	return restrict_ring(fds->ring);
}

// The kernel chooses where its words lie in the memory it was given.
static void describe(const struct sc_lane_place *place, const struct io_uring_params *params, struct sc_lane *lane)
{
	__u64 at = lane_mem(place) - place->base, ring = at + place->layout->ring_off;

	*lane = (struct sc_lane){
		.sqes_off = at + place->layout->sqes_off,
		.buf_ring_off = at + place->layout->buf_ring_off,
		.bufs_off = at + place->layout->bufs_off,
		.sq_head_off = ring + params->sq_off.head,
		.sq_tail_off = ring + params->sq_off.tail,
		.sq_flags_off = ring + params->sq_off.flags,
		.cq_head_off = ring + params->cq_off.head,
		.cq_tail_off = ring + params->cq_off.tail,
		.cq_flags_off = ring + params->cq_off.flags,
		.cqes_off = ring + params->cq_off.cqes,
		.sq_entries = params->sq_entries,
		.cq_entries = params->cq_entries,
		.buf_cnt = place->wish->buf_cnt,
		.buf_len = place->wish->buf_len,
	};
}

static int wait_consumed(const char *base, const struct sc_lane *lane)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 };
	const __u32 *head = (const void *)(base + lane->sq_head_off);
	const __u32 *cq_tail = (const void *)(base + lane->cq_tail_off);
	const struct io_uring_cqe *cqe = (const void *)(base + lane->cqes_off);

	for (int i = 0; i < CONSUME_TIMEOUT_MS * 20; i++) {
		if (__atomic_load_n(head, __ATOMIC_ACQUIRE) == 1) // the kernel moves it when the request is issued
			return __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) ? (cqe->res < 0 ? cqe->res : -EIO) : 0;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return -ETIMEDOUT;
}

// The app's view begins with one request done: the multishot poll that lets a write to the doorbell wake the poller.
static int arm_doorbell(int ring, char *base, const struct sc_lane *lane)
{
	struct io_uring_sqe *sqe = (void *)(base + lane->sqes_off);
	int err;

	*(__u32 *)(base + lane->cq_flags_off) = IORING_CQ_EVENTFD_DISABLED; // the app enables it when it sleeps
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = SC_SLOT_DOORBELL;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->len = IORING_POLL_ADD_MULTI;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	sqe->poll32_events = __builtin_bswap32(POLLIN) << 16 | __builtin_bswap32(POLLIN) >> 16;
#else
	sqe->poll32_events = POLLIN;
#endif
	sqe->user_data = SC_DOORBELL_TAG;
	__atomic_store_n((__u32 *)(base + lane->sq_tail_off), 1, __ATOMIC_RELEASE);
	err = io_uring_enter(ring, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL);
	return err < 0 ? err : wait_consumed(base, lane);
}

static int open_lane(const struct sc_lane_place *place, struct sc_lane *lane, struct sc_lane_fds *ret_fds)
{
	struct sc_lane_fds fds = { .ring = -1, .completion = -1, .doorbell = -1 };
	struct io_uring_params params;
	int err;

	fds.completion = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fds.completion < 0)
		return -errno;
	fds.doorbell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fds.doorbell < 0) {
		err = -errno;
		goto err_completion;
	}
	err = fds.ring = setup(place, &params);
	if (err < 0)
		goto err_doorbell;
	err = furnish(place, &fds);
	if (err < 0)
		goto err_ring;
	err = io_uring_register(fds.ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (err < 0)
		goto err_ring;
	describe(place, &params, lane);
	lane->ring = fds.ring;
	err = arm_doorbell(fds.ring, place->base, lane);
	if (err < 0)
		goto err_ring;
	*ret_fds = fds;
	return 0;
err_ring:
	(void)close(fds.ring);
err_doorbell:
	(void)close(fds.doorbell);
err_completion:
	(void)close(fds.completion);
	return err;
}

// The kernel gives back the locked memory of a closed ring only after a grace period. A uid near its limit that closes one
// session and opens another must not be refused for that.
int sc_lane_open(const struct sc_lane_place *place, struct sc_lane *lane, struct sc_lane_fds *ret_fds)
{
	const struct timespec pause = { .tv_nsec = MEMORY_PAUSE_MS * 1000000L };
	int err = open_lane(place, lane, ret_fds);

	for (int i = 0; err == -ENOMEM && i < MEMORY_TIMEOUT_MS / MEMORY_PAUSE_MS; i++) {
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		err = open_lane(place, lane, ret_fds);
	}
	return err;
}

int sc_lane_kick(int ring)
{
	int ret = io_uring_enter(ring, 0, 0, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL);

	return ret < 0 ? ret : 0;
}

void sc_lane_close(int ring, unsigned int slot_cnt)
{
	static int none[SC_SLOTS_MAX];

	// Files first: what a hostile app submits from now on has none. The kernel's exit work, begun by close(), cancels the
	// rest in one pass. IORING_REGISTER_SYNC_CANCEL must not: it starts its search anew for each request it has found,
	// under the ring's lock, and locked up a CPU for 50 s (6.18) over what a hostile app had left.
	memset(none, 0xff, sizeof(none));
	(void)update_files(ring, 0, none, slot_cnt);
	(void)close(ring);
}

// SPDX-License-Identifier: MIT
// Tries the kernel features that ringsvc needs, once, at the start.
#include "feature.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "cpulist.h"
#include "lane.h"
#include "layout.h"
#include "log.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

// A probe that has told the reason itself returns this; else 0 or -errno.
enum { SAID = 1, RELEASE_MS = 20 };

static const struct sc_wish probe_wish = {
	.lane_cnt = 1,
	.conn_cnt = 8,
	.buf_cnt = 8,
	.buf_len = SC_BUF_LEN_MIN,
	.sq_entries = SC_SQ_ENTRIES_MIN,
	.arena_len = 4096,
};

static bool read_line(const char *path, char *line, size_t len)
{
	FILE *file = fopen(path, "re");
	bool ok = file && fgets(line, len, file);

	if (file)
		(void)fclose(file);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

static int probe_io_uring(const struct sc_config *config)
{
	struct io_uring_params params = { 0 };
	char disabled[16];
	int ring;

	(void)config;
	ring = io_uring_setup(2, &params);
	if (ring == -EPERM && read_line("/proc/sys/kernel/io_uring_disabled", disabled, sizeof(disabled)) &&
	    disabled[0] != '0') {
		sc_error("kernel.io_uring_disabled=%s: engines may not open rings: set it to 0 with sysctl", disabled);
		return SAID;
	}
	if (ring < 0)
		return ring;
	return close(ring) ? -errno : 0;
}

static int probe_peer_pidfd(const struct sc_config *config)
{
	socklen_t len = sizeof(int);
	int pair[2], pidfd, err = 0;

	(void)config;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	if (getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len))
		err = -errno;
	else
		(void)close(pidfd);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return err;
}

static bool is_online(unsigned int cpu)
{
	unsigned int online[SC_CPU_MAX + 1];
	char line[256];
	int cnt;

	if (!read_line("/sys/devices/system/cpu/online", line, sizeof(line)))
		return true; // can't tell: the ring will
	cnt = sc_cpulist_parse(line, online, SC_CPU_MAX + 1);
	for (int i = 0; i < cnt; i++)
		if (online[i] == cpu)
			return true;
	return cnt < 0;
}

static int probe_cores(const struct sc_config *config)
{
	unsigned int cpu;
	int anchor;

	for (unsigned int i = 0; i < config->cpu_cnt; i++) {
		cpu = config->cpus[i];
		anchor = sc_anchor_open(cpu, config->idle_ms);
		if (anchor == -EINVAL) {
			sc_error("CPU %u: %s: name online CPUs of this machine with --cpus", cpu,
				 is_online(cpu) ? "outside the cpuset of this service" : "offline or not there");
			return SAID;
		}
		if (anchor < 0)
			return anchor;
		(void)close(anchor);
	}
	return 0;
}

static bool read_poller(int ring, char *line, size_t len)
{
	char path[64];
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ring);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, len, file)) {
		if (strncmp(line, "SqThread:", 9))
			continue;
		(void)fclose(file);
		return true;
	}
	(void)fclose(file);
	return false;
}

// A ring that can't be attached gets a poller of its own without an error.
static int check_same_poller(int a, int b)
{
	char of_a[64], of_b[64];

	if (!read_poller(a, of_a, sizeof(of_a)) || !read_poller(b, of_b, sizeof(of_b)))
		return -ENOENT;
	return strcmp(of_a, of_b) ? -EXDEV : 0;
}

static int try_lane(const struct sc_lane_place *place)
{
	struct sc_lane_fds fds;
	struct sc_lane lane;
	int err;

	err = sc_lane_open(place, &lane, &fds);
	if (err)
		return err;
	err = check_same_poller(place->anchor, fds.ring);
	sc_lane_close(fds.ring, sc_wish_slot_cnt(place->wish));
	(void)close(fds.completion);
	(void)close(fds.doorbell);
	return err;
}

// The real thing: a lane in a real channel.
static int probe_lane(const struct sc_config *config)
{
	struct sc_layout layout;
	struct sc_lane_place place = { .layout = &layout, .wish = &probe_wish, .idle_ms = config->idle_ms };
	int memfd, err;

	err = sc_layout_init(&probe_wish, sysconf(_SC_PAGESIZE), &layout);
	if (err)
		return err;
	memfd = sc_channel_create(layout.channel_len, &place.base);
	if (memfd < 0)
		return memfd;
	err = place.anchor = sc_anchor_open(config->cpus[0], config->idle_ms);
	if (err >= 0) {
		err = try_lane(&place);
		(void)close(place.anchor);
	}
	(void)munmap(place.base, layout.channel_len);
	(void)close(memfd);
	return err;
}

enum { LIM_BUFS = 4, LIM_BUF_LEN = 16, LIM_BYTES = 2 * LIM_BUF_LEN };

// Are more bytes than the limit read before the request ends? A kernel that does not know the field says -EINVAL.
static bool ends_at_limit(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int head, got = 0;
	bool ended = false;

	if (io_uring_submit(ring) != 1)
		return false;
	io_uring_for_each_cqe(ring, head, cqe) {
		if (cqe->res <= 0)
			return false;
		got += cqe->res;
		ended = !(cqe->flags & IORING_CQE_F_MORE);
	}
	return ended && got == LIM_BYTES;
}

static bool try_recv_lim(struct io_uring *ring, int fd)
{
	static char bufs[LIM_BUFS][LIM_BUF_LEN];
	struct io_uring_buf_ring *buf_ring;
	struct io_uring_sqe *sqe;
	bool works;
	int err;

	buf_ring = io_uring_setup_buf_ring(ring, LIM_BUFS, SC_BUF_GROUP, 0, &err);
	if (!buf_ring)
		return false;
	for (int i = 0; i < LIM_BUFS; i++)
		io_uring_buf_ring_add(buf_ring, bufs[i], LIM_BUF_LEN, i, LIM_BUFS - 1, i);
	io_uring_buf_ring_advance(buf_ring, LIM_BUFS);
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = SC_BUF_GROUP;
	sqe->optlen = LIM_BYTES;
	works = ends_at_limit(ring);
	(void)io_uring_free_buf_ring(ring, buf_ring, LIM_BUFS, SC_BUF_GROUP);
	return works;
}

static bool has_recv_lim(void)
{
	static const char data[LIM_BUFS * LIM_BUF_LEN];
	struct io_uring ring;
	bool works = false;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return false;
	if (!io_uring_queue_init(SC_BUF_GROUP + 4, &ring, 0)) {
		works = write(pair[1], data, sizeof(data)) == sizeof(data) && try_recv_lim(&ring, pair[0]);
		io_uring_queue_exit(&ring);
	}
	(void)close(pair[0]);
	(void)close(pair[1]);
	return works;
}

// Linux 6.12 releases the file of a slot only after every older request of the ring, such as an idle connection's receive.
static bool try_release(struct io_uring *ring, const int *files, int far_end)
{
	struct pollfd end = { .fd = far_end, .events = POLLIN };
	struct io_uring_sqe *sqe;
	int err = io_uring_register_files(ring, files, 2);

	(void)close(files[1]); // the slot has it alone now
	if (err)
		return false;
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_poll_add(sqe, 0, POLLIN);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_prep_close_direct(io_uring_get_sqe(ring), 1);
	return io_uring_submit_and_wait(ring, 1) == 2 && poll(&end, 1, RELEASE_MS) > 0;
}

static bool has_prompt_release(void)
{
	bool works = false;
	struct io_uring ring;
	int pair[2], pending;

	if (secure_getenv("SIDECORE_DESCRIPTORS") || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return false;
	pending = eventfd(0, EFD_CLOEXEC);
	if (pending >= 0 && !io_uring_queue_init(4, &ring, 0)) {
		works = try_release(&ring, (int[]){ pending, pair[0] }, pair[1]);
		io_uring_queue_exit(&ring);
	} else {
		(void)close(pair[0]);
	}
	if (pending >= 0)
		(void)close(pending);
	(void)close(pair[1]);
	return works;
}

static const struct {
	const char *what;
	int (*probe)(const struct sc_config *config);
	const char *next;
} needed[] = {
	{ "io_uring", probe_io_uring,
	  "it may be missing in the kernel or forbidden by a seccomp filter, as in containers" },
	{ "pidfd of a socket's peer (SO_PEERPIDFD)", probe_peer_pidfd, "use Linux 6.12 or newer" },
	{ "io_uring poller on each core", probe_cores,
	  "see --cpus, and RLIMIT_MEMLOCK and RLIMIT_NPROC of this service" },
	{ "restricted io_uring in shared memory on a shared poller", probe_lane,
	  "use Linux 6.12 or newer; on ENOMEM raise RLIMIT_MEMLOCK, on EMFILE RLIMIT_NOFILE" },
};

bool sc_feature_probe(struct sc_config *config)
{
	int err;

	for (unsigned int i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		err = needed[i].probe(config);
		if (!err)
			continue;
		if (err != SAID)
			sc_error("%s: %s: %s", needed[i].what, strerrorname_np(-err), needed[i].next);
		return false;
	}
	config->features = !has_prompt_release() ? SC_CHANNEL_DESCRIPTORS : has_recv_lim() ? SC_CHANNEL_RECV_LIM : 0;
	sc_debug("limit on the bytes of a multishot receive: %s; slots release files at once: %s",
		 config->features & SC_CHANNEL_RECV_LIM ? "yes" : "no",
		 config->features & SC_CHANNEL_DESCRIPTORS ? "no" : "yes");
	return true;
}

// SPDX-License-Identifier: MIT
// Switches sampling and reads the ring of samples; the only file that knows libbpf's ring buffer.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "hint.h"
#include "log.h"
#include "modules.h"
#include "sampling.h"

enum {
	LEASE_S = 5,
};

/* The programs read it at any time, and nothing else is ordered by it. */
static void renew(const struct sc_sampling_run *run)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	__atomic_store_n(&run->setting->until_ns, (now.tv_sec + LEASE_S) * 1000000000ULL + now.tv_nsec,
			 __ATOMIC_RELAXED);
}

/* One call for the ring may take as long as samples come. */
static int on_sample(void *context, void *data, size_t len)
{
	const struct sc_sampling_run *run = context;
	struct sc_sample sample;

	renew(run);
	if (run->discard || len < sizeof(sample))
		return 0;
	memcpy(&sample, data, sizeof(sample));
	return run->show(&sample, run->context);
}

/* The lock goes with the process, so that a reader that was killed keeps nobody out. */
static int lock_dir(const struct sc_place *place)
{
	int dir = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (dir < 0 || flock(dir, LOCK_EX | LOCK_NB)) {
		err = -errno;
		if (err == -EWOULDBLOCK)
			sc_error("%s: another monitor watches it; end that one first", place->ifname);
		else
			sc_error("%s: cannot lock: %s; run it as the user who attached %s", place->dir, strerror(-err),
				 place->ifname);
		if (dir >= 0)
			close(dir);
		return err;
	}
	return dir;
}

bool sc_sampling_is_watched(const struct sc_place *place)
{
	int dir = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool watched = dir >= 0 && flock(dir, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;

	if (dir >= 0)
		close(dir);
	return watched;
}

static int map_setting(struct sc_sampling_run *run, const struct sc_pins *pins)
{
	void *setting = mmap(NULL, sizeof(*run->setting), PROT_READ | PROT_WRITE, MAP_SHARED, pins->sampling, 0);

	if (setting == MAP_FAILED)
		return -errno;
	run->setting = setting;
	return 0;
}

static void start(const struct sc_sampling_run *run, __u32 every)
{
	__atomic_store_n(&run->setting->below, 0xffffffffU / every, __ATOMIC_RELAXED);
	__atomic_store_n(&run->setting->lost, 0, __ATOMIC_RELAXED);
	renew(run);
}

static int open_ring(struct sc_sampling_run *run, const struct sc_pins *pins, __u32 every)
{
	int err;

	err = map_setting(run, pins);
	if (err)
		return err;
	run->samples = fcntl(pins->samples, F_DUPFD_CLOEXEC, 0);
	if (run->samples < 0)
		return -errno;
	run->ring = ring_buffer__new(run->samples, on_sample, run, NULL);
	if (!run->ring)
		return -errno;
	/* What a reader that was killed has left. */
	run->discard = true;
	err = ring_buffer__consume(run->ring);
	run->discard = false;
	if (err < 0)
		return err;
	start(run, every);
	return 0;
}

static void close_ring(struct sc_sampling_run *run)
{
	ring_buffer__free(run->ring);
	if (run->samples >= 0)
		close(run->samples);
	if (run->setting)
		munmap(run->setting, sizeof(*run->setting));
	close(run->dir);
}

int sc_sampling_init(struct sc_sampling_run *run, const struct sc_place *place, struct sc_pins *pins, __u32 every,
		     int (*show)(const struct sc_sample *sample, void *context), void *context)
{
	int err;

	*run = (struct sc_sampling_run){ .samples = -1, .show = show, .context = context };
	run->dir = lock_dir(place);
	if (run->dir < 0)
		return run->dir;
	err = open_ring(run, pins, every);
	if (err)
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
	else
		err = sc_modules_switch(place, pins, SC_MODULE_SAMPLES, true);
	if (err)
		close_ring(run);
	return err;
}

int sc_sampling_poll(struct sc_sampling_run *run, int timeout_ms)
{
	int result;

	renew(run);
	result = ring_buffer__poll(run->ring, timeout_ms);
	return result > 0 || result == -EINTR ? 0 : result;
}

__u64 sc_sampling_lost(const struct sc_sampling_run *run)
{
	return __atomic_load_n(&run->setting->lost, __ATOMIC_RELAXED);
}

int sc_sampling_exit(struct sc_sampling_run *run, const struct sc_place *place, struct sc_pins *pins)
{
	int err = pins ? sc_modules_switch(place, pins, SC_MODULE_SAMPLES, false) : 0;

	(void)ring_buffer__consume(run->ring);
	close_ring(run);
	return err;
}

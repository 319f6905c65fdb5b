// SPDX-License-Identifier: MIT
// Switches sampling and reads the ring of samples; the only file that knows libbpf's ring buffer.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "hint.h"
#include "log.h"
#include "modules.h"
#include "sampling.h"

static int on_sample(void *context, void *data, size_t len)
{
	const struct sc_sampling_run *run = context;
	struct sc_sample sample;

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

static int set_rate(const struct sc_sampling_run *run, __u32 every)
{
	const struct sc_sampling setting = { .below = 0xffffffffU / every };
	__u32 zero = 0;

	return bpf_map_update_elem(run->sampling, &zero, &setting, BPF_ANY) ? -errno : 0;
}

static int open_ring(struct sc_sampling_run *run, const struct sc_pins *pins, __u32 every)
{
	int err;

	run->samples = fcntl(pins->samples, F_DUPFD_CLOEXEC, 0);
	run->sampling = fcntl(pins->sampling, F_DUPFD_CLOEXEC, 0);
	if (run->samples < 0 || run->sampling < 0)
		return -errno;
	run->ring = ring_buffer__new(run->samples, on_sample, run, NULL);
	if (!run->ring)
		return -errno;
	/* What a reader that was killed has left. */
	run->discard = true;
	err = ring_buffer__consume(run->ring);
	run->discard = false;
	return err < 0 ? err : set_rate(run, every);
}

static void close_ring(struct sc_sampling_run *run)
{
	ring_buffer__free(run->ring);
	if (run->samples >= 0)
		close(run->samples);
	if (run->sampling >= 0)
		close(run->sampling);
	close(run->dir);
}

int sc_sampling_init(struct sc_sampling_run *run, const struct sc_place *place, struct sc_pins *pins, __u32 every,
		     int (*show)(const struct sc_sample *sample, void *context), void *context)
{
	int err;

	*run = (struct sc_sampling_run){ .samples = -1, .sampling = -1, .show = show, .context = context };
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
	int result = ring_buffer__poll(run->ring, timeout_ms);

	return result > 0 || result == -EINTR ? 0 : result;
}

__u64 sc_sampling_lost(const struct sc_sampling_run *run)
{
	struct sc_sampling setting = { 0 };
	__u32 zero = 0;

	(void)bpf_map_lookup_elem(run->sampling, &zero, &setting);
	return setting.lost;
}

int sc_sampling_exit(struct sc_sampling_run *run, const struct sc_place *place, struct sc_pins *pins)
{
	int err = pins ? sc_modules_switch(place, pins, SC_MODULE_SAMPLES, false) : 0;

	(void)ring_buffer__consume(run->ring);
	close_ring(run);
	return err;
}

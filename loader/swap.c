// SPDX-License-Identifier: MIT
// Replaces the programs of an attached device by others that share their maps.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dedicate.h"
#include "hint.h"
#include "kthread.h"
#include "log.h"
#include "modules.h"
#include "object.h"
#include "pending.h"
#include "steering.h"
#include "swap.h"

static bool same_code(int left, int right)
{
	struct bpf_prog_info l = { 0 }, r = { 0 };
	__u32 len = sizeof(l);

	if (bpf_prog_get_info_by_fd(left, &l, &len))
		return false;
	len = sizeof(r);
	return !bpf_prog_get_info_by_fd(right, &r, &len) && !memcmp(l.tag, r.tag, sizeof(l.tag));
}

/* A tag is taken before the verifier fills in the constants. */
static bool same_on_cpu(int left, int right)
{
	__u32 l, r;

	return same_code(left, right) && !sc_modules_of(left, &l) && !sc_modules_of(right, &r) &&
	       !((l ^ r) & SC_MODULES_ON_CPU);
}

/* An entry that is made anew has a new thread, of normal priority. */
static int renew_entries(const struct sc_pins *pins)
{
	cpu_set_t cpus, fifo;
	int cpu, err;

	err = sc_steering_get_cpus(pins, &cpus);
	if (err)
		return err;
	CPU_ZERO(&fifo);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus) && sc_kthread_policy(pins->cpus, cpu) == SCHED_FIFO)
			CPU_SET(cpu, &fifo);
	err = sc_steering_renew(pins);
	if (!err && CPU_COUNT(&fifo))
		sc_dedicate_set_fifo(pins, &fifo);
	return err;
}

/* The device comes first: what it can refuse is refused before anything has changed. */
static int put_in_use(const struct sc_place *place, const struct sc_pins *pins, const struct sc_swap *before)
{
	int err;

	if (bpf_link_update(pins->link, pins->steer, NULL)) {
		err = -errno;
		sc_hint_error(place->ifname, SC_STEP_SWAP, err);
		return err;
	}
	if (before->maps_differ || !same_on_cpu(before->on_cpu, pins->on_cpu)) {
		err = renew_entries(pins);
		if (err) {
			sc_hint_error(place->ifname, SC_STEP_MAPS, err);
			return err;
		}
	}
	err = sc_pins_replace_programs(pins, place->dir);
	if (err)
		sc_hint_error(place->dir, SC_STEP_PIN, err);
	return err;
}

static void exchange(struct sc_swap *swap, struct sc_pins *pins)
{
	const struct sc_swap other = { .steer = pins->steer, .on_cpu = pins->on_cpu, .maps_differ = swap->maps_differ };

	pins->steer = swap->steer;
	pins->on_cpu = swap->on_cpu;
	*swap = other;
}

int sc_swap_undo(struct sc_swap *swap, const struct sc_place *place, struct sc_pins *pins)
{
	exchange(swap, pins);
	return put_in_use(place, pins, swap);
}

/* The program on the device may be another than the pinned one: a swap that was killed between the two. */
static int keep_running(struct sc_swap *swap, const struct sc_pins *pins)
{
	int err;

	swap->on_cpu = -1;
	swap->steer = sc_link_program(pins->link);
	if (swap->steer < 0)
		return swap->steer;
	swap->on_cpu = fcntl(pins->on_cpu, F_DUPFD_CLOEXEC, 0);
	if (swap->on_cpu >= 0)
		return 0;
	err = -errno;
	close(swap->steer);
	return err;
}

int sc_swap_init(struct sc_swap *swap, const struct sc_place *place, struct sc_pins *pins, __u32 modules)
{
	enum sc_mode mode;
	__u32 id;
	int err;

	err = sc_pending_refuse(place);
	if (err)
		return err;
	swap->maps_differ = !sc_pins_are_whole(pins);
	err = keep_running(swap, pins);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_SWAP, err);
		return err;
	}
	err = sc_device_query(place->ifindex, &id, &mode);
	err = err ?: sc_object_load(pins, mode, modules);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_LOAD, err);
		goto fail;
	}
	err = put_in_use(place, pins, swap);
	if (!err)
		return 0;
	(void)sc_swap_undo(swap, place, pins);
fail:
	sc_swap_exit(swap);
	return err;
}

void sc_swap_exit(struct sc_swap *swap)
{
	close(swap->steer);
	close(swap->on_cpu);
}

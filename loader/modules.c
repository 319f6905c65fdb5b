// SPDX-License-Identifier: MIT
// Switches modules of the programs, and marks ports that they never drop.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "caps.h"
#include "hint.h"
#include "modules.h"
#include "ports.h"
#include "sampling.h"
#include "swap.h"

enum {
	PROGRAM_MAPS_MAX = 32,
};

/* clang-format off */
const struct sc_module_name sc_module_names[] = {
	{ "validity", SC_MODULE_VALIDITY },
	{ "lists", SC_MODULE_LISTS | SC_MODULE_HOSTS },
	{ "cookies", SC_MODULE_COOKIES },
	{ "limits", SC_MODULE_LIMITS },
	{ "sockets", SC_MODULE_SOCKETS },
	{ "samples", SC_MODULE_SAMPLES },
	{ "options", SC_MODULE_OPTIONS },
	{ "fragments", SC_MODULE_FRAGMENTS },
	{ 0 },
};
/* clang-format on */

/* *ret_modules if the map is that of the constants, -ENOENT: it is another. */
static int read_constants(__u32 map_id, __u32 *ret_modules)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), zero = 0;
	struct sc_constants constants;
	int map, err = 0;

	map = bpf_map_get_fd_by_id(map_id);
	if (map < 0)
		return -errno;
	if (bpf_map_get_info_by_fd(map, &info, &len))
		err = -errno;
	else if (strcmp(info.name, SC_STEER_CONSTANTS))
		err = -ENOENT;
	else if (info.value_size != sizeof(constants))
		err = -EPROTO;
	else if (bpf_map_lookup_elem(map, &zero, &constants))
		err = -errno;
	else
		*ret_modules = constants.modules;
	close(map);
	return err;
}

int sc_modules_of(int program, __u32 *ret_modules)
{
	__u32 ids[PROGRAM_MAPS_MAX], len = sizeof(struct bpf_prog_info), i;
	struct bpf_prog_info info = { .nr_map_ids = PROGRAM_MAPS_MAX, .map_ids = (__u64)(unsigned long)ids };
	int err = -ENOENT;

	if (bpf_prog_get_info_by_fd(program, &info, &len))
		return -errno;
	/* The kernel gives a map by its id to nobody else. */
	sc_caps_admin(true);
	for (i = 0; i < info.nr_map_ids && i < PROGRAM_MAPS_MAX && err == -ENOENT; i++)
		err = read_constants(ids[i], ret_modules);
	sc_caps_admin(false);
	return err == -ENOENT ? -EPROTO : err;
}

int sc_modules_get(const struct sc_pins *pins, __u32 *ret_modules)
{
	int program = sc_link_program(pins->link), err;

	if (program < 0)
		return program;
	err = sc_modules_of(program, ret_modules);
	close(program);
	return err;
}

int sc_modules_keep(const struct sc_place *place, const struct sc_pins *pins, __u32 *ret_modules)
{
	int err = sc_modules_get(pins, ret_modules);

	if (!err && *ret_modules & SC_MODULE_SAMPLES && !sc_sampling_is_watched(place))
		*ret_modules &= ~SC_MODULE_SAMPLES;
	return err;
}

static __u32 program_id(int program)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(program, &info, &len) ? 0 : info.id;
}

/* Whoever was killed while exchanging programs has left pins of those before, and new CPUs would get one of them. */
static bool pins_are_in_use(const struct sc_pins *pins, __u32 now)
{
	int running = sc_link_program(pins->link);
	__u32 on_cpu;
	bool same;

	if (running < 0)
		return false;
	same = program_id(running) == program_id(pins->steer) && !sc_modules_of(pins->on_cpu, &on_cpu) && on_cpu == now;
	close(running);
	return same;
}

int sc_modules_change(const struct sc_place *place, struct sc_pins *pins, __u32 off, __u32 on)
{
	struct sc_swap swap;
	__u32 now, wanted;
	int err;

	err = sc_modules_keep(place, pins, &now);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_SWAP, err);
		return err;
	}
	wanted = (now & ~off) | on;
	if (wanted == now && pins_are_in_use(pins, now))
		return 0;
	err = sc_swap_init(&swap, place, pins, wanted);
	if (!err)
		sc_swap_exit(&swap);
	return err;
}

int sc_modules_switch(const struct sc_place *place, struct sc_pins *pins, __u32 modules, bool on)
{
	return sc_modules_change(place, pins, on ? 0 : modules, on ? modules : 0);
}

int sc_modules_spare(const struct sc_pins *pins, const struct sc_spec *spec, bool spared)
{
	return sc_ports_mark(pins, spec, SC_PORT_NEVER_DROP, spared);
}

int sc_modules_spared(const struct sc_pins *pins, struct sc_spec *ret_specs, int max)
{
	return sc_ports_marked(pins, SC_PORT_NEVER_DROP, ret_specs, max);
}

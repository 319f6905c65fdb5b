// SPDX-License-Identifier: MIT
// Loads the BPF skeleton; the only file that knows it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include <sidecore/steer.h>
#include "steer.skel.h"

#include "object.h"

/* A copy outlives the skeleton. */
static int keep(int *fd, int source)
{
	int copy = fcntl(source, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return -errno;
	if (*fd >= 0)
		close(*fd);
	*fd = copy;
	return 0;
}

static int reuse_maps(struct steer_bpf *skeleton, const struct sc_pins *pins)
{
	int err = 0;

#define REUSE(name, help)            \
	if (!err && pins->name >= 0) \
		err = bpf_map__reuse_fd(skeleton->maps.name, pins->name);
	SC_STEER_PINS(REUSE)
#undef REUSE
	return err;
}

bool sc_object_has_sockets(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_XSKMAP, NULL) == 1;
}

__u32 sc_object_modules(void)
{
	return sc_object_has_sockets() ? ~0U : ~(__u32)SC_MODULE_SOCKETS;
}

/* The programs name the map of sockets also while the module is off. One for perf events refuses sockets. */
static int fit_to_machine(struct steer_bpf *skeleton)
{
	int cpus = libbpf_num_possible_cpus(), err;

	if (cpus < 0)
		return cpus;
	err = bpf_map__set_max_entries(skeleton->maps.cpus, cpus);
	if (!err && !sc_object_has_sockets())
		err = bpf_map__set_type(skeleton->maps.sockets, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	return err;
}

static int open_fitted(struct steer_bpf **ret_skeleton)
{
	struct steer_bpf *skeleton = steer_bpf__open();
	int err;

	if (!skeleton)
		return -errno;
	err = fit_to_machine(skeleton);
	if (err)
		steer_bpf__destroy(skeleton);
	else
		*ret_skeleton = skeleton;
	return err;
}

static int choose_programs(struct steer_bpf *skeleton, enum sc_mode mode)
{
	bool skb = mode == SC_MODE_SKB;
	int err;

	err = bpf_program__set_autoload(skeleton->progs.steer, !skb);
	err = err ?: bpf_program__set_autoload(skeleton->progs.on_cpu, !skb);
	err = err ?: bpf_program__set_autoload(skeleton->progs.steer_skb, skb);
	return err ?: bpf_program__set_autoload(skeleton->progs.on_cpu_skb, skb);
}

static int keep_all(struct sc_pins *pins, const struct steer_bpf *skeleton, enum sc_mode mode)
{
	bool skb = mode == SC_MODE_SKB;
	int err = 0;

#define KEEP(name, help)            \
	if (!err && pins->name < 0) \
		err = keep(&pins->name, bpf_map__fd(skeleton->maps.name));
	SC_STEER_PINS(KEEP)
#undef KEEP
	err = err ?: keep(&pins->steer, bpf_program__fd(skb ? skeleton->progs.steer_skb : skeleton->progs.steer));
	return err ?: keep(&pins->on_cpu, bpf_program__fd(skb ? skeleton->progs.on_cpu_skb : skeleton->progs.on_cpu));
}

static bool fits(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	return !bpf_map_get_info_by_fd(fd, &info, &len) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) && info.map_flags == bpf_map__map_flags(map);
}

static void drop_unless_fit(const struct bpf_map *map, int *fd, char *names, size_t len)
{
	size_t end = strlen(names);

	if (fits(map, *fd))
		return;
	snprintf(names + end, len - end, "%s%s", end ? " " : "", bpf_map__name(map));
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int sc_object_drop_unfit(struct sc_pins *pins, char *ret_names, size_t len)
{
	struct steer_bpf *skeleton;
	int err = open_fitted(&skeleton);

	if (err)
		return err;
	ret_names[0] = '\0';
#define DROP(name, help) drop_unless_fit(skeleton->maps.name, &pins->name, ret_names, len);
	SC_STEER_PINS(DROP)
#undef DROP
	steer_bpf__destroy(skeleton);
	return 0;
}

int sc_object_load(struct sc_pins *pins, enum sc_mode mode, __u32 modules)
{
	struct steer_bpf *skeleton;
	int err = open_fitted(&skeleton);

	if (err)
		return err;
	skeleton->rodata_consts->constants.modules = modules;
	err = choose_programs(skeleton, mode);
	err = err ?: reuse_maps(skeleton, pins);
	err = err ?: steer_bpf__load(skeleton);
	err = err ?: keep_all(pins, skeleton, mode);
	steer_bpf__destroy(skeleton);
	return err;
}

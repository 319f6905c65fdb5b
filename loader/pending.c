// SPDX-License-Identifier: MIT
// The pinned mark of a change that waits to be confirmed: a map of one entry, since bpffs takes no plain files.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "log.h"
#include "pending.h"

/* Private to one loader: nobody keeps it over an upgrade of longer than a day. */
struct mark {
	__u64 end_ns; /* of CLOCK_BOOTTIME */
	__u64 confirmed;
};

enum {
	GRACE_S = 15, /* that a waiting process may need to take the lock */
};

static const __u64 second_ns = 1000000000;

static void mark_path(const struct sc_place *place, char path[sizeof(place->dir) + 16])
{
	snprintf(path, sizeof(place->dir) + 16, "%s/pending", place->dir);
}

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (__u64)now.tv_sec * second_ns + now.tv_nsec;
}

static int write_mark(int map, const struct mark *mark)
{
	const __u32 zero = 0;

	return bpf_map_update_elem(map, &zero, mark, BPF_ANY) ? -errno : 0;
}

/* 0; -ENOENT: another kind of map would be written past our struct. */
static int read_mark(int map, struct mark *ret_mark)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), zero = 0;

	if (bpf_map_get_info_by_fd(map, &info, &len))
		return -errno;
	if (info.value_size != sizeof(*ret_mark))
		return -ENOENT;
	return bpf_map_lookup_elem(map, &zero, ret_mark) ? -errno : 0;
}

int sc_pending_set(const struct sc_place *place, unsigned int seconds)
{
	const struct mark mark = { .end_ns = now_ns() + seconds * second_ns };
	char path[sizeof(place->dir) + 16];
	int map, err;

	mark_path(place, path);
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "pending", sizeof(__u32), sizeof(mark), 1, NULL);
	if (map < 0)
		return -errno;
	err = write_mark(map, &mark);
	if (!err && bpf_obj_pin(map, path))
		err = -errno;
	if (!err)
		return map;
	close(map);
	return err;
}

int sc_pending_get(const struct sc_place *place, unsigned int *ret_left_s)
{
	char path[sizeof(place->dir) + 16];
	struct mark mark;
	__u64 now;
	int map, err;

	mark_path(place, path);
	map = bpf_obj_get(path);
	if (map < 0)
		return -errno;
	err = read_mark(map, &mark);
	close(map);
	if (err)
		return err;
	now = now_ns();
	if (now >= mark.end_ns + GRACE_S * second_ns)
		*ret_left_s = 0;
	else
		*ret_left_s = now >= mark.end_ns ? 1 : (mark.end_ns - now) / second_ns + 1;
	return 0;
}

int sc_pending_confirm(const struct sc_place *place)
{
	const struct mark mark = { .confirmed = 1 };
	char path[sizeof(place->dir) + 16];
	int map, err;

	mark_path(place, path);
	map = bpf_obj_get(path);
	if (map < 0)
		return -errno;
	err = write_mark(map, &mark);
	close(map);
	if (!err && unlink(path))
		err = -errno;
	return err;
}

bool sc_pending_is_confirmed(int pending)
{
	struct mark mark;

	return !read_mark(pending, &mark) && mark.confirmed;
}

bool sc_pending_is_set(const struct sc_place *place)
{
	char path[sizeof(place->dir) + 16];

	mark_path(place, path);
	return !access(path, F_OK);
}

void sc_pending_clear(const struct sc_place *place)
{
	char path[sizeof(place->dir) + 16];

	mark_path(place, path);
	(void)unlink(path);
}

int sc_pending_refuse(const struct sc_place *place)
{
	unsigned int left_s;
	int err;

	err = sc_pending_get(place, &left_s);
	if (err == -ENOENT)
		return 0;
	if (!err && left_s) {
		sc_error("%s: a change waits to be confirmed for %u s; run sidecore-loader confirm %s first",
			 place->ifname, left_s, place->ifname);
		return -EBUSY;
	}
	sc_warn("%s: a change was never confirmed, and who waited was killed; it stays", place->ifname);
	sc_pending_clear(place);
	return 0;
}

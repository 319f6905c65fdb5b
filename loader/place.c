// SPDX-License-Identifier: MIT
// Directories of pins below <bpffs>/sidecore, one per network namespace and interface, and their lock.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <sidecore/steer.h>

#include "log.h"
#include "place.h"

enum {
	LOCK_STEP_MS = 20,
	LOCK_WAIT_MS = 10000,
};

static int check_bpffs(const char *bpffs)
{
	struct statfs fs;

	if (strlen(bpffs) > SC_PATH_LEN / 2) {
		sc_error("%s: path longer than %d bytes; choose a shorter --bpffs", bpffs, SC_PATH_LEN / 2);
		return -ENAMETOOLONG;
	}
	if (statfs(bpffs, &fs) && errno != ENOENT) {
		int err = -errno;

		sc_error("%s: %s; choose another --bpffs", bpffs, strerror(-err));
		return err;
	}
	if (access(bpffs, F_OK) || fs.f_type != BPF_FS_MAGIC) {
		sc_error("%s: no BPF file system there; run mount -m -t bpf bpf %s, or name one by --bpffs", bpffs,
			 bpffs);
		return -ENOENT;
	}
	return 0;
}

static int wait_for_lock(struct sc_place *place)
{
	const struct timespec step = { .tv_nsec = LOCK_STEP_MS * 1000000L };
	int waited_ms;

	for (waited_ms = 0; waited_ms < LOCK_WAIT_MS; waited_ms += LOCK_STEP_MS) {
		if (!flock(place->lock_fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		nanosleep(&step, NULL);
	}
	return -EWOULDBLOCK;
}

int sc_place_relock(struct sc_place *place)
{
	int err = wait_for_lock(place);

	if (err == -EWOULDBLOCK)
		sc_error("%s: locked for 10 s by another process; see fuser -v %s", place->root, place->root);
	else if (err)
		sc_error("%s: cannot lock: %s; choose another --bpffs", place->root, strerror(-err));
	return err;
}

void sc_place_unlock(struct sc_place *place)
{
	(void)flock(place->lock_fd, LOCK_UN);
}

int sc_place_lock(struct sc_place *place, const char *bpffs)
{
	struct stat netns;
	int err;

	memset(place, 0, sizeof(*place));
	err = check_bpffs(bpffs);
	if (err)
		return err;
	if (stat("/proc/self/ns/net", &netns)) {
		err = -errno;
		sc_error("/proc/self/ns/net: %s; mount /proc", strerror(-err));
		return err;
	}
	place->netns = netns.st_ino;
	snprintf(place->root, sizeof(place->root), "%s/sidecore", bpffs);
	if (mkdir(place->root, 0700) && errno != EEXIST)
		goto fail;
	place->lock_fd = open(place->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (place->lock_fd < 0)
		goto fail;
	err = sc_place_relock(place);
	if (err)
		close(place->lock_fd);
	return err;
fail:
	err = -errno;
	sc_error("%s: %s; run as the user who owns it, or choose another --bpffs", place->root, strerror(-err));
	return err;
}

void sc_place_set_ifindex(struct sc_place *place, int ifindex)
{
	place->ifindex = ifindex;
	if (!if_indextoname(ifindex, place->ifname))
		place->ifname[0] = '\0';
	snprintf(place->dir, sizeof(place->dir), "%s/%lu/%d", place->root, place->netns, ifindex);
}

int sc_place_open(struct sc_place *place, const char *bpffs, const char *ifname)
{
	int ifindex = if_nametoindex(ifname), err;

	if (!ifindex) {
		sc_error("%s: no such interface in this network namespace; see ip link", ifname);
		return -ENODEV;
	}
	err = sc_place_lock(place, bpffs);
	if (!err)
		sc_place_set_ifindex(place, ifindex);
	return err;
}

void sc_place_close(struct sc_place *place)
{
	close(place->lock_fd);
}

static void parent_dir(const struct sc_place *place, char parent[SC_PATH_LEN + 64])
{
	snprintf(parent, SC_PATH_LEN + 64, "%s/%lu", place->root, place->netns);
}

int sc_place_make_dir(const struct sc_place *place)
{
	char parent[SC_PATH_LEN + 64];

	parent_dir(place, parent);
	if (mkdir(parent, 0700) && errno != EEXIST)
		return -errno;
	if (mkdir(place->dir, 0700) && errno != EEXIST)
		return -errno;
	return 0;
}

static int remove_files(const struct sc_place *place)
{
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	dir = opendir(place->dir);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	/* The link goes first: a directory half removed must not look attached. */
	(void)unlinkat(dirfd(dir), SC_STEER_PIN_LINK, 0);
	while (!err && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && unlinkat(dirfd(dir), entry->d_name, 0) && errno != ENOENT)
			err = -errno;
	closedir(dir);
	if (!err && rmdir(place->dir))
		err = -errno;
	return err;
}

bool sc_place_is_attached(const struct sc_place *place)
{
	char path[SC_PATH_LEN + 128];

	snprintf(path, sizeof(path), "%s/%s", place->dir, SC_STEER_PIN_LINK);
	return !access(path, F_OK);
}

int sc_place_remove_dir(const struct sc_place *place)
{
	char parent[SC_PATH_LEN + 64];
	int err = remove_files(place);

	/* Also the parent that somebody who was killed left empty. */
	parent_dir(place, parent);
	(void)rmdir(parent);
	return err;
}

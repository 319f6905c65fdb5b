/* SPDX-License-Identifier: MIT */
/* Where the pins of one interface lie, and the lock over all of them. */
#ifndef SC_LOADER_PLACE_H
#define SC_LOADER_PLACE_H

#include <net/if.h>
#include <stdbool.h>

/* Longest path of a pin; the bpffs's own path may take what our part leaves of it. */
#define SC_PATH_LEN 512

struct sc_place {
	int lock_fd;
	int ifindex;
	char ifname[IF_NAMESIZE];
	unsigned long netns; /* inode of this process's network namespace */
	char root[SC_PATH_LEN]; /* <bpffs>/sidecore */
	char dir[SC_PATH_LEN + 64]; /* <root>/<netns>/<ifindex>; by index, for bpffs refuses names with dots (eth0.5) */
};

/*
 * Checks the bpffs and takes the lock, waiting up to 10 s for another holder. The lock ends with the process, however
 * it ends. Says why it fails.
 */
int sc_place_lock(struct sc_place *place, const char *bpffs);

/* The same for an interface of this network namespace. */
int sc_place_open(struct sc_place *place, const char *bpffs, const char *ifname);

void sc_place_close(struct sc_place *place);

/* Lets others have the lock for a while. */
void sc_place_unlock(struct sc_place *place);

/* Waits for it again, as sc_place_lock() does. Says why it fails. 0 or -errno. */
int sc_place_relock(struct sc_place *place);

/* Points place->dir to another interface of this namespace. */
void sc_place_set_ifindex(struct sc_place *place, int ifindex);

/* Makes place->dir and its parent. 0 or -errno. */
int sc_place_make_dir(const struct sc_place *place);

/* Whether its link is pinned. Needs no lock. */
bool sc_place_is_attached(const struct sc_place *place);

/* Removes place->dir with all pins in it, and its parent if that is empty then. 0 or -errno; absent is fine. */
int sc_place_remove_dir(const struct sc_place *place);

#endif

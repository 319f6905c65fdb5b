/* SPDX-License-Identifier: MIT */
/* The rings: one anchor per dedicated core, which brings the poller thread, and one restricted ring per lane on it. */
#ifndef RINGSVC_LANE_H
#define RINGSVC_LANE_H

#include <sidecore/abi.h>

#include "layout.h"

/* What a lane needs beside its memory. */
struct sc_lane_fds {
	int ring;
	int completion; /* eventfd that the kernel signals */
	int doorbell; /* eventfd that the app signals */
};

/* Where a lane is to be, and on whose poller. */
struct sc_lane_place {
	char *base; /* of the channel */
	const struct sc_layout *layout;
	const struct sc_wish *wish;
	unsigned int idx; /* in the layout */
	int anchor;
	unsigned int idle_ms; /* as the anchor's: the longest of all rings on a poller counts */
};

/* A ring that does nothing but own the core's poller. Returns its descriptor; -EINVAL: no such core for us; -errno. */
int sc_anchor_open(unsigned int cpu, unsigned int idle_ms);

/*
 * Opens a lane, fills *lane but for its cpu. The poller already watches the doorbell. May wait up to 1 s for the poller,
 * 100 ms for memory. -errno.
 */
int sc_lane_open(const struct sc_lane_place *place, struct sc_lane *lane, struct sc_lane_fds *ret_fds);

/* Puts a socket into the file table; the caller keeps its descriptor. 0 or -errno. */
int sc_lane_file_add(int ring, unsigned int slot, int fd);

/*
 * Makes the memory, of at most 1 GiB, the ring's registered buffer idx, pinned and counted against RLIMIT_MEMLOCK. len 0 takes the
 * buffer away; requests that use it keep the pages. -ENOMEM: beyond the limit; other -errno.
 */
int sc_lane_buffer_set(int ring, unsigned int idx, void *mem, __u64 len);

/* Wakes the poller and flushes completions the kernel held back. 0 or -errno. */
int sc_lane_kick(int ring);

/*
 * Ends a lane: its sockets are closed but for those a request that can't be cancelled still holds, and nothing submitted
 * later finds a file. Its memory may be unmapped afterwards. Waits at most 50 ms.
 */
void sc_lane_close(int ring, unsigned int slot_cnt);

#endif

/* SPDX-License-Identifier: MIT */
/* Where things lie in a channel. */
#ifndef RINGSVC_LAYOUT_H
#define RINGSVC_LAYOUT_H

#include "request.h"

/* A channel is never longer: most arena and one lane with most buffers fit. */
#define SC_CHANNEL_LEN_MAX (4ULL << 30)

/* Offsets of a lane's areas are from the lane's start, all of whole pages. */
struct sc_layout {
	__u64 lanes_off;
	__u64 lane_len;
	__u64 ring_off; /* the kernel's struct io_rings and CQEs */
	__u64 sqes_off;
	__u64 buf_ring_off;
	__u64 bufs_off;
	__u64 arena_off;
	__u64 arena_len;
	__u64 channel_len;
	__u32 cq_entries; /* a power of two */
};

/* 0, or -EINVAL: longer than SC_CHANNEL_LEN_MAX. page is the page size. */
int sc_layout_init(const struct sc_wish *wish, __u64 page, struct sc_layout *ret_layout);

#endif

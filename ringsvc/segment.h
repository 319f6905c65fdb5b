/* SPDX-License-Identifier: MIT */
/* Memory that a session adds to its channel while it runs, and gives back. */
#ifndef RINGSVC_SEGMENT_H
#define RINGSVC_SEGMENT_H

#include <stdbool.h>

#include <sidecore/abi.h>

struct sc_segment {
	char *base;
	__u64 len; /* 0: this place is free */
};

/* Those of one session; all zero at first. */
struct sc_segments {
	struct sc_segment at[SC_SEGMENTS_MAX];
	__u64 len; /* of all */
};

/*
 * Makes the segment that a checked SC_CTL_SEGMENT_ADD asks for and stores its address in *ret_base. Returns the memfd, to be
 * closed once it is sent. -EINVAL, *ret_reason: a slot or length out of bounds; -EBUSY: the slot is taken; -ENOMEM, -EMFILE,
 * other -errno.
 */
int sc_segment_add(struct sc_segments *segments, const struct sc_ctl_msg *add, __u64 *ret_base,
		   enum sc_refusal *ret_reason);

/* Makes the segment a registered buffer of all these rings, or, when one of them refuses, of none: false. */
bool sc_segment_register(const struct sc_segments *segments, unsigned int slot, const int *rings, unsigned int cnt);

/* Takes it away again. -EINVAL: there is none. */
int sc_segment_del(struct sc_segments *segments, unsigned int slot, const int *rings, unsigned int cnt);

/* Unmaps all; the rings are closed already. */
void sc_segments_exit(struct sc_segments *segments);

#endif

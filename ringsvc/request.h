/* SPDX-License-Identifier: MIT */
/* What apps ask for, checked: nothing behind this file sees a field that is out of bounds. */
#ifndef RINGSVC_REQUEST_H
#define RINGSVC_REQUEST_H

#include <stdbool.h>

#include <sidecore/abi.h>

/* A channel as the app wants it, defaults filled in, every field within enum sc_limit. */
struct sc_wish {
	__u32 lane_cnt;
	__u32 conn_cnt;
	__u32 buf_cnt;
	__u32 buf_len;
	__u32 sq_entries;
	__u64 arena_len;
	bool threads; /* SC_HELLO_THREADS */
};

/*
 * Is this a request of the protocol, with its unused fields zero and as many descriptors as its type carries? Returns 0,
 * -EPROTO (another version) or -EBADMSG, with *ret_reason set on failure.
 */
int sc_request_check(const struct sc_ctl_msg *msg, unsigned int fd_cnt, enum sc_refusal *ret_reason);

/* The wish of a checked HELLO; at most lane_max lanes unless they may share cores. 0, or -EINVAL: a field beyond its bounds. */
int sc_request_wish(const struct sc_ctl_msg *hello, unsigned int lane_max, struct sc_wish *ret_wish);

/* Slots of a lane's file table. */
static inline __u32 sc_wish_slot_cnt(const struct sc_wish *wish)
{
	return SC_SLOT_CONNS + (wish->threads ? 2 : 1) * wish->conn_cnt;
}

#endif

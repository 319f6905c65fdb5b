/* SPDX-License-Identifier: MIT */
/* The NAPI instances of a device of this network namespace, asked by generic netlink. */
#ifndef SC_LOADER_NAPI_H
#define SC_LOADER_NAPI_H

#include <linux/types.h>

struct sc_napi {
	__u32 id;
	__u32 irq; /* 0: not told */
	__u32 pid; /* of its thread; 0: none */
};

enum {
	SC_NAPI_MAX = 1024,
};

/* How many there are, at most SC_NAPI_MAX of them in ret_napis, or -errno: -EOPNOTSUPP: the kernel does not tell. */
int sc_napi_list(int ifindex, struct sc_napi ret_napis[SC_NAPI_MAX]);

#endif

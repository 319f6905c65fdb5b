/* SPDX-License-Identifier: MIT */
/* A channel's memory: a sealed memfd, mapped. */
#ifndef RINGSVC_CHANNEL_H
#define RINGSVC_CHANNEL_H

#include <linux/types.h>

/*
 * Makes len bytes of shared memory, stores the mapping in *ret_base and returns the memfd, to be closed once it is sent.
 * The mapping, which is munmap's, outlives it. -ENOMEM, -EMFILE, other -errno.
 */
int sc_channel_create(__u64 len, char **ret_base);

#endif

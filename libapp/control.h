/* SPDX-License-Identifier: MIT */
/* The control socket to ringsvc: one request, one reply, with descriptors beside them. */
#ifndef LIBAPP_CONTROL_H
#define LIBAPP_CONTROL_H

#include <sidecore/abi.h>

/*
 * Connects to the service and makes sure it is root's or the caller's own. Returns the socket, or -errno with a reason:
 * -ENOENT, -ECONNREFUSED: no service; -EACCES: somebody else's.
 */
int sc_control_connect(const char *path);

/*
 * Sends the message (magic and version are filled in) with fd beside it unless -1, and overwrites it with the reply.
 * Up to *fd_cnt descriptors that come along are stored in fds, *fd_cnt becomes their number, they are the caller's. Waits
 * up to 5 s. 0, or -errno: -EOWNERDEAD the service hung up, -ETIMEDOUT, -EPROTO not a reply of this protocol.
 * reply->status is not looked at.
 */
int sc_control_call(int socket, struct sc_ctl_msg *msg, int fd, int *fds, unsigned int *fd_cnt);

/* What to tell of a refusal. */
const char *sc_control_reason(const struct sc_ctl_msg *reply);

#endif

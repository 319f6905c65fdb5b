/* SPDX-License-Identifier: MIT */
/* Packets of one fixed size with descriptors, over SOCK_SEQPACKET: to apps, and between broker and engine. */
#ifndef RINGSVC_CTL_H
#define RINGSVC_CTL_H

#include <stddef.h>

#include <sidecore/abi.h>

enum { SC_CTL_FDS_MAX = 1 + 2 * SC_LANES_MAX };

/*
 * Receives one packet without waiting. Up to fd_max descriptors go to fds[], close-on-exec, owned by the caller, unused
 * places are -1. Returns their number; -EAGAIN: none there; -EPIPE: the other side is gone; -EBADMSG: another size, or
 * more descriptors than fd_max (all are closed). On errors no descriptor is left open.
 */
int sc_ctl_recv(int fd, void *msg, size_t len, int *fds, unsigned int fd_max);

/* Sends one packet without waiting. 0, -EAGAIN: the other side does not read; -EPIPE; other -errno. */
int sc_ctl_send(int fd, const void *msg, size_t len, const int *fds, unsigned int fd_cnt);

/* Sends the reply to a request of this type. As sc_ctl_send. */
int sc_ctl_reply(int fd, enum sc_ctl_type type, int status, enum sc_refusal reason);

/* Says no, so that the app surely can read why once the caller closes fd. */
void sc_ctl_refuse(int fd, enum sc_ctl_type type, int status, enum sc_refusal reason);

void sc_ctl_close_all(int *fds, unsigned int cnt);

#endif

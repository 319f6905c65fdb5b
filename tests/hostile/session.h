/* SPDX-License-Identifier: MIT */
/* A session with ringsvc, spoken by hand after abi.h, so that it can lie. */
#ifndef HOSTILE_SESSION_H
#define HOSTILE_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include <sidecore/abi.h>

#include "chance.h"

enum { SESSION_FDS_MAX = 1 + 2 * SC_LANES_MAX };

struct session {
	int ctl; /* -1: not connected */
	char *mem; /* NULL: no channel yet */
	size_t len;
	struct sc_channel header; /* as it was when it came */
	int fds[SESSION_FDS_MAX]; /* memfd, then per lane completion and doorbell */
	unsigned int fd_cnt;
};

/* false: nobody answers. */
bool session_connect(struct session *session, const char *path);

/* One packet with descriptors, without waiting for a reply. */
void session_send(const struct session *session, const void *data, size_t len, const int *fds, unsigned int fd_cnt);

/* Takes one reply if it comes within a fifth of a second, and the channel if the reply brings one. */
void session_reply(struct session *session);

/* The same for a reply to SC_CTL_FILE_TAKE: the descriptor that it brings, or -1. */
int session_take(struct session *session);

/* A message of this type, all else zero. */
struct sc_ctl_msg session_message(enum sc_ctl_type type);

/* Asks for a channel of bounded random size. */
void session_hello(struct session *session, struct chance *chance);

void session_close(struct session *session);

#endif

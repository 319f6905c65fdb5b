/* SPDX-License-Identifier: MIT */
/* Tells the service manager our state, by the sd_notify protocol. */
#ifndef RINGSVC_NOTIFY_H
#define RINGSVC_NOTIFY_H

/* Connects to $NOTIFY_SOCKET and unsets it. Its descriptor, -ENOENT: nobody asked; other -errno. */
int sc_notify_open(void);

/* Sends one state, as "READY=1"; a manager that does not listen is no concern of ours. */
void sc_notify_send(int fd, const char *state);

#endif

/* SPDX-License-Identifier: MIT */
/* The socket file that apps connect to. */
#ifndef RINGSVC_LISTENER_H
#define RINGSVC_LISTENER_H

#include <stdbool.h>

/*
 * Path of the service's socket when none is given: the user's or the system's. Its directory is made. In a static
 * buffer. NULL with errno: ENOENT: XDG_RUNTIME_DIR is not set, or not there; others: the directory can't be made.
 */
const char *sc_listener_default_path(bool user);

/*
 * Listens at path, for all users or for this one alone. A file left by a service that has died is replaced. Returns the
 * descriptor; -EADDRINUSE: another service answers there; -EEXIST: it is no socket; other -errno.
 */
int sc_listener_open(const char *path, bool user);

#endif

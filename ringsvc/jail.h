/* SPDX-License-Identifier: MIT */
/* What broker and engine give up. */
#ifndef RINGSVC_JAIL_H
#define RINGSVC_JAIL_H

#include <stdbool.h>
#include <sys/types.h>

/* What engines are born into; see sc_jail_prepare. */
struct sc_jail {
	int root_fd; /* an empty directory that has no name, -1 when rootless */
};

/*
 * Makes the place where engines live: this process moves into an empty network namespace, and an empty directory waits to
 * become their root. Rootless: nothing, an engine is in the place of its user. Needs all of root's capabilities; -errno.
 */
int sc_jail_prepare(bool user, struct sc_jail *ret_jail);

/* Drops what the broker does not need, for ever. Before the first byte of an app. -errno. */
int sc_jail_drop_broker(bool user);

/*
 * In a fresh fork of the broker: becomes an engine of this uid and gid, with no descriptor but keep_fd, which is returned
 * under a new number, no capability, no file system, and only the system calls an engine makes. Dies with broker_pid.
 * On failure exits.
 */
int sc_jail_enter(const struct sc_jail *jail, bool user, uid_t uid, gid_t gid, int keep_fd, pid_t broker_pid);

#endif

/* SPDX-License-Identifier: MIT */
/* Trust domains: who may share an engine. */
#ifndef RINGSVC_DOMAIN_H
#define RINGSVC_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sc_domain {
	uid_t uid;
	gid_t gid; /* of the first app; not part of what makes domains equal */
	uint64_t netns;
	uint64_t userns;
	uint64_t pidns;
};

/*
 * Identifies the process at the other end of conn: its uid as it was when it connected, its namespaces as they are. With
 * user set, namespaces that can't be read count as one more kind. *ret_pidfd becomes the caller's. -EACCES: the
 * namespaces can't be read; -ESRCH: it has died; other -errno.
 */
int sc_domain_of_peer(int conn, bool user, struct sc_domain *ret_domain, int *ret_pidfd);

bool sc_domain_equal(const struct sc_domain *a, const struct sc_domain *b);

#endif

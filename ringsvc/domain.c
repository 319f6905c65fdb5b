// SPDX-License-Identifier: MIT
// Tells trust domains apart.
#include "domain.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

static int read_namespace(pid_t pid, const char *name, uint64_t *ret_inode)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	if (stat(path, &st))
		return errno == ENOENT ? -ESRCH : -EACCES;
	*ret_inode = st.st_ino;
	return 0;
}

static int read_namespaces(pid_t pid, struct sc_domain *domain)
{
	int err;

	err = read_namespace(pid, "net", &domain->netns);
	if (!err)
		err = read_namespace(pid, "user", &domain->userns);
	if (!err)
		err = read_namespace(pid, "pid", &domain->pidns);
	return err;
}

static bool is_dead(int pidfd)
{
	struct pollfd poller = { .fd = pidfd, .events = POLLIN };

	return poll(&poller, 1, 0) != 0;
}

int sc_domain_of_peer(int conn, bool user, struct sc_domain *ret_domain, int *ret_pidfd)
{
	struct sc_domain domain = { 0 };
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int pidfd, err;

	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	if (cred.pid <= 0) // of a process namespace we can't see into
		return -EACCES;
	len = sizeof(pidfd);
	if (getsockopt(conn, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len))
		return -errno;
	domain.uid = cred.uid;
	domain.gid = cred.gid;
	err = read_namespaces(cred.pid, &domain);
	// A rootless service may not look into apps that hold capabilities or are undumpable; of its own uid they are all the same
	if (err == -EACCES && user)
		err = 0;
	// Alive afterwards: so the number was its own while we read, not that of a successor
	if (is_dead(pidfd))
		err = -ESRCH;
	if (err) {
		(void)close(pidfd);
		return err;
	}
	*ret_domain = domain;
	*ret_pidfd = pidfd;
	return 0;
}

bool sc_domain_equal(const struct sc_domain *a, const struct sc_domain *b)
{
	return a->uid == b->uid && a->netns == b->netns && a->userns == b->userns && a->pidns == b->pidns;
}

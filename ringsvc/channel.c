// SPDX-License-Identifier: MIT
// Makes the memory that app, engine and kernel share.
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

/*
 * Each channel is mapped beyond the one before it. The kernel may still be ending a request of a ring just closed; at a
 * reused address it would meet the memory of another app.
 */
static char *next_base = (char *)0x200000000000;

static char *map(int memfd, __u64 len)
{
	char *base = mmap(next_base, len, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);

	if (base == MAP_FAILED)
		return NULL;
	if (base == next_base) // else the hint is beyond the address space: begin again where the kernel chooses
		next_base += len;
	else
		next_base = NULL;
	return base;
}

static int create_memfd(void)
{
	int memfd = memfd_create("sidecore-channel", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (memfd < 0 && errno == EINVAL)
		memfd = memfd_create("sidecore-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return memfd < 0 ? -errno : memfd;
}

int sc_channel_create(__u64 len, char **ret_base)
{
	int memfd = create_memfd(), err;
	char *base;

	if (memfd < 0)
		return memfd;
	if (ftruncate(memfd, len) || fcntl(memfd, F_ADD_SEALS, SEALS)) {
		err = -errno;
		goto err_memfd;
	}
	base = map(memfd, len);
	if (!base) {
		err = -errno;
		goto err_memfd;
	}
	*ret_base = base;
	return memfd;
err_memfd:
	(void)close(memfd);
	return err;
}

// SPDX-License-Identifier: MIT
// Creates the service's socket.
#include "listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

const char *sc_listener_default_path(bool user)
{
	static char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	const char *dir = user ? getenv("XDG_RUNTIME_DIR") : "/run";
	int len;

	if (!dir || !*dir) {
		errno = ENOENT;
		return NULL;
	}
	len = snprintf(path, sizeof(path), "%s/sidecore", dir);
	if (len > (int)(sizeof(path) - sizeof("/ringsvc.sock"))) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	if (mkdir(path, user ? 0700 : 0755) && errno != EEXIST)
		return NULL;
	memcpy(path + len, "/ringsvc.sock", sizeof("/ringsvc.sock"));
	return path;
}

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static bool somebody_answers(const struct sockaddr_un *addr)
{
	int fd = open_socket();
	bool answers;

	if (fd < 0)
		return true; // can't tell: leave the file alone
	answers = !connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || errno == EAGAIN;
	(void)close(fd);
	return answers;
}

// Makes way for us if nobody stands there any more.
static int clear_path(const struct sockaddr_un *addr)
{
	struct stat st;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (somebody_answers(addr))
		return -EADDRINUSE;
	return unlink(addr->sun_path) ? -errno : 0;
}

static int bind_with_mode(int fd, const struct sockaddr_un *addr, mode_t mode)
{
	mode_t old = umask(0777 & ~mode);
	int err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? -errno : 0;

	(void)umask(old);
	return err;
}

int sc_listener_open(const char *path, bool user)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	err = clear_path(&addr);
	if (err)
		return err;
	fd = open_socket();
	if (fd < 0)
		return fd;
	err = bind_with_mode(fd, &addr, user ? 0600 : 0666);
	if (!err && listen(fd, BACKLOG))
		err = -errno;
	if (err) {
		(void)close(fd);
		return err;
	}
	return fd;
}

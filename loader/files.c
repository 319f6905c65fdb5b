// SPDX-License-Identifier: MIT
// Reads and writes one-line files, and lists directories of them.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "caps.h"
#include "files.h"

int sc_files_open_sysfs(void)
{
	int fs, mount = -1, err = 0;

	sc_caps_admin(true);
	fs = fsopen("sysfs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		err = -errno;
	if (!err) {
		mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
		err = mount < 0 ? -errno : 0;
	}
	sc_caps_admin(false);
	if (fs >= 0)
		close(fs);
	return err ?: mount;
}

int sc_files_read(int dir, const char *path, char ret_line[SC_FILE_LINE_LEN])
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC), err = 0;
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, ret_line, SC_FILE_LINE_LEN - 1);
	if (len < 0)
		err = -errno;
	close(fd);
	if (err)
		return err;
	ret_line[len] = '\0';
	ret_line[strcspn(ret_line, "\n")] = '\0';
	return 0;
}

int sc_files_write(int dir, const char *path, const char *line)
{
	int fd = openat(dir, path, O_WRONLY | O_TRUNC | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, line, strlen(line)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static unsigned long number_of(const char *name)
{
	return strtoul(name + strcspn(name, "0123456789"), NULL, 10);
}

static int by_number(const struct dirent **left, const struct dirent **right)
{
	unsigned long l = number_of((*left)->d_name), r = number_of((*right)->d_name);

	return (l > r) - (l < r);
}

int sc_files_list(int dir, const char *path, const char *prefix, int (*visit)(void *context, const char *name),
		  void *context)
{
	struct dirent **entries;
	int i, cnt, err = 0;

	cnt = scandirat(dir, path, &entries, NULL, by_number);
	if (cnt < 0)
		return -errno;
	for (i = 0; i < cnt; i++) {
		const char *name = entries[i]->d_name;

		if (!err && name[0] != '.' && !strncmp(name, prefix, strlen(prefix)))
			err = visit(context, name);
		free(entries[i]);
	}
	free(entries);
	return err;
}

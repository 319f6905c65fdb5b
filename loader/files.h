/* SPDX-License-Identifier: MIT */
/* Files of the kernel's that hold one line: read, written and listed below a directory that is open. */
#ifndef SC_LOADER_FILES_H
#define SC_LOADER_FILES_H

#include <stddef.h>

/* The longest line; masks of all possible CPUs fit. */
#define SC_FILE_LINE_LEN 4096

/*
 * A sysfs of this process's network namespace: what lies on /sys may show the devices of another one. Takes CAP_SYS_ADMIN. A
 * descriptor of its root, or -errno.
 */
int sc_files_open_sysfs(void);

/* Reads the line, without its end. 0 or -errno. */
int sc_files_read(int dir, const char *path, char ret_line[SC_FILE_LINE_LEN]);

/* 0 or -errno. */
int sc_files_write(int dir, const char *path, const char *line);

/*
 * Calls visit for the entries of a directory that begin with prefix, in the order of the numbers they end in. The first error of
 * visit, 0, or -errno: -ENOENT if there is no such directory.
 */
int sc_files_list(int dir, const char *path, const char *prefix, int (*visit)(void *context, const char *name),
		  void *context);

#endif

/* SPDX-License-Identifier: MIT */
/* A directory's files in memory, found by the path a client asks for. Read once, then never changed. */
#ifndef EXAMPLES_FILES_H
#define EXAMPLES_FILES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sc_files_limit {
	SC_FILES_MAX = 65536,
	SC_FILES_DEPTH_MAX = 32,
	SC_FILES_HEAD_MAX = 160, /* bytes of a file's own header fields */
	SC_FILES_ALIGN = 64, /* each body begins on a cache line */
	SC_FILES_BYTES_MAX = 512 << 20, /* bodies of all files; rounded up to a power of two it fits any arena */
};

struct sc_files;

struct sc_file {
	const char *path; /* "/a/b.html"; "/a/" has the body of "/a/index.html" */
	const char *body;
	size_t body_len;
	uint16_t path_len;
	uint16_t head_len;
	char head[SC_FILES_HEAD_MAX]; /* "Content-Type: ...\r\nContent-Length: ...\r\n" */
};

/*
 * Lists the regular files below root: no symbolic links, no names that begin with a dot. Bodies are read by
 * sc_files_load. On failure -errno, and reason (of reason_len bytes) names the file, what is wrong and the way out.
 */
int sc_files_open(const char *root, struct sc_files **ret_files, char *reason, size_t reason_len);

/* How much memory the bodies take; never 0. */
size_t sc_files_bytes(const struct sc_files *files);

/* Reads all bodies into that much memory, aligned to SC_FILES_ALIGN, which stays the caller's. Returns as sc_files_open. */
int sc_files_load(struct sc_files *files, void *bodies, char *reason, size_t reason_len);

/* The file at exactly this path, or NULL. Any number of threads. */
const struct sc_file *sc_files_find(const struct sc_files *files, const char *path, size_t len);

/* The bodies' memory is not freed. NULL is fine. */
void sc_files_free(struct sc_files *files);

#ifdef __cplusplus
}
#endif
#endif

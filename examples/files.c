// SPDX-License-Identifier: MIT
/* Caches a directory: lists it by fts, reads it into the caller's memory, finds by an open-addressed hash table. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "mime.h"
#include "target.h"

static const char index_name[] = "/index.html";

struct sc_files {
	struct sc_file *list; /* files, then the directories' aliases */
	size_t cnt;
	size_t alias_cnt; /* of them */
	size_t room;
	size_t bytes;
	char *root;
	const struct sc_file **table;
	size_t mask;
};

#define fail(err, ...) (snprintf(reason, reason_len, __VA_ARGS__), (err))

static size_t aligned(size_t len)
{
	return (len + SC_FILES_ALIGN - 1) & ~((size_t)SC_FILES_ALIGN - 1);
}

static struct sc_file *append(struct sc_files *files, const char *path, size_t path_len)
{
	struct sc_file *file;

	if (files->cnt == files->room) {
		size_t room = files->room ? 2 * files->room : 64;

		file = reallocarray(files->list, room, sizeof(*file));
		if (!file)
			return NULL;
		files->list = file;
		files->room = room;
	}
	file = &files->list[files->cnt];
	*file = (struct sc_file){ .path = strndup(path, path_len), .path_len = (uint16_t)path_len };
	if (!file->path)
		return NULL;
	files->cnt++;
	return file;
}

static int add(struct sc_files *files, const char *path, const struct stat *st, char *reason, size_t reason_len)
{
	struct sc_file *file;
	size_t path_len = strlen(path), len = (size_t)st->st_size;

	if (path_len > SC_TARGET_PATH_MAX)
		return fail(-ENAMETOOLONG, "%s%s: path of more than %d bytes below the root: shorten it", files->root,
			    path, SC_TARGET_PATH_MAX);
	if (files->cnt == SC_FILES_MAX)
		return fail(-EFBIG, "%s: more than %d files: serve a smaller directory", files->root, SC_FILES_MAX);
	if (len > SC_FILES_BYTES_MAX - files->bytes)
		return fail(-EFBIG, "%s%s: all files together exceed %d MiB: serve a smaller directory", files->root,
			    path, SC_FILES_BYTES_MAX >> 20);
	file = append(files, path, path_len);
	if (!file)
		return fail(-ENOMEM, "%s: no memory to list it: serve a smaller directory", files->root);
	file->body_len = len;
	files->bytes += aligned(len);
	file->head_len = (uint16_t)snprintf(file->head, sizeof(file->head),
					    "Content-Type: %s\r\nContent-Length: %zu\r\n", sc_mime_type(path), len);
	return 0;
}

static int visit(struct sc_files *files, FTS *fts, FTSENT *entry, char *reason, size_t reason_len)
{
	switch (entry->fts_info) {
	case FTS_D:
		if (entry->fts_level && entry->fts_name[0] == '.')
			(void)fts_set(fts, entry, FTS_SKIP);
		else if (entry->fts_level > SC_FILES_DEPTH_MAX)
			return fail(-ELOOP, "%s: more than %d levels below the root: serve a flatter directory",
				    entry->fts_path, SC_FILES_DEPTH_MAX);
		return 0;
	case FTS_F:
		if (!entry->fts_level)
			return fail(-ENOTDIR, "%s: not a directory: give the one that holds the files",
				    entry->fts_path);
		if (entry->fts_name[0] == '.')
			return 0;
		return add(files, entry->fts_path + strlen(files->root), entry->fts_statp, reason, reason_len);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return fail(-entry->fts_errno, "%s: %s: make it readable or serve another directory", entry->fts_path,
			    strerror(entry->fts_errno));
	default:
		return 0;
	}
}

static int list(struct sc_files *files, char *reason, size_t reason_len)
{
	char *roots[] = { files->root, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
	FTSENT *entry;
	int err = 0;

	if (!fts)
		return fail(-errno, "%s: %s: give a directory that can be read", files->root, strerror(errno));
	while (!err && (errno = 0, entry = fts_read(fts)))
		err = visit(files, fts, entry, reason, reason_len);
	if (!err && errno)
		err = fail(-errno, "%s: %s: give a directory that can be read", files->root, strerror(errno));
	(void)fts_close(fts);
	return err;
}

/* FNV-1a: paths are short and are not secret, and a chain of colliding names is the operator's own. */
static size_t hash(const char *path, size_t len)
{
	uint64_t value = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		value = (value ^ (uint8_t)path[i]) * 0x100000001b3;
	return (size_t)(value ^ value >> 32);
}

static int index_paths(struct sc_files *files, char *reason, size_t reason_len)
{
	size_t files_cnt = files->cnt, slots = 64;

	for (size_t i = 0; i < files_cnt; i++) {
		size_t tail = strlen(index_name), len = files->list[i].path_len;
		struct sc_file *alias;

		if (len < tail || strcmp(files->list[i].path + len - tail, index_name))
			continue;
		alias = append(files, files->list[i].path, len - tail + 1);
		if (!alias)
			goto no_memory;
		files->alias_cnt++;
		alias->body_len = files->list[i].body_len;
		alias->head_len = files->list[i].head_len;
		memcpy(alias->head, files->list[i].head, sizeof(alias->head));
	}
	while (slots < 2 * files->cnt)
		slots *= 2;
	files->table = calloc(slots, sizeof(struct sc_file *));
	if (!files->table)
		goto no_memory;
	files->mask = slots - 1;
	for (size_t i = 0; i < files->cnt; i++) {
		size_t slot = hash(files->list[i].path, files->list[i].path_len) & files->mask;

		while (files->table[slot])
			slot = (slot + 1) & files->mask;
		files->table[slot] = &files->list[i];
	}
	return 0;

no_memory:
	return fail(-ENOMEM, "%s: no memory to list it: serve a smaller directory", files->root);
}

int sc_files_open(const char *root, struct sc_files **ret_files, char *reason, size_t reason_len)
{
	struct sc_files *files = calloc(1, sizeof(*files));
	size_t len = strlen(root);
	int err;

	while (len > 1 && root[len - 1] == '/')
		len--;
	if (files) /* fts keeps "/" as it is, every other root without its last slash: paths begin behind it */
		files->root = strcmp(root, "/") ? strndup(root, len) : strdup("/.");
	if (!files || !files->root) {
		sc_files_free(files);
		return fail(-ENOMEM, "%s: no memory to list it: serve a smaller directory", root);
	}
	err = list(files, reason, reason_len);
	if (!err)
		err = index_paths(files, reason, reason_len);
	if (err) {
		sc_files_free(files);
		return err;
	}
	*ret_files = files;
	return 0;
}

size_t sc_files_bytes(const struct sc_files *files)
{
	return files->bytes ? files->bytes : SC_FILES_ALIGN;
}

/* Reads exactly len bytes and expects the end behind them: -ESTALE if the file is no longer that long. */
static int read_whole(int fd, char *body, size_t len)
{
	size_t done = 0;
	char more;

	for (;;) {
		ssize_t got = read(fd, done < len ? body + done : &more, done < len ? len - done : 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got || done == len)
			return got || done < len ? -ESTALE : 0;
		done += (size_t)got;
	}
}

static int load(struct sc_files *files, struct sc_file *file, char *body, char *reason, size_t reason_len)
{
	char *name;
	int fd, err;

	if (asprintf(&name, "%s%s", files->root, file->path) < 0)
		return fail(-ENOMEM, "%s: no memory for a file's name: serve a smaller directory", files->root);
	fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	err = fd < 0 ? -errno : read_whole(fd, body, file->body_len);
	if (err == -ESTALE)
		(void)fail(err, "%s: changed while it was read: start again", name);
	else if (err)
		(void)fail(err, "%s: %s: make it readable or take it away", name, strerror(-err));
	else
		file->body = body;
	if (fd >= 0)
		close(fd);
	free(name);
	return err;
}

static const char *alias_body(const struct sc_files *files, const struct sc_file *alias)
{
	char path[SC_TARGET_PATH_MAX + sizeof(index_name)];
	int len = snprintf(path, sizeof(path), "%s%s", alias->path, index_name + 1);

	return sc_files_find(files, path, (size_t)len)->body;
}

int sc_files_load(struct sc_files *files, void *bodies, char *reason, size_t reason_len)
{
	char *next = bodies;
	size_t i;

	for (i = 0; i < files->cnt - files->alias_cnt; i++) {
		int err = load(files, &files->list[i], next, reason, reason_len);

		if (err)
			return err;
		next += aligned(files->list[i].body_len);
	}
	for (; i < files->cnt; i++)
		files->list[i].body = alias_body(files, &files->list[i]);
	return 0;
}

const struct sc_file *sc_files_find(const struct sc_files *files, const char *path, size_t len)
{
	for (size_t slot = hash(path, len) & files->mask;; slot = (slot + 1) & files->mask) {
		const struct sc_file *file = files->table[slot];

		if (!file || (file->path_len == len && !memcmp(file->path, path, len)))
			return file;
	}
}

void sc_files_free(struct sc_files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < files->cnt; i++)
		free((char *)files->list[i].path);
	free(files->table);
	free(files->list);
	free(files->root);
	free(files);
}

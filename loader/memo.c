// SPDX-License-Identifier: MIT
// Keeps a text in a map of one entry, which is replaced as a whole.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "memo.h"

enum {
	PATH_LEN = SC_PATH_LEN + 64 + 32,
	TEXT_LEN_MAX = 1 << 20,
};

static int read_map(int map, char **ret_text)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), zero = 0;
	char *text;
	int err;

	if (bpf_map_get_info_by_fd(map, &info, &len))
		return -errno;
	if (info.value_size > TEXT_LEN_MAX)
		return -EPROTO;
	/* Values are copied in steps of eight bytes. */
	text = calloc(1, info.value_size + 8);
	if (!text)
		return -ENOMEM;
	if (bpf_map_lookup_elem(map, &zero, text)) {
		err = -errno;
		free(text);
		return err;
	}
	*ret_text = text;
	return 0;
}

int sc_memo_read(const struct sc_place *place, const char *name, char **ret_text)
{
	char path[PATH_LEN];
	int map, err;

	snprintf(path, sizeof(path), "%s/%s", place->dir, name);
	map = bpf_obj_get(path);
	if (map < 0 && errno == ENOENT) {
		*ret_text = strdup("");
		return *ret_text ? 0 : -ENOMEM;
	}
	if (map < 0)
		return -errno;
	err = read_map(map, ret_text);
	close(map);
	return err;
}

static int make_map(const char *name, const char *text)
{
	size_t len = (strlen(text) + 8) & ~(size_t)7;
	const __u32 zero = 0;
	char *value;
	int map, err = 0;

	value = calloc(1, len);
	if (!value)
		return -ENOMEM;
	strcpy(value, text);
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(zero), len, 1, NULL);
	if (map < 0 || bpf_map_update_elem(map, &zero, value, BPF_ANY))
		err = -errno;
	free(value);
	if (err && map >= 0)
		close(map);
	return err ?: map;
}

int sc_memo_write(const struct sc_place *place, const char *name, const char *text)
{
	char path[PATH_LEN], fresh[PATH_LEN + 4];
	int map, err = 0;

	snprintf(path, sizeof(path), "%s/%s", place->dir, name);
	snprintf(fresh, sizeof(fresh), "%s-new", path);
	(void)unlink(fresh);
	if (!text[0])
		return unlink(path) && errno != ENOENT ? -errno : 0;
	map = make_map(name, text);
	if (map < 0)
		return map;
	if (bpf_obj_pin(map, fresh) || rename(fresh, path))
		err = -errno;
	close(map);
	if (err)
		(void)unlink(fresh);
	return err;
}

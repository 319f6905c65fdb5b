// SPDX-License-Identifier: MIT
// Changes and reads the trie behind the deny and the allow list.
#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "caps.h"
#include "lists.h"

static int make_trie(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	int trie;

	trie = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "list", sizeof(struct sc_list_key), sizeof(__u32),
			      SC_STEER_LIST_MAX, &opts);
	return trie < 0 ? -errno : trie;
}

/* The trie in use, -ENOENT: there is none yet. */
static int open_trie(const struct sc_pins *pins)
{
	__u32 zero = 0, id;
	int trie, err;

	if (bpf_map_lookup_elem(pins->lists, &zero, &id))
		return -errno;
	/* The kernel gives a map by its id to nobody else. */
	sc_caps_admin(true);
	trie = bpf_map_get_fd_by_id(id);
	err = -errno;
	sc_caps_admin(false);
	return trie < 0 ? err : trie;
}

static int put_trie(const struct sc_pins *pins, int trie)
{
	__u32 zero = 0;

	return bpf_map_update_elem(pins->lists, &zero, &trie, BPF_ANY) ? -errno : 0;
}

static int fill(int trie, __u32 list, const struct sc_prefixes *prefixes)
{
	int i;

	for (i = 0; i < prefixes->cnt; i++)
		if (bpf_map_update_elem(trie, &prefixes->keys[i], &list, BPF_ANY))
			return -errno;
	return 0;
}

static int read_trie(int trie, __u32 list, struct sc_prefixes *prefixes)
{
	struct sc_list_key key, *last = NULL;
	__u32 value;
	int err = 0;

	while (!err && !bpf_map_get_next_key(trie, last, &key)) {
		last = &key;
		if (!bpf_map_lookup_elem(trie, &key, &value) && value == list)
			err = sc_prefixes_append(prefixes, &key);
	}
	return err;
}

bool sc_lists_any(const struct sc_pins *pins)
{
	int trie = open_trie(pins);
	struct sc_list_key key;
	bool any;

	if (trie < 0)
		return false;
	any = !bpf_map_get_next_key(trie, NULL, &key);
	close(trie);
	return any;
}

int sc_lists_add(const struct sc_pins *pins, enum sc_list list, const struct sc_prefixes *prefixes)
{
	int trie = open_trie(pins), err;

	if (trie == -ENOENT)
		return sc_lists_replace(pins, list, prefixes);
	if (trie < 0)
		return trie;
	err = fill(trie, list, prefixes);
	close(trie);
	return err;
}

int sc_lists_del(const struct sc_pins *pins, enum sc_list list, const struct sc_list_key *prefix)
{
	int trie = open_trie(pins), err = 0;
	__u32 value;

	if (trie < 0)
		return trie;
	/* A lookup finds shorter prefixes too, if the very one is not there; but to delete takes the very one. */
	if (bpf_map_lookup_elem(trie, prefix, &value) || value != list)
		err = -ENOENT;
	else if (bpf_map_delete_elem(trie, prefix))
		err = -errno;
	close(trie);
	return err;
}

int sc_lists_read(const struct sc_pins *pins, enum sc_list list, struct sc_prefixes *prefixes)
{
	int trie = open_trie(pins), err;

	if (trie < 0)
		return trie == -ENOENT ? 0 : trie;
	err = read_trie(trie, list, prefixes);
	close(trie);
	return err;
}

int sc_lists_replace(const struct sc_pins *pins, enum sc_list list, const struct sc_prefixes *prefixes)
{
	enum sc_list other = list == SC_LIST_DENY ? SC_LIST_ALLOW : SC_LIST_DENY;
	struct sc_prefixes kept = { 0 };
	int trie, err;

	trie = make_trie();
	if (trie < 0)
		return trie;
	err = sc_lists_read(pins, other, &kept);
	err = err ?: fill(trie, other, &kept);
	err = err ?: fill(trie, list, prefixes);
	err = err ?: put_trie(pins, trie);
	sc_prefixes_free(&kept);
	close(trie);
	return err;
}

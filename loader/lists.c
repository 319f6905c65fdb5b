// SPDX-License-Identifier: MIT
// Changes and reads the maps behind the deny and the allow list.
#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "blocks.h"
#include "caps.h"
#include "hint.h"
#include "lists.h"
#include "modules.h"
#include "steering.h"

/* Where programs look: a hash of single addresses, a trie of shorter prefixes, and before both a table of blocks. */
struct kind {
	__u32 module; /* enum sc_module, 0: none of its own */
	enum bpf_map_type type;
	const char *name;
	int (*outer)(const struct sc_pins *pins);
	__u32 flags, key_size, value_size, max_entries;
};

static int outer_hosts(const struct sc_pins *pins)
{
	return pins->hosts;
}

static int outer_lists(const struct sc_pins *pins)
{
	return pins->lists;
}

static int outer_blocks(const struct sc_pins *pins)
{
	return pins->blocks;
}

enum {
	HOSTS,
	LISTS,
	KEYED_CNT, /* those that hold prefixes */
	BLOCKS = KEYED_CNT,
	KIND_CNT,
};

static const struct kind kinds[KIND_CNT] = {
	[HOSTS] = { SC_MODULE_HOSTS, BPF_MAP_TYPE_HASH, "hosts", outer_hosts, BPF_F_NO_PREALLOC,
		    sizeof(struct sc_list_key), sizeof(__u32), SC_STEER_LIST_MAX },
	[LISTS] = { SC_MODULE_LISTS, BPF_MAP_TYPE_LPM_TRIE, "lists", outer_lists, BPF_F_NO_PREALLOC,
		    sizeof(struct sc_list_key), sizeof(__u32), SC_STEER_LIST_MAX },
	[BLOCKS] = { 0, BPF_MAP_TYPE_ARRAY, "blocks", outer_blocks, BPF_F_MMAPABLE, sizeof(__u32), sizeof(__u64),
		     SC_STEER_BLOCK_WORDS },
};

/* The maps of one set, -1: not there. */
struct set {
	__u32 number;
	int maps[KIND_CNT];
};

static int kind_of(const struct sc_list_key *key)
{
	return key->prefix_len == SC_LIST_FAMILY_BITS + (key->family == SC_STEER_IPV4 ? 32 : 128) ? HOSTS : LISTS;
}

static void set_close(struct set *set)
{
	int i;

	for (i = 0; i < KIND_CNT; i++)
		if (set->maps[i] >= 0)
			close(set->maps[i]);
}

/* Absent is fine: -1. */
static int open_inner(int outer, __u32 number, int *ret_map)
{
	__u32 id;
	int err;

	*ret_map = -1;
	if (bpf_map_lookup_elem(outer, &number, &id))
		return errno == ENOENT ? 0 : -errno;
	/* The kernel gives a map by its id to nobody else. */
	sc_caps_admin(true);
	*ret_map = bpf_map_get_fd_by_id(id);
	err = -errno;
	sc_caps_admin(false);
	return *ret_map < 0 ? err : 0;
}

/* The set in use. */
static int set_open(struct set *ret_set, const struct sc_pins *pins)
{
	struct set set = { .maps = { -1, -1, -1 } };
	struct sc_steering table;
	int i, err;

	err = sc_steering_read(pins, &table);
	set.number = table.list_set;
	for (i = 0; i < KIND_CNT && !err; i++)
		err = open_inner(kinds[i].outer(pins), set.number, &set.maps[i]);
	if (err)
		set_close(&set);
	else
		*ret_set = set;
	return err;
}

/* All maps, empty. */
static int set_make(struct set *ret_set, __u32 number)
{
	struct set set = { .number = number, .maps = { -1, -1, -1 } };
	const struct kind *kind;
	int i, err;

	for (i = 0; i < KIND_CNT; i++) {
		kind = &kinds[i];
		LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = kind->flags);
		set.maps[i] = bpf_map_create(kind->type, kind->name, kind->key_size, kind->value_size,
					     kind->max_entries, &opts);
		if (set.maps[i] >= 0)
			continue;
		err = -errno;
		set_close(&set);
		return err;
	}
	*ret_set = set;
	return 0;
}

/* Returns when no packet is under way that looked before. */
static int set_place(const struct set *set, const struct sc_pins *pins)
{
	int i;

	for (i = 0; i < KIND_CNT; i++)
		if (bpf_map_update_elem(kinds[i].outer(pins), &set->number, &set->maps[i], BPF_ANY))
			return -errno;
	return 0;
}

static void set_remove(const struct sc_pins *pins, __u32 number)
{
	int i;

	for (i = 0; i < KIND_CNT; i++)
		(void)bpf_map_delete_elem(kinds[i].outer(pins), &number);
}

static int set_fill(const struct set *set, __u32 list, const struct sc_prefixes *prefixes)
{
	int i;

	for (i = 0; i < prefixes->cnt; i++)
		if (bpf_map_update_elem(set->maps[kind_of(&prefixes->keys[i])], &prefixes->keys[i], &list, BPF_ANY))
			return errno == E2BIG ? -ENOSPC : -errno;
	return 0;
}

static int set_read(const struct set *set, __u32 list, struct sc_prefixes *prefixes)
{
	struct sc_list_key key, *last;
	__u32 value;
	int i, err = 0;

	for (i = 0; i < KEYED_CNT && !err; i++) {
		last = NULL;
		while (!err && !bpf_map_get_next_key(set->maps[i], last, &key)) {
			last = &key;
			if (!bpf_map_lookup_elem(set->maps[i], &key, &value) && value == list)
				err = sc_prefixes_append(prefixes, &key);
		}
	}
	return err;
}

/* Packets go over to the new set between two of them; the old one goes when no packet can still be looking into it. */
static int set_use(const struct set *set, const struct sc_pins *pins)
{
	int err;

	err = set_place(set, pins);
	err = err ?: sc_steering_set_lists(pins, set->number);
	err = err ?: set_place(set, pins);
	if (!err)
		set_remove(pins, (set->number + 1) % SC_STEER_LIST_SETS);
	return err;
}

static bool set_is_there(const struct set *set)
{
	return set->maps[HOSTS] >= 0 && set->maps[LISTS] >= 0;
}

/* Due before the maps change while packets look into them. Where an older version made the set, there is no table. */
static int set_ask(const struct set *set, const struct sc_list_key *prefixes, int cnt)
{
	__u64 *words;
	int i, err;

	if (set->maps[BLOCKS] < 0)
		return 0;
	err = sc_blocks_map(set->maps[BLOCKS], &words);
	if (err)
		return err;
	for (i = 0; i < cnt; i++)
		sc_blocks_ask(words, &prefixes[i]);
	sc_blocks_unmap(words);
	return 0;
}

/* Of a set that is not in use: two lists, of which the second has what is on both. */
static int set_build(const struct set *set, enum sc_list first_list, const struct sc_prefixes *first,
		     enum sc_list second_list, const struct sc_prefixes *second)
{
	__u64 *words;
	int err;

	err = set_fill(set, first_list, first);
	err = err ?: set_fill(set, second_list, second);
	err = err ?: sc_blocks_map(set->maps[BLOCKS], &words);
	if (err)
		return err;
	sc_blocks_build(words, first, first_list, second, second_list);
	sc_blocks_unmap(words);
	return 0;
}

static int set_add(const struct set *set, enum sc_list list, const struct sc_prefixes *prefixes)
{
	int err = set_ask(set, prefixes->keys, prefixes->cnt);

	return err ?: set_fill(set, list, prefixes);
}

__u32 sc_prefixes_modules(const struct sc_prefixes *prefixes)
{
	__u32 modules = 0;
	int i;

	for (i = 0; i < prefixes->cnt; i++)
		modules |= kinds[kind_of(&prefixes->keys[i])].module;
	return modules;
}

/* Modules that have something to look for. */
static int used_modules(const struct sc_pins *pins, __u32 *ret_modules)
{
	struct sc_list_key key;
	__u32 modules = 0;
	struct set set;
	int i, err;

	err = set_open(&set, pins);
	if (err)
		return err;
	for (i = 0; i < KEYED_CNT; i++)
		if (set.maps[i] >= 0 && !bpf_map_get_next_key(set.maps[i], NULL, &key))
			modules |= kinds[i].module;
	set_close(&set);
	*ret_modules = modules;
	return 0;
}

int sc_lists_settle(const struct sc_place *place, struct sc_pins *pins)
{
	__u32 used = 0;
	int err = used_modules(pins, &used);

	if (!err)
		return sc_modules_switch(place, pins, (SC_MODULE_HOSTS | SC_MODULE_LISTS) & ~used, false);
	sc_hint_error(place->ifname, SC_STEP_LISTS, err);
	return err;
}

int sc_lists_add(const struct sc_pins *pins, enum sc_list list, const struct sc_prefixes *prefixes)
{
	struct set set;
	int err;

	err = set_open(&set, pins);
	if (err)
		return err;
	err = set_is_there(&set) ? set_add(&set, list, prefixes) : sc_lists_replace(pins, list, prefixes);
	set_close(&set);
	return err;
}

int sc_lists_del(const struct sc_pins *pins, enum sc_list list, const struct sc_list_key *prefix)
{
	struct set set;
	__u32 value;
	int map, err;

	err = set_open(&set, pins);
	if (err)
		return err;
	map = set.maps[kind_of(prefix)];
	/* A lookup in a trie finds shorter prefixes too, if the very one is not there; but to delete takes the very one. */
	if (bpf_map_lookup_elem(map, prefix, &value) || value != list)
		err = -ENOENT;
	else
		err = set_ask(&set, prefix, 1);
	if (!err && bpf_map_delete_elem(map, prefix))
		err = -errno;
	set_close(&set);
	return err;
}

int sc_lists_read(const struct sc_pins *pins, enum sc_list list, struct sc_prefixes *prefixes)
{
	struct set set;
	int err;

	err = set_open(&set, pins);
	if (err)
		return err;
	if (set_is_there(&set))
		err = set_read(&set, list, prefixes);
	set_close(&set);
	return err;
}

int sc_lists_replace(const struct sc_pins *pins, enum sc_list list, const struct sc_prefixes *prefixes)
{
	enum sc_list other = list == SC_LIST_DENY ? SC_LIST_ALLOW : SC_LIST_DENY;
	struct sc_prefixes kept = { 0 };
	struct sc_steering table;
	struct set set;
	int err;

	err = sc_steering_read(pins, &table);
	err = err ?: set_make(&set, (table.list_set + 1) % SC_STEER_LIST_SETS);
	if (err)
		return err;
	err = sc_lists_read(pins, other, &kept);
	err = err ?: set_build(&set, other, &kept, list, prefixes);
	err = err ?: set_use(&set, pins);
	sc_prefixes_free(&kept);
	set_close(&set);
	return err;
}

/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The deny and the allow list. */
#ifndef SC_BPF_LISTS_H
#define SC_BPF_LISTS_H

#include "flow.h"

/* enum sc_list, 0: on none, SC_BLOCK_ASK. Most packets end here: no hash, no walk down a trie. */
static __always_inline __u32 block_find(const struct flow *flow, __u32 set)
{
	__u32 host = bpf_ntohl(flow->from_addr[0]), key = SC_BLOCK_WORD(host);
	void *map = bpf_map_lookup_elem(&blocks, &set);
	__u64 *word = map ? bpf_map_lookup_elem(map, &key) : NULL;

	return word ? *word >> SC_BLOCK_SHIFT(host) & SC_BLOCK_ASK : SC_BLOCK_ASK;
}

/* enum sc_list, 0: on none. One lookup for both lists; a single address is the longest prefix, so it is asked first. */
static __always_inline __u32 list_find(const struct sc_list_key *key, __u32 set)
{
	__u32 *list;
	void *map;

	if (constants.modules & SC_MODULE_HOSTS) {
		map = bpf_map_lookup_elem(&hosts, &set);
		list = map ? bpf_map_lookup_elem(map, key) : NULL;
		if (list)
			return *list;
	}
	if (constants.modules & SC_MODULE_LISTS) {
		map = bpf_map_lookup_elem(&lists, &set);
		list = map ? bpf_map_lookup_elem(map, key) : NULL;
		if (list)
			return *list;
	}
	return 0;
}

static __always_inline bool list_denies(const struct flow *flow, __u32 set)
{
	struct sc_list_key key = {
		.prefix_len = SC_LIST_FAMILY_BITS + (flow->to.family == SC_STEER_IPV4 ? 32 : 128),
		.family = flow->to.family,
	};
	__u32 found;

	if (flow->to.family == SC_STEER_IPV4) {
		found = block_find(flow, set);
		if (found != SC_BLOCK_ASK)
			return found == SC_LIST_DENY;
	}
	__builtin_memcpy(key.addr, flow->from_addr, sizeof(key.addr));
	return list_find(&key, set) == SC_LIST_DENY;
}

#endif

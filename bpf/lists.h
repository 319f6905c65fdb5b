/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The deny and the allow list. */
#ifndef SC_BPF_LISTS_H
#define SC_BPF_LISTS_H

#include "flow.h"

/* One lookup for both lists: the longest prefix decides. */
static __always_inline bool list_denies(const struct flow *flow)
{
	struct sc_list_key key = {
		.prefix_len = SC_LIST_FAMILY_BITS + (flow->to.family == SC_STEER_IPV4 ? 32 : 128),
		.family = flow->to.family,
	};
	__u32 zero = 0, *list;
	void *trie;

	trie = bpf_map_lookup_elem(&lists, &zero);
	if (!trie)
		return false;
	__builtin_memcpy(key.addr, flow->from_addr, sizeof(key.addr));
	list = bpf_map_lookup_elem(trie, &key);
	return list && *list == SC_LIST_DENY;
}

#endif

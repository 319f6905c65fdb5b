/* SPDX-License-Identifier: MIT */
/* What the lists say of each IPv4 block of 256 addresses, so that few packets need to be looked for on them. */
#ifndef SC_LOADER_BLOCKS_H
#define SC_LOADER_BLOCKS_H

#include "lists.h"

/* Map `blocks` of a set, mapped. 0 or -errno. */
int sc_blocks_map(int map, __u64 **ret_words);
void sc_blocks_unmap(__u64 *words);

/* For prefixes of these two lists, while no packet looks; a prefix on both is on the second. The words were zero. */
void sc_blocks_build(__u64 *words, const struct sc_prefixes *first, enum sc_list first_list,
		     const struct sc_prefixes *second, enum sc_list second_list);

/* Has packets from a prefix looked for: due before the prefix comes to a list or leaves one. */
void sc_blocks_ask(__u64 *words, const struct sc_list_key *prefix);

#endif

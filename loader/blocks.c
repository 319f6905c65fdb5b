// SPDX-License-Identifier: MIT
// Builds the table of IPv4 blocks that stands before the lists.
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "blocks.h"

enum {
	PER_WORD = SC_STEER_BLOCKS / SC_STEER_BLOCK_WORDS,
	BLOCK_PREFIX_LEN = 24,
	MAP_LEN = SC_STEER_BLOCK_WORDS * sizeof(__u64),
};

int sc_blocks_map(int map, __u64 **ret_words)
{
	void *words = mmap(NULL, MAP_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);

	if (words == MAP_FAILED)
		return -errno;
	*ret_words = words;
	return 0;
}

void sc_blocks_unmap(__u64 *words)
{
	munmap(words, MAP_LEN);
}

/* Word by word: a packet sees all of a word as it was, or as it is. */
static void set(__u64 *words, const struct sc_list_key *prefix, __u32 value)
{
	__u32 len = prefix->prefix_len - SC_LIST_FAMILY_BITS, block = ntohl(prefix->addr[0]) >> 8, i;
	__u32 cnt = len < BLOCK_PREFIX_LEN ? 1U << (BLOCK_PREFIX_LEN - len) : 1;
	__u64 values = value * (~0ULL / SC_BLOCK_ASK), mask = ~0ULL;
	__u64 *word = words + block / PER_WORD;

	if (cnt < PER_WORD)
		mask = ((1ULL << cnt * SC_STEER_BLOCK_BITS) - 1) << block % PER_WORD * SC_STEER_BLOCK_BITS;
	for (i = 0; i < (cnt + PER_WORD - 1) / PER_WORD; i++, word++)
		__atomic_store_n(word, (*word & ~mask) | (values & mask), __ATOMIC_RELAXED);
}

static void set_of_len(__u64 *words, const struct sc_prefixes *prefixes, __u32 len, __u32 value)
{
	const struct sc_list_key *key;

	for (key = prefixes->keys; key < prefixes->keys + prefixes->cnt; key++)
		if (key->family == SC_STEER_IPV4 && key->prefix_len == SC_LIST_FAMILY_BITS + len)
			set(words, key, value);
}

void sc_blocks_build(__u64 *words, const struct sc_prefixes *first, enum sc_list first_list,
		     const struct sc_prefixes *second, enum sc_list second_list)
{
	__u32 len;

	/* The longest prefix decides, so it comes last. */
	for (len = 0; len <= 32; len++) {
		set_of_len(words, first, len, len > BLOCK_PREFIX_LEN ? SC_BLOCK_ASK : first_list);
		set_of_len(words, second, len, len > BLOCK_PREFIX_LEN ? SC_BLOCK_ASK : second_list);
	}
}

void sc_blocks_ask(__u64 *words, const struct sc_list_key *prefix)
{
	if (prefix->family == SC_STEER_IPV4)
		set(words, prefix, SC_BLOCK_ASK);
}

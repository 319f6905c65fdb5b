// SPDX-License-Identifier: MIT
// The table of IPv4 blocks against the lists it stands before: right for each address, and asking no more than it must.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blocks.h"

enum {
	ROUNDS = 300,
	PREFIXES_MAX = 24,
	CHECKED = 400, /* addresses of a round */
	BLOCK_PREFIX_LEN = 24,
};

static uint64_t state = 88172645463325252ULL;
static __u64 words[SC_STEER_BLOCK_WORDS];
static struct sc_list_key keys[2][PREFIXES_MAX];

static uint32_t below(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % limit;
}

/* Close to each other, so that they nest; at the ends of the address space too. */
static uint32_t address(void)
{
	static const uint32_t corners[] = { 0, 0x0a4d0000, 0xffffe000 };

	return corners[below(3)] + below(3) * 4096 + below(0x2000);
}

static uint32_t mask_of(__u32 len)
{
	return len ? ~0U << (32 - len) : 0;
}

static __u32 len_of(const struct sc_list_key *key)
{
	return key->prefix_len - SC_LIST_FAMILY_BITS;
}

static bool holds(const struct sc_list_key *key, uint32_t host)
{
	return key->family == SC_STEER_IPV4 && !((ntohl(key->addr[0]) ^ host) & mask_of(len_of(key)));
}

static void fill(struct sc_prefixes *prefixes, struct sc_list_key *room)
{
	/* Few are shorter than the blocks that one word has; one may be the whole space. */
	static const __u32 lens[] = { 0, 1, 8, 12, 18, 19, 20, 21, 22, 23, 24, 24, 24, 25, 28, 31, 32, 32 };
	int i;

	prefixes->keys = room;
	prefixes->cnt = below(PREFIXES_MAX + 1);
	for (i = 0; i < prefixes->cnt; i++) {
		__u32 len = lens[below(sizeof(lens) / sizeof(lens[0]))];

		room[i] = (struct sc_list_key){ .prefix_len = SC_LIST_FAMILY_BITS + len,
						.family = below(10) ? SC_STEER_IPV4 : SC_STEER_IPV6,
						.addr = { htonl(address() & mask_of(len)) } };
	}
}

/* What the lists say of an address: the longest prefix, of equal ones that of the second list. */
static __u32 truth(const struct sc_prefixes lists[2], const enum sc_list names[2], uint32_t host)
{
	__u32 best = 0, found = 0;
	int list, i;

	for (list = 0; list < 2; list++)
		for (i = 0; i < lists[list].cnt; i++)
			if (holds(&lists[list].keys[i], host) && len_of(&lists[list].keys[i]) + 1 >= best) {
				best = len_of(&lists[list].keys[i]) + 1;
				found = names[list];
			}
	return found;
}

static bool has_longer(const struct sc_prefixes lists[2], uint32_t host)
{
	int list, i;

	for (list = 0; list < 2; list++)
		for (i = 0; i < lists[list].cnt; i++)
			if (lists[list].keys[i].family == SC_STEER_IPV4 &&
			    len_of(&lists[list].keys[i]) > BLOCK_PREFIX_LEN &&
			    !((ntohl(lists[list].keys[i].addr[0]) ^ host) & mask_of(BLOCK_PREFIX_LEN)))
				return true;
	return false;
}

static __u32 block(uint32_t host)
{
	return words[SC_BLOCK_WORD(host)] >> SC_BLOCK_SHIFT(host) & SC_BLOCK_ASK;
}

static void test_build(void **unused)
{
	static const enum sc_list names[2][2] = { { SC_LIST_DENY, SC_LIST_ALLOW }, { SC_LIST_ALLOW, SC_LIST_DENY } };
	struct sc_prefixes lists[2];
	int round, i;

	(void)unused;
	for (round = 0; round < ROUNDS; round++) {
		memset(words, 0, sizeof(words));
		fill(&lists[0], keys[0]);
		fill(&lists[1], keys[1]);
		sc_blocks_build(words, &lists[0], names[round % 2][0], &lists[1], names[round % 2][1]);
		for (i = 0; i < CHECKED; i++) {
			uint32_t host = below(20) ? address() : (uint32_t)state;

			if (has_longer(lists, host))
				assert_int_equal(block(host), SC_BLOCK_ASK);
			else
				assert_int_equal(block(host), truth(lists, names[round % 2], host));
		}
	}
}

/* Asks within the prefix or the block around it, and nowhere else. */
static void test_ask(void **unused)
{
	struct sc_prefixes lists[2], one = { .keys = keys[1], .cnt = 1 };
	int round, i;

	(void)unused;
	for (round = 0; round < ROUNDS; round++) {
		memset(words, 0, sizeof(words));
		do
			fill(&lists[1], keys[1]);
		while (!lists[1].cnt);
		sc_blocks_ask(words, &keys[1][0]);
		lists[0].cnt = 0;
		lists[1] = one;
		for (i = 0; i < CHECKED; i++) {
			uint32_t host = below(20) ? address() : (uint32_t)state;
			bool within = holds(&keys[1][0], host) || has_longer(lists, host);

			assert_int_equal(block(host), within ? SC_BLOCK_ASK : 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_build), cmocka_unit_test(test_ask) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* The arena allocator against a model: pieces never overlap, and all memory comes back as one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"

enum { LEN = 3 << 20, PIECES = 300, ROUNDS = 200000 };

static void test_sizes(void **state)
{
	char *mem = aligned_alloc(4096, LEN), *a, *b;
	struct arena arena;

	(void)state;
	assert_int_equal(sc_arena_init(&arena, mem, LEN), 0);
	assert_null(sc_arena_alloc(&arena, 0));
	assert_null(sc_arena_alloc(&arena, LEN));
	assert_null(sc_arena_alloc(&arena, SIZE_MAX));
	/* 3 MiB are one piece of 2 and one of 1 */
	a = sc_arena_alloc(&arena, 2 << 20);
	b = sc_arena_alloc(&arena, 1 << 20);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(sc_arena_alloc(&arena, 1));
	sc_arena_free(&arena, a);
	assert_ptr_equal(sc_arena_alloc(&arena, (1 << 20) + 1), a);
	sc_arena_free(&arena, a);
	sc_arena_free(&arena, b);
	sc_arena_exit(&arena);
	free(mem);
}

struct piece {
	unsigned char *at;
	size_t len;
	unsigned char mark;
};

static void piece_check(const struct piece *piece)
{
	for (size_t i = 0; i < piece->len; i += 61)
		assert_int_equal(piece->at[i], piece->mark);
}

static void test_random(void **state)
{
	static struct piece pieces[PIECES];
	char *mem = aligned_alloc(4096, LEN);
	struct arena arena;
	unsigned int seed = 1, got = 0;

	(void)state;
	assert_int_equal(sc_arena_init(&arena, mem, LEN), 0);
	for (int round = 0; round < ROUNDS; round++) {
		struct piece *piece = &pieces[rand_r(&seed) % PIECES];

		if (piece->at) {
			piece_check(piece);
			sc_arena_free(&arena, piece->at);
			piece->at = NULL;
			continue;
		}
		piece->len = 1 + (size_t)rand_r(&seed) % (1U << (rand_r(&seed) % 18));
		piece->at = sc_arena_alloc(&arena, piece->len);
		if (!piece->at)
			continue;
		got++;
		assert_int_equal((uintptr_t)piece->at % 64, 0);
		assert_true((char *)piece->at >= mem && (char *)piece->at + piece->len <= mem + LEN);
		piece->mark = (unsigned char)rand_r(&seed);
		memset(piece->at, piece->mark, piece->len);
	}
	assert_true(got > ROUNDS / 4);
	for (int i = 0; i < PIECES; i++)
		if (pieces[i].at)
			sc_arena_free(&arena, pieces[i].at);
	assert_non_null(sc_arena_alloc(&arena, 2 << 20));
	assert_non_null(sc_arena_alloc(&arena, 1 << 20));
	sc_arena_exit(&arena);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sizes), cmocka_unit_test(test_random) };

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}

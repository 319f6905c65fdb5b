// SPDX-License-Identifier: MIT
/*
 * A buddy allocator over memory whose contents it never reads: its books are private, because another process may
 * write to the memory it deals in. Knuth, The Art of Computer Programming, vol. 1, 2.5.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "arena.h"

enum block_state { BLOCK_INSIDE = 0, BLOCK_FREE = 0x40, BLOCK_USED = 0x80, BLOCK_ORDER_MASK = 0x3f };

static const uint32_t none = UINT32_MAX;

static void list_add(struct arena *arena, uint32_t block, unsigned int order)
{
	uint32_t head = arena->free_head[order];

	arena->state[block] = BLOCK_FREE | order;
	arena->prev[block] = none;
	arena->next[block] = head;
	if (head != none)
		arena->prev[head] = block;
	arena->free_head[order] = block;
}

static void list_remove(struct arena *arena, uint32_t block, unsigned int order)
{
	uint32_t next = arena->next[block], prev = arena->prev[block];

	if (next != none)
		arena->prev[next] = prev;
	if (prev != none)
		arena->next[prev] = next;
	else
		arena->free_head[order] = next;
	arena->state[block] = BLOCK_INSIDE;
}

int sc_arena_init(struct arena *arena, void *mem, size_t len)
{
	uint32_t block = 0;

	*arena = (struct arena){ .mem = mem, .block_cnt = len >> ARENA_BLOCK_SHIFT };
	arena->state = calloc(arena->block_cnt + 1, sizeof(*arena->state));
	arena->next = calloc(arena->block_cnt + 1, sizeof(*arena->next));
	arena->prev = calloc(arena->block_cnt + 1, sizeof(*arena->prev));
	if (!arena->state || !arena->next || !arena->prev) {
		sc_arena_exit(arena);
		return -ENOMEM;
	}
	for (unsigned int order = 0; order < ARENA_ORDERS; order++)
		arena->free_head[order] = none;
	/* The largest aligned blocks that fit, so that each one's buddy is at block ^ (1 << order). */
	while (block < arena->block_cnt) {
		unsigned int order = block ? (unsigned int)__builtin_ctz(block) : ARENA_ORDERS - 1;

		if (order >= ARENA_ORDERS)
			order = ARENA_ORDERS - 1;
		while ((1U << order) > arena->block_cnt - block)
			order--;
		list_add(arena, block, order);
		block += 1U << order;
	}
	return 0;
}

void sc_arena_exit(struct arena *arena)
{
	free(arena->state);
	free(arena->next);
	free(arena->prev);
	*arena = (struct arena){ 0 };
}

static unsigned int order_of(size_t len)
{
	size_t blocks = (len + (1U << ARENA_BLOCK_SHIFT) - 1) >> ARENA_BLOCK_SHIFT;
	unsigned int order = 0;

	while (order < ARENA_ORDERS && ((size_t)1 << order) < blocks)
		order++;
	return order;
}

void *sc_arena_alloc(struct arena *arena, size_t len)
{
	unsigned int order, found;
	uint32_t block;

	if (!len || len > (size_t)arena->block_cnt << ARENA_BLOCK_SHIFT)
		return NULL;
	order = order_of(len);
	found = order;
	while (found < ARENA_ORDERS && arena->free_head[found] == none)
		found++;
	if (found >= ARENA_ORDERS)
		return NULL;
	block = arena->free_head[found];
	list_remove(arena, block, found);
	while (found > order) {
		found--;
		list_add(arena, block + (1U << found), found);
	}
	arena->state[block] = BLOCK_USED | order;
	return arena->mem + ((size_t)block << ARENA_BLOCK_SHIFT);
}

void sc_arena_free(struct arena *arena, void *mem)
{
	size_t off = (size_t)((char *)mem - arena->mem);
	uint32_t block = off >> ARENA_BLOCK_SHIFT;
	unsigned int order;

	assert(block < arena->block_cnt && !(off & ((1U << ARENA_BLOCK_SHIFT) - 1)));
	assert(arena->state[block] & BLOCK_USED);
	order = arena->state[block] & BLOCK_ORDER_MASK;
	arena->state[block] = BLOCK_INSIDE;
	while (order + 1 < ARENA_ORDERS) {
		uint32_t buddy = block ^ (1U << order);

		if (buddy >= arena->block_cnt || arena->state[buddy] != (BLOCK_FREE | order))
			break;
		list_remove(arena, buddy, order);
		block &= ~(1U << order);
		order++;
	}
	list_add(arena, block, order);
}

/* SPDX-License-Identifier: MIT */
/* A buddy allocator over memory whose contents it never reads: its books are private. */
#ifndef LIBAPP_ARENA_H
#define LIBAPP_ARENA_H

#include <stddef.h>
#include <stdint.h>

enum { ARENA_BLOCK_SHIFT = 8, ARENA_ORDERS = 24 }; /* 256 bytes up to 2 GiB */

struct arena {
	char *mem;
	uint32_t block_cnt;
	uint8_t *state; /* per block: what begins here, enum block_state | order */
	uint32_t *next; /* per block, of the free list of its order */
	uint32_t *prev;
	uint32_t free_head[ARENA_ORDERS];
};

/* mem: len bytes, page-aligned, owned by the caller and outliving the arena. -ENOMEM. */
int sc_arena_init(struct arena *arena, void *mem, size_t len);
void sc_arena_exit(struct arena *arena);

/* NULL when no free block is large enough or len is 0. */
void *sc_arena_alloc(struct arena *arena, size_t len);
void sc_arena_free(struct arena *arena, void *mem);

#endif

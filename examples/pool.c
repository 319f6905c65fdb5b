// SPDX-License-Identifier: MIT
/* A stack of what is free, in memory of its own: the blocks lie where the engine's process could write, too. */
#include <stdlib.h>

#include "pool.h"

void sc_pool_init(struct sc_pool *pool, struct sc_session *session, size_t block_len)
{
	*pool = (struct sc_pool){ .session = session, .block_len = block_len };
}

void sc_pool_exit(struct sc_pool *pool)
{
	free(pool->free);
}

/* One more block, and room to put it back. */
static void *grow(struct sc_pool *pool)
{
	void *block;

	if (pool->made == pool->room) {
		size_t room = pool->room ? 2 * pool->room : 64;
		void **larger = reallocarray(pool->free, room, sizeof(*larger));

		if (!larger)
			return NULL;
		pool->free = larger;
		pool->room = room;
	}
	block = sc_alloc(pool->session, pool->block_len);
	pool->made += !!block;
	return block;
}

void *sc_pool_get(struct sc_pool *pool)
{
	return pool->cnt ? pool->free[--pool->cnt] : grow(pool);
}

void sc_pool_put(struct sc_pool *pool, void *block)
{
	pool->free[pool->cnt++] = block;
}

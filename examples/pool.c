// SPDX-License-Identifier: MIT
/* A free list through the blocks themselves. */
#include "pool.h"

void sc_pool_init(struct sc_pool *pool, struct sc_session *session, size_t block_len)
{
	*pool = (struct sc_pool){ .session = session, .block_len = block_len };
}

void *sc_pool_get(struct sc_pool *pool)
{
	void **block = pool->free;

	if (!block)
		return sc_alloc(pool->session, pool->block_len);
	pool->free = *block;
	return block;
}

void sc_pool_put(struct sc_pool *pool, void *block)
{
	*(void **)block = pool->free;
	pool->free = block;
}

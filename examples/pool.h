/* SPDX-License-Identifier: MIT */
/* Equal blocks from the arena, handed out last in first out, so that the few in use stay in the caches. */
#ifndef EXAMPLES_POOL_H
#define EXAMPLES_POOL_H

#include <stddef.h>

#include <sidecore/app.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sc_pool {
	struct sc_session *session; /* its arena holds the blocks and takes them with it */
	size_t block_len;
	void **free;
	size_t cnt; /* of them */
	size_t made; /* blocks in all */
	size_t room; /* for so many */
};

void sc_pool_init(struct sc_pool *pool, struct sc_session *session, size_t block_len);

/* The blocks are the session's. */
void sc_pool_exit(struct sc_pool *pool);

/* NULL when the arena is used up. */
void *sc_pool_get(struct sc_pool *pool);

/* Only after every send from it has completed. */
void sc_pool_put(struct sc_pool *pool, void *block);

#ifdef __cplusplus
}
#endif
#endif

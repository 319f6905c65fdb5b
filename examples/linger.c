// SPDX-License-Identifier: MIT
/* A list in order of time. */
#include <stddef.h>
#include <time.h>

#include "linger.h"

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void sc_linger_init(struct sc_linger *linger)
{
	linger->head.next = linger->head.prev = &linger->head;
}

void sc_linger_add(struct sc_linger *linger, struct sc_linger_node *node)
{
	node->due_ms = now_ms() + SC_LINGER_MS;
	node->prev = linger->head.prev;
	node->next = &linger->head;
	node->prev->next = node;
	linger->head.prev = node;
}

void sc_linger_remove(struct sc_linger_node *node)
{
	if (!node->next)
		return;
	node->next->prev = node->prev;
	node->prev->next = node->next;
	node->next = node->prev = NULL;
}

struct sc_linger_node *sc_linger_take_due(struct sc_linger *linger)
{
	struct sc_linger_node *first = linger->head.next;

	if (first == &linger->head || first->due_ms > now_ms())
		return NULL;
	sc_linger_remove(first);
	return first;
}

int sc_linger_timeout_ms(const struct sc_linger *linger)
{
	const struct sc_linger_node *first = linger->head.next;
	uint64_t now;

	if (first == &linger->head)
		return -1;
	now = now_ms();
	return first->due_ms > now ? (int)(first->due_ms - now) : 0;
}

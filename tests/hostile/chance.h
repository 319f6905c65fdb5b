/* SPDX-License-Identifier: MIT */
/* Random numbers that a seed repeats. */
#ifndef HOSTILE_CHANCE_H
#define HOSTILE_CHANCE_H

#include <stdint.h>

struct chance {
	uint64_t state; /* not 0 */
};

static inline uint64_t chance_next(struct chance *chance)
{
	chance->state ^= chance->state << 13;
	chance->state ^= chance->state >> 7;
	chance->state ^= chance->state << 17;
	return chance->state;
}

/* 0 to below limit. */
static inline uint32_t chance_below(struct chance *chance, uint32_t limit)
{
	return (uint32_t)(chance_next(chance) >> 32) % limit;
}

/* A length or index as bugs like them: small, around a power of two, or anything. */
static inline uint32_t chance_odd_number(struct chance *chance)
{
	switch (chance_below(chance, 4)) {
	case 0:
		return chance_below(chance, 4);
	case 1:
		return (1U << chance_below(chance, 32)) + chance_below(chance, 3) - 1;
	case 2:
		return ~chance_below(chance, 4);
	default:
		return (uint32_t)chance_next(chance);
	}
}

#endif

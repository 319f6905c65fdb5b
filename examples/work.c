// SPDX-License-Identifier: MIT
/* A chain of dependent multiplications, so that neither compiler nor processor can shorten it. */
#include <time.h>

#include "work.h"

static void compute(uint64_t rounds)
{
	uint64_t value = rounds | 1;

	while (rounds--) {
		value *= 0x9e3779b97f4a7c15;
		__asm__ volatile("" : "+r"(value));
	}
}

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void sc_work_init(struct sc_work *work, unsigned int work_us)
{
	enum { TRIALS = 20, TRIAL_ROUNDS = 200000 };
	uint64_t best = UINT64_MAX;

	work->rounds = 0;
	if (!work_us)
		return;
	for (int i = 0; i < TRIALS; i++) { /* the shortest trial is the one nobody disturbed */
		uint64_t begin = now_ns(), taken;

		compute(TRIAL_ROUNDS);
		taken = now_ns() - begin;
		if (taken < best)
			best = taken;
	}
	work->rounds = (uint64_t)work_us * 1000 * TRIAL_ROUNDS / (best ? best : 1);
}

void sc_work_do(const struct sc_work *work)
{
	if (work->rounds)
		compute(work->rounds);
}

/* SPDX-License-Identifier: MIT */
/* Stands for what an application computes per request: a loop that takes a known time on an idle core. */
#ifndef EXAMPLES_WORK_H
#define EXAMPLES_WORK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sc_work {
	uint64_t rounds;
};

/*
 * Takes some milliseconds if work_us is not 0. Calibrated once rather than timed at each call: time in which the core
 * did something else must not count as work done.
 */
void sc_work_init(struct sc_work *work, unsigned int work_us);

void sc_work_do(const struct sc_work *work);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/* One round of the random test: a session or a group of them with random options, used at random until a number of operations is done. */
#ifndef TESTS_RANDOM_APP_H
#define TESTS_RANDOM_APP_H

#include <sidecore/app.h>

/* What was done, over all rounds of an engine. */
struct tally {
	uint64_t ops; /* sends, releases, allocations, shutdowns, closes, listens, connects, segments, handovers, datagrams */
	uint64_t polls; /* looks for events */
	uint64_t moves; /* of the peers */
	uint64_t conns, connected, given; /* in all; made by the application; to another session */
	uint64_t segments, ranges;
	uint64_t datagrams, dropped; /* received; not for want of room */
	uint64_t bytes; /* both ways */
	uint64_t failed_sends, failed_allocs, copied, starved, paused;
};

void random_round(enum sc_engine engine, uint64_t seed, uint64_t ops, struct tally *tally);

#endif

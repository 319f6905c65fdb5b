// SPDX-License-Identifier: MIT
/*
 * libapp used at random against a model of byte streams, on the local engine and, with a ringsvc of its own, on the direct
 * one, and less of it on both with sockets as descriptors. A failure tells the seed of its round: SC_SEED=<it> begins there.
 * SC_OPS: how many operations on each.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "app_service.h"
#include "random_app.h"
#include "random_model.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { OPS = 100000 };
#else
enum { OPS = 1000000 };
#endif
/* A machine that is too slow for all operations ends with fewer. */
enum { ROUND_OPS = 10000, PATIENCE_S = 30 };

static const struct ground {
	const char *name;
	enum sc_engine engine;
	bool descriptors;
	unsigned int part; /* of the operations and the time */
} grounds[] = {
	{ "local", SC_ENGINE_LOCAL, false, 1 },
	{ "direct", SC_ENGINE_DIRECT, false, 1 },
	{ "local, descriptors", SC_ENGINE_LOCAL, true, 4 },
	{ "direct, descriptors", SC_ENGINE_DIRECT, true, 4 },
};
enum { GROUNDS = sizeof(grounds) / sizeof(*grounds) };

static const struct ground *ground;
static uint64_t seed;

void random_fail(const char *format, ...)
{
	va_list args;

	(void)printf("not ok - %s, SC_SEED=%llu: ", ground->name, (unsigned long long)seed);
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)printf("\n");
	(void)fflush(stdout);
	if (service_path())
		service_stop();
	_exit(1);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void ground_test(void)
{
	uint64_t first = number("SC_SEED", 1), ops = number("SC_OPS", OPS / ground->part);
	time_t end = time(NULL) + PATIENCE_S / ground->part;
	struct tally tally = { 0 };

	for (seed = first; tally.ops < ops; seed++) {
		if (time(NULL) > end && !getenv("SC_OPS"))
			break;
		random_round(ground->engine, seed, ops - tally.ops < ROUND_OPS ? ops - tally.ops : ROUND_OPS, &tally);
	}
	(void)printf("ok %u - %s: %llu operations and %llu polls, seeds %llu to %llu\n",
		     (unsigned int)(ground - grounds) + 1, ground->name, (unsigned long long)tally.ops,
		     (unsigned long long)tally.polls, (unsigned long long)first, (unsigned long long)(seed - 1));
	(void)printf(
		"# %llu connections, %llu of them made, %llu handed over, %llu failed to send, %llu bytes, %llu moves of peers, %llu buffers copied, "
		"%llu starved, %llu pauses, %llu refused allocations, %llu segments, %llu file ranges, %llu datagrams, %llu dropped\n",
		(unsigned long long)tally.conns, (unsigned long long)tally.connected, (unsigned long long)tally.given,
		(unsigned long long)tally.failed_sends, (unsigned long long)tally.bytes,
		(unsigned long long)tally.moves, (unsigned long long)tally.copied, (unsigned long long)tally.starved,
		(unsigned long long)tally.paused, (unsigned long long)tally.failed_allocs,
		(unsigned long long)tally.segments, (unsigned long long)tally.ranges,
		(unsigned long long)tally.datagrams, (unsigned long long)tally.dropped);
	(void)fflush(stdout);
}

int main(void)
{
	(void)printf("1..%d\n", GROUNDS);
	for (ground = grounds; ground < grounds + GROUNDS; ground++) {
		bool service = ground->engine == SC_ENGINE_DIRECT;

		EXPECT(!ground->descriptors || !setenv("SIDECORE_DESCRIPTORS", "1", 1), "out of memory");
		EXPECT(!service || !service_start(), "the service does not start");
		ground_test();
		if (service)
			service_stop();
	}
	return 0;
}

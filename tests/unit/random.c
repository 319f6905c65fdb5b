// SPDX-License-Identifier: MIT
/*
 * libapp used at random against a model of byte streams, on the local engine and, with a ringsvc of its own, on the direct
 * one. A failure tells the seed of its round: SC_SEED=<it> begins there. SC_OPS: how many operations per engine.
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
enum { ROUND_OPS = 10000, PATIENCE_S = 25 };

static enum sc_engine engine;
static uint64_t seed;

void random_fail(const char *format, ...)
{
	va_list args;

	(void)printf("not ok - %s, SC_SEED=%llu: ", sc_engine_name(engine), (unsigned long long)seed);
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

static void engine_test(unsigned int idx, enum sc_engine which)
{
	uint64_t first = number("SC_SEED", 1), ops = number("SC_OPS", OPS);
	time_t end = time(NULL) + PATIENCE_S;
	struct tally tally = { 0 };

	engine = which;
	for (seed = first; tally.ops < ops; seed++) {
		if (time(NULL) > end && !getenv("SC_OPS"))
			break;
		random_round(which, seed, ops - tally.ops < ROUND_OPS ? ops - tally.ops : ROUND_OPS, &tally);
	}
	(void)printf("ok %u - %s: %llu operations and %llu polls, seeds %llu to %llu\n", idx, sc_engine_name(which),
		     (unsigned long long)tally.ops, (unsigned long long)tally.polls, (unsigned long long)first,
		     (unsigned long long)(seed - 1));
	(void)printf(
		"# %llu connections, %llu of them made, %llu failed to send, %llu bytes, %llu moves of peers, %llu buffers copied, "
		"%llu starved, %llu pauses, %llu refused allocations, %llu segments\n",
		(unsigned long long)tally.conns, (unsigned long long)tally.connected,
		(unsigned long long)tally.failed_sends, (unsigned long long)tally.bytes,
		(unsigned long long)tally.moves, (unsigned long long)tally.copied, (unsigned long long)tally.starved,
		(unsigned long long)tally.paused, (unsigned long long)tally.failed_allocs,
		(unsigned long long)tally.segments);
	(void)fflush(stdout);
}

int main(void)
{
	(void)printf("1..2\n");
	engine_test(1, SC_ENGINE_LOCAL);
	engine = SC_ENGINE_DIRECT;
	EXPECT(!service_start(), "the service does not start");
	engine_test(2, SC_ENGINE_DIRECT);
	service_stop();
	return 0;
}

// SPDX-License-Identifier: MIT
// Command stats: rates by reason, service and CPU, measured at a pace.
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "caps.h"
#include "cli.h"
#include "survey.h"

static void wait_until_next(struct timespec *next, double interval_s)
{
	double whole;

	next->tv_nsec += (long)(modf(interval_s, &whole) * 1e9);
	next->tv_sec += (time_t)whole + next->tv_nsec / 1000000000L;
	next->tv_nsec %= 1000000000L;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL))
		;
}

static int show(const struct sc_survey *now, const struct sc_survey *before, const struct sc_target *target)
{
	if (target->json)
		return sc_survey_json(now, before);
	sc_survey_text(now, before, stdout);
	/* Who reads a pipe wants each when it is there; who has gone away ends us. */
	return fflush(stdout);
}

static int measure(const struct sc_target *target, const struct sc_pace *pace)
{
	struct sc_survey before, now;
	struct timespec next;
	unsigned int done = 0;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &next);
	err = sc_survey_init(&before, target);
	if (err)
		return err;
	while (!err && (!pace->count || done++ < pace->count)) {
		wait_until_next(&next, pace->interval_s);
		err = sc_survey_init(&now, target);
		if (err)
			break;
		err = show(&now, &before, target);
		sc_survey_exit(&before);
		before = now;
	}
	sc_survey_exit(&before);
	return err;
}

int sc_cmd_stats(int argc, char **argv)
{
	static struct sc_pace pace = { .interval_s = 1, .count = 1 };
	static struct sc_target target = {
		.doc = "Measures packets per second by reason, by service and by CPU, on IF or on all attached interfaces of this "
		       "network namespace.",
		.takes_json = true,
		.ifname_optional = true,
		.extra = &sc_pace_argp,
		.extra_input = &pace,
	};

	sc_target_parse(&target, argc, argv);
	return sc_caps_limit() || measure(&target, &pace) ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

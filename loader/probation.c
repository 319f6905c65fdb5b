// SPDX-License-Identifier: MIT
// Waits for a change to be confirmed, or takes it back.
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "pending.h"
#include "probation.h"
#include "report.h"
#include "signals.h"
#include "target.h"
#include "usage.h"

enum {
	OPTION_ROLLBACK_AFTER = 0x400,
	SECONDS_MAX = 86400,
};

static const double step_s = 0.1;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	unsigned int *seconds = state->input;
	unsigned long value;
	char *end;

	if (key != OPTION_ROLLBACK_AFTER)
		return ARGP_ERR_UNKNOWN;
	value = strtoul(arg, &end, 10);
	if (*arg < '0' || *arg > '9' || *end || !value || value > SECONDS_MAX)
		sc_usage(state, "--rollback-after %s: not a number of seconds from 1 to %d", arg, SECONDS_MAX);
	*seconds = value;
	return 0;
}

static const struct argp_option options[] = {
	{ "rollback-after", OPTION_ROLLBACK_AFTER, "SECONDS", 0,
	  "Wait for sidecore-loader confirm, and take all back if it does not come in time, or on Ctrl-C", 0 },
	{ 0 },
};

const struct argp sc_probation_argp = { .options = options, .parser = parse };

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* 0: the mark is gone; -ETIMEDOUT; -EINTR: asked to end. */
static int wait_for_end(const struct sc_place *place, unsigned int seconds)
{
	const double end_s = now_s() + seconds;

	while (sc_pending_is_set(place)) {
		if (now_s() >= end_s)
			return -ETIMEDOUT;
		if (sc_signals_wait(step_s))
			return -EINTR;
	}
	return 0;
}

/* With the lock. The mark decides who was first. */
static int go_back(struct sc_place *place, struct sc_undo *undo, int pending, int reason)
{
	struct sc_pins pins;
	int err;

	if (sc_pending_is_confirmed(pending) || !sc_pending_is_set(place))
		return 0;
	err = sc_target_open_pins(place, &pins);
	if (err)
		return err;
	sc_pending_clear(place);
	err = sc_undo_run(undo, place, &pins);
	sc_pins_close(&pins);
	if (err)
		return err;
	sc_error("%s: %s: all is as before; run it again, then sidecore-loader confirm %s", place->ifname,
		 reason == -EINTR ? "asked to end before it was confirmed" : "not confirmed in time", place->ifname);
	return reason;
}

static int say_waiting(const struct sc_place *place, unsigned int seconds, bool json)
{
	if (json)
		return sc_report_print(json_pack("{s:i, s:s, s:i}", "schema_version", SC_REPORT_SCHEMA, "interface",
						 place->ifname, "rollback_after_s", (int)seconds));
	printf("%s: run sidecore-loader confirm %s within %u s, or all goes back\n", place->ifname, place->ifname,
	       seconds);
	return fflush(stdout) ? -EIO : 0;
}

/* What cannot be told is no reason to go back: whoever reads nothing may still confirm. */
static int wait_unlocked(struct sc_place *place, struct sc_undo *undo, int pending, unsigned int seconds, bool json)
{
	int reason, err;

	(void)say_waiting(place, seconds, json);
	sc_place_unlock(place);
	reason = wait_for_end(place, seconds);
	err = sc_place_relock(place);
	if (err)
		return err;
	if (reason)
		err = go_back(place, undo, pending, reason);
	if (err)
		return err;
	if (sc_pending_is_confirmed(pending))
		return sc_report_done(place->ifname, "confirmed", json);
	sc_error("%s: detached before it was confirmed; see sidecore-loader status", place->ifname);
	return -ENOENT;
}

int sc_probation(struct sc_place *place, struct sc_pins *pins, struct sc_undo *undo, unsigned int seconds, bool json)
{
	int pending = sc_pending_set(place, seconds), err;

	if (pending < 0) {
		sc_error("%s: cannot pin: %s; check who may write to the bpffs", place->dir, strerror(-pending));
		(void)sc_undo_run(undo, place, pins);
		sc_pins_close(pins);
		return pending;
	}
	/* An open link would keep the program on the device while others detach. */
	sc_pins_close(pins);
	err = wait_unlocked(place, undo, pending, seconds, json);
	close(pending);
	return err;
}

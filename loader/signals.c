// SPDX-License-Identifier: MIT
// Blocks the signals that ask a process to end, and waits for them.
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "signals.h"

static sigset_t held;

void sc_signals_hold(void)
{
	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &held, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int sc_signals_wait(double seconds)
{
	const double end_s = now_s() + seconds;
	int signal;

	/* Who stops and continues the process interrupts the wait. */
	do {
		double left_s = end_s > now_s() ? end_s - now_s() : 0;
		struct timespec left = { .tv_sec = (time_t)left_s, .tv_nsec = (left_s - (time_t)left_s) * 1e9 };

		signal = sigtimedwait(&held, NULL, &left);
	} while (signal < 0 && errno == EINTR);
	return signal > 0 ? signal : 0;
}

// SPDX-License-Identifier: MIT
/* Listeners first, then processes: nobody is told "ready" before all of them are there. */
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "listen.h"
#include "report.h"
#include "signals.h"
#include "workers.h"

static pid_t start(struct sc_listen_options options, unsigned int number, bool (*serve)(void *, int), void *context,
		   int listener)
{
	pid_t parent = getpid(), pid = fork();
	bool ok;

	if (pid)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (options.cpu >= 0)
		options.cpu += (int)number;
	ok = getppid() == parent && sc_listen_pin(&options) && serve(context, listener);
	exit(ok ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void stop_all(const pid_t *pids, unsigned int cnt)
{
	for (unsigned int i = 0; i < cnt; i++)
		if (pids[i] > 0)
			(void)kill(pids[i], SIGTERM);
}

static bool reap(pid_t *pids, unsigned int cnt, bool block, unsigned int *left, bool *ret_ok)
{
	int status;
	pid_t ended = waitpid(-1, &status, block ? 0 : WNOHANG);

	if (ended <= 0)
		return false;
	for (unsigned int i = 0; i < cnt; i++)
		if (pids[i] == ended)
			pids[i] = 0;
	--*left;
	*ret_ok &= WIFEXITED(status) && !WEXITSTATUS(status);
	return true;
}

/* A worker that ends early takes the others with it: half a server would only mislead. */
static bool wait_for_all(pid_t *pids, unsigned int cnt, int signals)
{
	struct pollfd stop = { .fd = signals, .events = POLLIN };
	unsigned int left = cnt;
	bool ok = true;

	while (left && !reap(pids, cnt, false, &left, &ok) && !poll(&stop, 1, 100))
		;
	stop_all(pids, cnt);
	while (left && reap(pids, cnt, true, &left, &ok))
		;
	return ok;
}

static bool run_many(const struct sc_listen_options *options, unsigned int cnt, bool (*serve)(void *, int),
		     void *context, const int *listeners)
{
	pid_t pids[SC_WORKERS_MAX];
	int signals = sc_signals_fd();
	unsigned int started = 0;

	while (started < cnt && (pids[started] = start(*options, started, serve, context, listeners[started])) > 0)
		started++;
	if (started < cnt) {
		warn("worker %u: take fewer workers", started);
		stop_all(pids, started);
	}
	return wait_for_all(pids, started, signals) && started == cnt;
}

bool sc_workers_run(const char *engine, const struct sc_listen_options *options, unsigned int cnt,
		    bool (*serve)(void *, int), void *context)
{
	struct sc_listen_options each = *options;
	int listeners[SC_WORKERS_MAX];

	for (unsigned int i = 0; i < cnt; i++) {
		listeners[i] = sc_listen_open(&each, cnt > 1, &each.port);
		if (listeners[i] < 0)
			return false;
	}
	sc_report_ready(options, each.port, engine);
	return cnt == 1 ? serve(context, listeners[0]) : run_many(options, cnt, serve, context, listeners);
}

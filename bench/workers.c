// SPDX-License-Identifier: MIT
/* Listeners first, then processes: nobody is told "ready" before all of them are there. */
#include <err.h>
#include <fcntl.h>
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

void sc_worker_ready(const struct sc_worker *worker)
{
	if (worker->ready_fd < 0) {
		sc_report_ready(worker->all->options, worker->port, worker->all->engine);
		return;
	}
	(void)!write(worker->ready_fd, "", 1); /* fails only without a reader, who then is dead */
	(void)close(worker->ready_fd);
}

static _Noreturn void run_child(const struct sc_worker *worker, unsigned int number, pid_t parent)
{
	struct sc_listen_options options = *worker->all->options;
	bool ok;

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (options.cpu >= 0)
		options.cpu += (int)number;
	ok = getppid() == parent && sc_listen_pin(&options) && worker->all->serve(worker->all->context, worker);
	exit(ok ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Returns when the worker can serve, or has ended: its end of the pipe is the only one. -1 after a message. */
static pid_t start(struct sc_worker *worker, unsigned int number)
{
	pid_t parent = getpid(), pid = -1;
	int pipe_fds[2];
	char word;

	if (!pipe2(pipe_fds, O_CLOEXEC)) {
		worker->ready_fd = pipe_fds[1];
		pid = fork();
		if (!pid) {
			(void)close(pipe_fds[0]);
			run_child(worker, number, parent);
		}
		if (pid < 0)
			(void)close(pipe_fds[0]);
		(void)close(pipe_fds[1]);
	}
	if (pid < 0) {
		warn("worker %u: take fewer workers", number);
		return pid;
	}
	if (read(pipe_fds[0], &word, 1) != 1) {
		(void)waitpid(pid, NULL, 0);
		pid = -1;
	}
	(void)close(pipe_fds[0]);
	return pid;
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

/* One after the other, so that what ails all of them is said once. */
static bool run_many(const struct sc_workers *workers, struct sc_worker *all)
{
	pid_t pids[SC_WORKERS_MAX];
	int signals = sc_signals_fd();
	unsigned int started = 0;

	while (started < workers->cnt && (pids[started] = start(&all[started], started)) > 0)
		started++;
	if (started < workers->cnt)
		stop_all(pids, started);
	else
		sc_report_ready(workers->options, all[0].port, workers->engine);
	return wait_for_all(pids, started, signals) && started == workers->cnt;
}

bool sc_workers_run(const struct sc_workers *workers)
{
	struct sc_listen_options each = *workers->options;
	struct sc_worker all[SC_WORKERS_MAX];

	for (unsigned int i = 0; i < workers->cnt; i++) {
		all[i] = (struct sc_worker){ .all = workers, .ready_fd = -1 };
		all[i].listener = sc_listen_open(&each, workers->cnt > 1, &each.port);
		if (all[i].listener < 0)
			return false;
		all[i].port = each.port;
	}
	return workers->cnt == 1 ? workers->serve(workers->context, &all[0]) : run_many(workers, all);
}

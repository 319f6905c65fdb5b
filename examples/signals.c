// SPDX-License-Identifier: MIT
/* A flag for loops that return on signals, a signalfd for loops that wait for descriptors. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

#include "signals.h"

static volatile sig_atomic_t caught;

static void on_signal(int signal_number)
{
	(void)signal_number;
	caught = 1;
}

void sc_signals_catch(void)
{
	struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: a sleeping loop is to wake */

	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

bool sc_signals_caught(void)
{
	return caught;
}

int sc_signals_fd(void)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

// SPDX-License-Identifier: MIT
// The engine's loop: new sessions from the broker, messages and deaths of apps.
#include "engine.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ctl.h"
#include "handover.h"
#include "session.h"

// A tag is a session's index and whose news it is.
enum { TAG_APP_DEAD = 1 << 8, TAG_BROKER = 1 << 9 };

static struct sc_session sessions[SC_SESSIONS_MAX];
static struct sc_cores cores;
static int epoll_fd;

static int watch(int fd, unsigned int tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = tag };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void report_ended(const struct sc_session *session, int broker_fd)
{
	struct sc_report report = { .magic = SC_REPORT_MAGIC, .session = session->id };

	// The broker has room for a report of each session: not being able to send means that it is gone
	if (sc_ctl_send(broker_fd, &report, sizeof(report), NULL, 0))
		_exit(1);
}

static void end_session(unsigned int idx, int broker_fd)
{
	struct sc_session *session = &sessions[idx];

	if (cores.config->features & SC_CHANNEL_DESCRIPTORS) {
		sc_session_exit_last(session, broker_fd);
		report_ended(session, broker_fd);
		_exit(0);
	}
	// By hand: a hostile app may hold copies of our descriptors, which would keep them in the epoll set
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, session->ctl, NULL);
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, session->pidfd, NULL);
	sc_session_exit(session);
	report_ended(session, broker_fd);
}

static void accept_session(int broker_fd)
{
	struct sc_handover handover;
	unsigned int idx = 0;
	int fds[2], got;

	got = sc_ctl_recv(broker_fd, &handover, sizeof(handover), fds, 2);
	if (got == -EAGAIN)
		return;
	if (got == -EPIPE)
		_exit(0); // told to end; the kernel tears down what is left
	while (idx < SC_SESSIONS_MAX && sessions[idx].ctl >= 0)
		idx++;
	if (got != 2 || handover.magic != SC_HANDOVER_MAGIC || idx == SC_SESSIONS_MAX)
		_exit(1);
	sc_session_init(&sessions[idx], handover.session, fds[0], fds[1]);
	if (watch(fds[0], idx) || watch(fds[1], idx | TAG_APP_DEAD))
		end_session(idx, broker_fd);
}

static void handle(unsigned int tag, int broker_fd)
{
	unsigned int idx = tag & ~TAG_APP_DEAD;

	if (tag == TAG_BROKER)
		accept_session(broker_fd);
	else if (tag & TAG_APP_DEAD || !sc_session_serve(&sessions[idx], &cores))
		end_session(idx, broker_fd);
}

_Noreturn void sc_engine_run(const struct sc_config *config, int broker_fd)
{
	struct epoll_event event;

	sc_cores_init(&cores, config);
	for (unsigned int idx = 0; idx < SC_SESSIONS_MAX; idx++)
		sessions[idx].ctl = -1;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || watch(broker_fd, TAG_BROKER))
		_exit(1);
	// One event at a time: epoll rotates what stays ready, so no app can crowd others out, and no event is stale
	for (;;) {
		if (epoll_wait(epoll_fd, &event, 1, -1) == 1)
			handle(event.data.u32, broker_fd);
		else if (errno != EINTR)
			_exit(1);
	}
}

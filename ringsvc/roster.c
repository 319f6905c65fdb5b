// SPDX-License-Identifier: MIT
// Starts, counts and ends engines.
#include "roster.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "engine.h"
#include "log.h"

// Dead, though its death is not taken note of yet: an app handed to it would be lost.
static bool has_died(const struct sc_engine *engine)
{
	struct pollfd death = { .fd = engine->pidfd, .events = POLLIN };

	return poll(&death, 1, 0) > 0;
}

static struct sc_engine *find(struct sc_roster *roster, const struct sc_domain *domain)
{
	// Sockets that are descriptors of the engine end with it: it serves one session
	if (roster->config->features & SC_CHANNEL_DESCRIPTORS)
		return NULL;
	for (unsigned int i = 0; i < SC_ENGINES_MAX; i++) {
		struct sc_engine *engine = &roster->engines[i];

		if (engine->used && engine->fd >= 0 && sc_domain_equal(&engine->domain, domain) && !has_died(engine))
			return engine;
	}
	return NULL;
}

static struct sc_engine *find_place(struct sc_roster *roster, uid_t uid)
{
	struct sc_engine *place = NULL;
	unsigned int of_uid = 0;

	for (unsigned int i = 0; i < SC_ENGINES_MAX; i++) {
		if (!roster->engines[i].used)
			place = &roster->engines[i];
		else if (roster->engines[i].domain.uid == uid)
			of_uid++;
	}
	return of_uid < SC_ENGINES_PER_UID ? place : NULL;
}

static _Noreturn void run_child(struct sc_roster *roster, const struct sc_domain *domain, int fd, pid_t broker_pid)
{
	struct sc_config config = *roster->config;
	struct sc_domain self = *domain;

	fd = sc_jail_enter(roster->jail, config.user, self.uid, self.gid, fd, broker_pid);
	// Apps will be able to read this memory: it must not tell of other domains
	explicit_bzero(roster->engines, sizeof(roster->engines));
	explicit_bzero(&roster->quota, sizeof(roster->quota));
	sc_engine_run(&config, fd);
}

static int watch(struct sc_roster *roster, struct sc_engine *engine)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = engine - roster->engines };

	if (epoll_ctl(roster->epoll_fd, EPOLL_CTL_ADD, engine->fd, &event))
		return -errno;
	event.data.u32 |= SC_TAG_ENGINE_DEAD;
	return epoll_ctl(roster->epoll_fd, EPOLL_CTL_ADD, engine->pidfd, &event) ? -errno : 0;
}

static int start(struct sc_roster *roster, struct sc_engine *engine, const struct sc_domain *domain)
{
	pid_t broker_pid = getpid(), pid;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (!pid)
		run_child(roster, domain, pair[1], broker_pid);
	err = -errno;
	(void)close(pair[1]);
	if (pid < 0) {
		(void)close(pair[0]);
		return err;
	}
	*engine = (struct sc_engine){ .used = true, .domain = *domain, .pid = pid, .fd = pair[0] };
	err = engine->pidfd = pidfd_open(pid, 0); // nobody reaps it meanwhile: the number is its own
	if (err >= 0)
		err = watch(roster, engine);
	if (err < 0) {
		(void)kill(pid, SIGKILL);
		(void)sc_roster_reap(roster, engine);
	}
	return err;
}

struct sc_engine *sc_roster_get(struct sc_roster *roster, const struct sc_domain *domain, int *ret_err)
{
	struct sc_engine *engine = find(roster, domain);

	if (engine)
		return engine;
	engine = find_place(roster, domain->uid);
	*ret_err = engine ? start(roster, engine, domain) : -EAGAIN;
	if (*ret_err)
		return NULL;
	sc_debug("engine %d: started for uid %u", engine->pid, domain->uid);
	return engine;
}

// By hand: engines hold copies of our descriptors, which would keep them in the epoll set.
static void unwatch(struct sc_roster *roster, int fd)
{
	if (fd < 0)
		return;
	(void)epoll_ctl(roster->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	(void)close(fd);
}

static int watch_app(struct sc_roster *roster, struct sc_engine *engine, unsigned int session, int pidfd)
{
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u32 = (engine - roster->engines) | SC_TAG_APP_DEAD | session << SC_TAG_APP_SHIFT,
	};

	return epoll_ctl(roster->epoll_fd, EPOLL_CTL_ADD, pidfd, &event) ? -errno : 0;
}

int sc_roster_hand_over(struct sc_roster *roster, struct sc_engine *engine, int conn, int pidfd, uint64_t now_ms)
{
	struct sc_handover handover = { .magic = SC_HANDOVER_MAGIC };
	const int fds[2] = { conn, pidfd };
	int err;

	while (handover.session < SC_SESSIONS_MAX && engine->sessions[handover.session].used)
		handover.session++;
	err = handover.session == SC_SESSIONS_MAX ? -EAGAIN : watch_app(roster, engine, handover.session, pidfd);
	if (!err)
		err = sc_ctl_send(engine->fd, &handover, sizeof(handover), fds, 2);
	if (err) {
		unwatch(roster, pidfd);
		return err;
	}
	if (!engine->session_cnt++)
		engine->idle_since_ms = now_ms;
	engine->sessions[handover.session] = (struct sc_handed){ .used = true, .pidfd = pidfd };
	return 0;
}

void sc_roster_app_died(struct sc_roster *roster, struct sc_engine *engine, unsigned int session, uint64_t now_ms)
{
	struct sc_handed *handed = &engine->sessions[session];

	unwatch(roster, handed->pidfd);
	handed->pidfd = -1;
	handed->died_ms = now_ms;
	engine->dead_cnt++;
}

static void forget(struct sc_roster *roster, struct sc_engine *engine, struct sc_handed *handed)
{
	unwatch(roster, handed->pidfd);
	engine->dead_cnt -= handed->pidfd < 0;
	engine->session_cnt--;
	handed->used = false;
}

int sc_roster_take_report(struct sc_roster *roster, struct sc_engine *engine, uint64_t now_ms)
{
	struct sc_report report;
	int got = sc_ctl_recv(engine->fd, &report, sizeof(report), NULL, 0);

	if (got < 0)
		return got;
	if (report.magic != SC_REPORT_MAGIC || report.session >= SC_SESSIONS_MAX ||
	    !engine->sessions[report.session].used)
		return -EBADMSG;
	forget(roster, engine, &engine->sessions[report.session]);
	engine->idle_since_ms = now_ms;
	return 0;
}

void sc_roster_drop(struct sc_roster *roster, struct sc_engine *engine, uint64_t now_ms)
{
	unwatch(roster, engine->fd);
	engine->fd = -1;
	engine->told_ms = engine->told_ms ?: now_ms;
}

void sc_roster_dismiss(struct sc_roster *roster, struct sc_engine *engine, uint64_t now_ms)
{
	engine->told_to_end = true;
	sc_roster_drop(roster, engine, now_ms);
}

void sc_engine_kill(struct sc_engine *engine)
{
	(void)pidfd_send_signal(engine->pidfd, SIGKILL, NULL, 0);
	engine->killed = true;
	engine->told_to_end = true;
}

int sc_roster_reap(struct sc_roster *roster, struct sc_engine *engine)
{
	int status = 0;

	(void)waitpid(engine->pid, &status, 0);
	unwatch(roster, engine->pidfd);
	unwatch(roster, engine->fd);
	for (unsigned int i = 0; i < SC_SESSIONS_MAX; i++)
		if (engine->sessions[i].used)
			forget(roster, engine, &engine->sessions[i]);
	engine->used = false;
	return status;
}

int sc_roster_dismiss_idle(struct sc_roster *roster, uint64_t now_ms)
{
	int next_ms = -1, left_ms;

	for (unsigned int i = 0; i < SC_ENGINES_MAX; i++) {
		struct sc_engine *engine = &roster->engines[i];

		if (!engine->used || engine->fd < 0 || engine->session_cnt)
			continue;
		left_ms = (int)(engine->idle_since_ms + SC_ENGINE_LINGER_MS - now_ms);
		if (left_ms <= 0)
			sc_roster_dismiss(roster, engine, now_ms);
		else if (next_ms < 0 || left_ms < next_ms)
			next_ms = left_ms;
	}
	return next_ms;
}

// When the patience with it ends, UINT64_MAX: not at all.
static uint64_t due_ms(const struct sc_engine *engine)
{
	uint64_t due = engine->told_ms ? engine->told_ms + SC_ENGINE_GRACE_MS : UINT64_MAX;

	for (unsigned int i = 0; engine->dead_cnt && i < SC_SESSIONS_MAX; i++) {
		const struct sc_handed *handed = &engine->sessions[i];

		if (handed->used && handed->pidfd < 0 && handed->died_ms + SC_ENGINE_GRACE_MS < due)
			due = handed->died_ms + SC_ENGINE_GRACE_MS;
	}
	return due;
}

struct sc_engine *sc_roster_overdue(struct sc_roster *roster, uint64_t now_ms, int *ret_ms)
{
	uint64_t first_ms = UINT64_MAX, due;

	for (unsigned int i = 0; i < SC_ENGINES_MAX; i++) {
		if (!roster->engines[i].used || roster->engines[i].killed)
			continue;
		due = due_ms(&roster->engines[i]);
		if (due <= now_ms)
			return &roster->engines[i];
		first_ms = due < first_ms ? due : first_ms;
	}
	*ret_ms = first_ms == UINT64_MAX ? -1 : (int)(first_ms - now_ms);
	return NULL;
}

unsigned int sc_roster_count(const struct sc_roster *roster)
{
	unsigned int cnt = 0;

	for (unsigned int i = 0; i < SC_ENGINES_MAX; i++)
		cnt += roster->engines[i].used;
	return cnt;
}

// SPDX-License-Identifier: MIT
// The broker's loop: connections, reports and deaths of engines, signals.
#include "broker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "log.h"
#include "notify.h"
#include "roster.h"

enum { STOP_TIMEOUT_MS = 2000, NO_FILES_PAUSE_MS = 10 };

// Beside those of the roster
enum { TAG_LISTENER = 1 << 9, TAG_SIGNAL = 1 << 10 };

struct broker {
	struct sc_roster roster;
	struct sc_broker_fds fds;
	bool stopping;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static int watch(struct broker *broker, int fd, unsigned int tag)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = tag };

	return epoll_ctl(broker->roster.epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

// A rootless broker can build no walls between users.
static bool may_serve(const struct broker *broker, const struct sc_domain *domain)
{
	return !broker->roster.config->user || domain->uid == geteuid();
}

// 0 or what to tell the app.
static int place(struct broker *broker, int conn, enum sc_refusal *ret_reason)
{
	struct sc_engine *engine;
	struct sc_domain domain;
	int pidfd, err;

	*ret_reason = SC_REFUSED_IDENTITY;
	err = sc_domain_of_peer(conn, broker->roster.config->user, &domain, &pidfd);
	if (err)
		return err;
	err = -EACCES;
	if (!may_serve(broker, &domain))
		goto out;
	*ret_reason = SC_REFUSED_ENGINES;
	engine = sc_roster_get(&broker->roster, &domain, &err);
	if (!engine)
		goto out;
	*ret_reason = SC_REFUSED_SESSIONS;
	err = sc_roster_hand_over(&broker->roster, engine, conn, pidfd, now_ms());
	pidfd = -1;
out:
	if (err)
		sc_debug("app of uid %u refused: %s", domain.uid, strerrordesc_np(-err));
	if (pidfd >= 0)
		(void)close(pidfd);
	return err;
}

static void accept_app(struct broker *broker)
{
	enum sc_refusal reason;
	int conn, err;

	conn = accept4(broker->fds.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (conn < 0) {
		// The whole system's limits: wait, rather than be told again at once
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			(void)poll(NULL, 0, NO_FILES_PAUSE_MS);
		return;
	}
	err = place(broker, conn, &reason);
	if (err)
		sc_ctl_refuse(conn, SC_CTL_HELLO, err, reason);
	(void)close(conn);
}

// A hostile app can ruin one engine after the other.
static enum sc_log_level level_of_failure(struct broker *broker, uid_t uid)
{
	return sc_quota_admit(&broker->roster.quota, uid, now_ms()) ? SC_LOG_ERROR : SC_LOG_DEBUG;
}

static void tell_number_of_failures(struct broker *broker, uint64_t until_ms)
{
	char who[32] = "other users";
	unsigned int cnt;
	uid_t uid;

	while (sc_quota_take_due(&broker->roster.quota, until_ms, &uid, &cnt)) {
		if (uid != SC_QUOTA_OTHERS)
			(void)snprintf(who, sizeof(who), "uid %u", uid);
		sc_error("engines of %s: %u more failed within %d s: see what its apps do; --verbose tells of each",
			 who, cnt, SC_QUOTA_MS / 1000);
	}
}

static void engine_died(struct broker *broker, struct sc_engine *engine)
{
	pid_t pid = engine->pid;
	uid_t uid = engine->domain.uid;
	bool expected = engine->told_to_end;
	int status = sc_roster_reap(&broker->roster, engine);
	enum sc_log_level level;

	if (expected || (WIFEXITED(status) && !WEXITSTATUS(status))) {
		sc_debug("engine %d: ended", pid);
		return;
	}
	level = level_of_failure(broker, uid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		sc_log(level, "engine %d of uid %u: killed for a system call outside its list: its apps must open anew",
		       pid, uid);
	else if (WIFSIGNALED(status))
		sc_log(level, "engine %d of uid %u: killed by signal %d: its apps must open anew", pid, uid,
		       WTERMSIG(status));
	else
		sc_log(level, "engine %d of uid %u: gave up: its apps must open anew", pid, uid);
}

static void engine_spoke(struct broker *broker, struct sc_engine *engine)
{
	int err = sc_roster_take_report(&broker->roster, engine, now_ms());

	if (!err || err == -EAGAIN)
		return;
	if (err != -EPIPE) { // a dying engine's end; how it died comes by its pidfd
		sc_log(level_of_failure(broker, engine->domain.uid),
		       "engine %d of uid %u: sent what is no report: killed: its apps must open anew", engine->pid,
		       engine->domain.uid);
		sc_engine_kill(engine);
	}
	sc_roster_drop(&broker->roster, engine, now_ms());
}

// Returns ms until there may be more to do, -1 if none.
static int kill_overdue(struct broker *broker)
{
	struct sc_engine *engine;
	int next_ms;

	while ((engine = sc_roster_overdue(&broker->roster, now_ms(), &next_ms))) {
		sc_log(level_of_failure(broker, engine->domain.uid),
		       "engine %d of uid %u: %s for %d ms: killed: its apps must open anew", engine->pid,
		       engine->domain.uid, engine->told_ms ? "should have ended" : "held on to a dead app's session",
		       SC_ENGINE_GRACE_MS);
		sc_engine_kill(engine);
	}
	return next_ms;
}

static void stop(struct broker *broker, const char *socket_path)
{
	broker->stopping = true;
	sc_notify_send(broker->fds.notify, "STOPPING=1");
	(void)epoll_ctl(broker->roster.epoll_fd, EPOLL_CTL_DEL, broker->fds.signal, NULL);
	(void)epoll_ctl(broker->roster.epoll_fd, EPOLL_CTL_DEL, broker->fds.listener, NULL);
	(void)close(broker->fds.listener);
	if (unlink(socket_path))
		sc_info("%s: not removed: %s: remove it by hand, or let the next start replace it", socket_path,
			strerrordesc_np(errno));
	for (unsigned int i = 0; i < SC_ENGINES_MAX; i++)
		if (broker->roster.engines[i].used)
			sc_roster_dismiss(&broker->roster, &broker->roster.engines[i], now_ms());
}

static void kill_all(struct broker *broker)
{
	for (unsigned int i = 0; i < SC_ENGINES_MAX; i++) {
		if (!broker->roster.engines[i].used)
			continue;
		sc_engine_kill(&broker->roster.engines[i]);
		(void)sc_roster_reap(&broker->roster, &broker->roster.engines[i]);
	}
}

static void handle(struct broker *broker, unsigned int tag)
{
	struct sc_engine *engine = &broker->roster.engines[tag & (SC_ENGINES_MAX - 1)];

	if (tag == TAG_LISTENER)
		accept_app(broker);
	else if (tag == TAG_SIGNAL)
		stop(broker, broker->roster.config->socket_path);
	else if (tag & SC_TAG_APP_DEAD)
		sc_roster_app_died(&broker->roster, engine, tag >> SC_TAG_APP_SHIFT, now_ms());
	else if (tag & SC_TAG_ENGINE_DEAD)
		engine_died(broker, engine);
	else
		engine_spoke(broker, engine);
}

// Of two timeouts, where -1 is none.
static int sooner(int a_ms, int b_ms)
{
	return (unsigned int)a_ms < (unsigned int)b_ms ? a_ms : b_ms;
}

static void serve(struct broker *broker)
{
	struct epoll_event event;
	uint64_t deadline = 0;
	int timeout_ms;

	while (!broker->stopping || sc_roster_count(&broker->roster)) {
		tell_number_of_failures(broker, now_ms());
		timeout_ms = sooner(sc_roster_dismiss_idle(&broker->roster, now_ms()),
				    sc_quota_timeout_ms(&broker->roster.quota, now_ms()));
		timeout_ms = sooner(timeout_ms, kill_overdue(broker));
		if (broker->stopping) {
			deadline = deadline ?: now_ms() + STOP_TIMEOUT_MS;
			timeout_ms = deadline > now_ms() ? (int)(deadline - now_ms()) : 0;
		}
		// One event at a time, so that none is stale
		if (epoll_wait(broker->roster.epoll_fd, &event, 1, timeout_ms) == 1)
			handle(broker, event.data.u32);
		else if (deadline && now_ms() >= deadline)
			kill_all(broker);
	}
	tell_number_of_failures(broker, UINT64_MAX);
}

int sc_broker_run(const struct sc_config *config, const struct sc_jail *jail, const struct sc_broker_fds *fds)
{
	static struct broker broker;
	int err;

	broker = (struct broker){ .roster = { .config = config, .jail = jail }, .fds = *fds };
	broker.roster.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (broker.roster.epoll_fd < 0)
		return -errno;
	err = watch(&broker, fds->listener, TAG_LISTENER);
	if (!err)
		err = watch(&broker, fds->signal, TAG_SIGNAL);
	if (!err)
		serve(&broker);
	(void)close(broker.roster.epoll_fd);
	return err;
}

// SPDX-License-Identifier: MIT
// sidecore-ringsvc: command line and start-up steps.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker.h"
#include "config.h"
#include "cpulist.h"
#include "feature.h"
#include "jail.h"
#include "listener.h"
#include "log.h"
#include "notify.h"
#include "roster.h"
#include "usage.h"

enum { IDLE_MS_DEFAULT = 100, IDLE_MS_MAX = 3600 * 1000, MEMLOCK_MIB_MAX = 1 << 20 };

static const struct argp_option options[] = {
	{ "cpus", 'c', "LIST", 0, "Dedicated cores, as 1 or 2-3,6; at most 16", 0 },
	{ "socket", 's', "PATH", 0,
	  "Where applications connect; default /run/sidecore/ringsvc.sock, rootless $XDG_RUNTIME_DIR/sidecore/ringsvc.sock",
	  0 },
	{ "idle-ms", 'i', "N", 0, "A poller without work sleeps after N ms; default 100", 0 },
	{ "memlock", 'm', "MIB", 0,
	  "Memory that rings and registered segments of a user may lock; default the RLIMIT_MEMLOCK that is there", 0 },
	{ "user", 'u', NULL, 0,
	  "Rootless: serve only this user, without any capability; the default unless run by root", 0 },
	{ "verbose", 'v', NULL, 0, "Log engines and refusals", 0 },
	{ 0 }
};

struct service {
	struct sc_config config;
	struct sc_jail jail;
	struct sc_broker_fds fds;
};

// --- command line ----------------------------------------------------------------------------------------------------

static void parse_cpus(const char *text, struct sc_config *config, struct argp_state *state)
{
	int cnt = sc_cpulist_parse(text, config->cpus, SC_LANES_MAX);

	if (cnt == -E2BIG)
		sc_usage(state, "--cpus %s: more than %d CPUs, name fewer", text, SC_LANES_MAX);
	if (cnt == -ERANGE)
		sc_usage(state, "--cpus %s: CPU number over %d, choose from /sys/devices/system/cpu/online", text,
			 SC_CPU_MAX);
	if (cnt < 0)
		sc_usage(state, "--cpus %s: not a list of CPUs such as 1 or 2-3,6", text);
	config->cpu_cnt = cnt;
}

static unsigned int parse_number(const char *option, const char *text, int max, struct argp_state *state)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < 1 || value > max)
		sc_usage(state, "--%s %s: not a number from 1 to %d", option, text, max);
	return value;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct sc_config *config = state->input;

	switch (key) {
	case 'c':
		parse_cpus(arg, config, state);
		break;
	case 's':
		config->socket_path = arg;
		break;
	case 'i':
		config->idle_ms = parse_number("idle-ms", arg, IDLE_MS_MAX, state);
		break;
	case 'm':
		config->memlock_mib = parse_number("memlock", arg, MEMLOCK_MIB_MAX, state);
		break;
	case 'u':
		config->user = true;
		break;
	case 'v':
		sc_log_set_level(SC_LOG_DEBUG);
		break;
	case ARGP_KEY_END:
		if (!config->cpu_cnt)
			sc_usage(state, "--cpus LIST is missing, name the cores to dedicate, as --cpus 1");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

// --- start-up steps: 0 or -errno, the failure logged ------------------------------------------------------------------

static void raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

// Engines inherit it. Later nobody here may raise it any more.
static int start_memlock(struct service *service)
{
	rlim_t bytes = (rlim_t)service->config.memlock_mib << 20;
	struct rlimit limit = { bytes, bytes };

	if ((!bytes || !setrlimit(RLIMIT_MEMLOCK, &limit)) && !getrlimit(RLIMIT_MEMLOCK, &limit)) {
		service->config.memlock_len = limit.rlim_cur;
		return 0;
	}
	sc_error("--memlock %u: %s: start as root, or raise the limit of whoever starts it (ulimit -l, LimitMEMLOCK)",
		 service->config.memlock_mib, strerrordesc_np(errno));
	return -EPERM;
}

static int start_process(struct service *service)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	raise_file_limit();
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		goto err;
	service->fds.signal = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (service->fds.signal >= 0)
		return 0;
err:
	sc_error("signals: %s: check the limit on open files", strerrordesc_np(errno));
	return -errno;
}

// Before the network namespace changes: the manager's socket may be an abstract one.
static int start_notify(struct service *service)
{
	const char *path = getenv("NOTIFY_SOCKET");

	service->fds.notify = sc_notify_open();
	if (service->fds.notify >= 0 || service->fds.notify == -ENOENT)
		return 0;
	sc_error("NOTIFY_SOCKET %s: %s: unset it, or let the service manager listen there", path ?: "",
		 strerrordesc_np(-service->fds.notify));
	return service->fds.notify;
}

static const char *listen_hint(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "another sidecore-ringsvc answers there: stop it, or give another --socket";
	case -EEXIST:
		return "not a socket: remove it, or give another --socket";
	case -ENOENT:
		return "no such directory: make it, or give another --socket";
	case -ENAMETOOLONG:
		return "longer than a socket's path may be: give a shorter --socket";
	case -EACCES:
	case -EPERM:
		return "no permission: give a --socket in a directory of yours";
	default:
		return strerrordesc_np(-err);
	}
}

static int start_listener(struct service *service)
{
	struct sc_config *config = &service->config;

	if (!config->socket_path)
		config->socket_path = sc_listener_default_path(config->user);
	if (!config->socket_path) {
		sc_error("default socket: %s: give --socket PATH",
			 errno == ENOENT ? "XDG_RUNTIME_DIR names no directory" : strerrordesc_np(errno));
		return -ENOENT;
	}
	service->fds.listener = sc_listener_open(config->socket_path, config->user);
	if (service->fds.listener >= 0)
		return 0;
	sc_error("%s: %s", config->socket_path, listen_hint(service->fds.listener));
	return service->fds.listener;
}

static void stop_listener(struct service *service)
{
	(void)close(service->fds.listener);
	(void)unlink(service->config.socket_path);
}

static int start_jail(struct service *service)
{
	int err = sc_jail_prepare(service->config.user, &service->jail);

	if (err)
		sc_error(
			"empty namespace and root for engines: %s: start with all of root's capabilities, or with --user",
			strerrordesc_np(-err));
	return err;
}

static int drop_privileges(struct service *service)
{
	int err = sc_jail_drop_broker(service->config.user);

	if (err)
		sc_error("dropping capabilities: %s: start with all of root's capabilities, or with --user",
			 strerrordesc_np(-err));
	return err;
}

static int probe_features(struct service *service)
{
	return sc_feature_probe(&service->config) ? 0 : -ENOTSUP;
}

static const struct {
	int (*start)(struct service *service);
	void (*stop)(struct service *service);
} steps[] = {
	{ start_memlock, NULL }, { start_process, NULL },   { start_notify, NULL },   { start_listener, stop_listener },
	{ start_jail, NULL },	 { drop_privileges, NULL }, { probe_features, NULL }, // as engines: without capabilities
};

static int start(struct service *service)
{
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		int err = steps[i].start(service);

		if (!err)
			continue;
		while (i--)
			if (steps[i].stop)
				steps[i].stop(service);
		return err;
	}
	return 0;
}

static void format_cpus(const struct sc_config *config, char *text, size_t len)
{
	size_t at = 0;

	for (unsigned int i = 0; i < config->cpu_cnt && at < len; i++)
		at += snprintf(text + at, len - at, "%s%u", i ? "," : "", config->cpus[i]);
}

static void announce(const struct service *service)
{
	char cpus[128];

	if (service->config.cpu_cnt == (unsigned long)sysconf(_SC_NPROCESSORS_ONLN))
		sc_info("warning: all online CPUs are dedicated: applications will share them with pollers: leave one out");
	if (service->config.features & SC_CHANNEL_DESCRIPTORS)
		sc_info("note: this kernel gives up the files of closed slots late: each session takes an engine, and a user may "
			"have %d: Linux 6.13 or newer shares them",
			SC_ENGINES_PER_UID);
	format_cpus(&service->config, cpus, sizeof(cpus));
	if (service->fds.notify < 0)
		sc_info("ready, CPUs %s, socket %s", cpus, service->config.socket_path);
	sc_notify_send(service->fds.notify, "READY=1");
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Serves applications' sockets through shared memory, by io_uring pollers on dedicated cores.",
	};
	struct service service = {
		.config = { .idle_ms = IDLE_MS_DEFAULT, .user = geteuid() != 0 },
		.fds = { -1, -1, -1 },
	};
	int err;

	sc_usage_parse(&argp, 0, argc, argv, &service.config);
	if (start(&service))
		return 1;
	announce(&service);
	err = sc_broker_run(&service.config, &service.jail, &service.fds);
	if (err)
		sc_error("broker: %s: try again", strerrordesc_np(-err));
	return err ? 1 : 0;
}

// SPDX-License-Identifier: MIT
/* Engine options, session, listener. */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "report.h"
#include "usage.h"

enum { PATIENCE_MS = 250 };

static const struct argp_option engine_options[] = {
	{ "engine", SC_OPTION_ENGINE, "NAME", 0, "auto, local or direct (default auto: direct if ringsvc answers)", 2 },
	{ "lanes", SC_OPTION_LANES, "N", 0, "Use N dedicated cores (default all that ringsvc offers)", 2 },
	{ "socket", SC_OPTION_SOCKET, "PATH", 0,
	  "Where ringsvc listens (default $SIDECORE_SOCKET, else the user's own, then the system's)", 2 },
	{ "spin-us", SC_OPTION_SPIN_US, "N", 0, "Look for events for N µs before sleeping (default 0)", 2 },
	{ "conns", SC_OPTION_CONNS, "N", 0, "Serve at most N connections per lane (default 4096)", 2 },
	{ 0 }
};

static enum sc_engine parse_name(struct argp_state *state, const char *name)
{
	if (!strcmp(name, "auto"))
		return SC_ENGINE_AUTO;
	for (enum sc_engine engine = SC_ENGINE_LOCAL; engine <= SC_ENGINE_DIRECT; engine++)
		if (!strcmp(name, sc_engine_name(engine)))
			return engine;
	sc_usage(state, "--engine %s: not auto, local or direct", name);
}

static error_t parse_engine(int key, char *arg, struct argp_state *state)
{
	struct sc_options *options = state->input;

	switch (key) {
	case SC_OPTION_ENGINE:
		options->engine = parse_name(state, arg);
		return 0;
	case SC_OPTION_LANES:
		options->lanes = (unsigned int)sc_option_number(state, "lanes", arg, 1, 16);
		return 0;
	case SC_OPTION_SOCKET:
		options->socket_path = arg;
		return 0;
	case SC_OPTION_SPIN_US:
		options->spin_us = (unsigned int)sc_option_number(state, "spin-us", arg, 0, 1000000);
		return 0;
	case SC_OPTION_CONNS:
		options->conns = (unsigned int)sc_option_number(state, "conns", arg, 1, 65536);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp sc_engine_argp = { .options = engine_options, .parser = parse_engine };

void sc_engine_ready(struct sc_session *session, uint16_t port, const struct sc_listen_options *options)
{
	struct sc_info info = { .size = sizeof(info) };
	char text[sizeof(info.fallback_reason) + 128];
	size_t len;

	(void)sc_info(session, &info);
	len = (size_t)snprintf(text, sizeof(text), "%s", sc_engine_name(info.engine));
	for (unsigned int i = 0; i < info.lanes && info.cpus[i] >= 0; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%d", i ? "," : ", CPUs ", info.cpus[i]);
	if (*info.fallback_reason)
		(void)snprintf(text + len, sizeof(text) - len, "; not direct: %s", info.fallback_reason);
	sc_report_ready(options, port, text);
}

struct sc_session *sc_engine_open(const struct sc_options *options)
{
	struct sc_session *session;

	if (!sc_open(options, &session))
		return session;
	warnx("%s", sc_reason());
	return NULL;
}

bool sc_engine_listen(struct sc_session *session, const struct sc_listen_options *options)
{
	struct sc_listener *listener;

	if (sc_listen(session, options->address, options->port, 0, &listener)) {
		warnx("%s", sc_reason());
		return false;
	}
	sc_engine_ready(session, sc_listener_port(listener), options);
	return true;
}

int sc_engine_wait(struct sc_session *session, struct sc_event *events, unsigned int max)
{
	int cnt = sc_wait(session, events, max, PATIENCE_MS);

	if (cnt > 0 && events[cnt - 1].type == SC_EVENT_LOST)
		cnt = events[cnt - 1].result;
	if (cnt >= 0)
		return cnt;
	if (cnt == -EINTR)
		return 0;
	warnx("engine: lost (%s): see what became of sidecore-ringsvc and start again", strerror(-cnt));
	return -1;
}

void sc_engine_report(struct sc_session *session, uint64_t requests)
{
	struct sc_info info = { .size = sizeof(info) };
	const struct sc_counters *count = &info.counters;
	char cpus[128] = "", extra[1024];
	size_t len = 0;

	(void)sc_info(session, &info);
	for (unsigned int i = 0; i < info.lanes && info.cpus[i] >= 0; i++)
		len += (size_t)snprintf(cpus + len, sizeof(cpus) - len, "%s%d", i ? ", " : "", info.cpus[i]);
	(void)snprintf(extra, sizeof(extra),
		       ", \"engine\": \"%s\", \"lanes\": %u, \"cpus\": [%s], \"accepted\": %" PRIu64
		       ", \"connected\": %" PRIu64 ", \"closed\": %" PRIu64 ", \"received\": %" PRIu64
		       ", \"sent\": %" PRIu64 ", \"recv_events\": %" PRIu64 ", \"send_events\": %" PRIu64
		       ", \"recv_paused\": %" PRIu64 ", \"recv_starved\": %" PRIu64 ", \"recv_copied\": %" PRIu64
		       ", \"sq_full\": %" PRIu64 ", \"cq_overflow\": %" PRIu64 ", \"doorbells\": %" PRIu64
		       ", \"sleeps\": %" PRIu64 ", \"broken\": %" PRIu64 ", \"conns_full\": %" PRIu64
		       ", \"accept_failed\": %" PRIu64 ", \"sends_full\": %" PRIu64 ", \"arena_full\": %" PRIu64,
		       sc_engine_name(info.engine), info.lanes, cpus, count->accepted, count->connected, count->closed,
		       count->received, count->sent, count->recv_events, count->send_events, count->recv_paused,
		       count->recv_starved, count->recv_copied, count->sq_full, count->cq_overflow, count->doorbells,
		       count->sleeps, count->broken, count->conns_full, count->accept_failed, count->sends_full,
		       count->arena_full);
	sc_report_stats(requests, extra);
}

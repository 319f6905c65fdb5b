/* SPDX-License-Identifier: MIT */
/* The broker's table of engines: one per trust domain, within limits. */
#ifndef RINGSVC_ROSTER_H
#define RINGSVC_ROSTER_H

#include <stdint.h>

#include "config.h"
#include "domain.h"
#include "handover.h"
#include "jail.h"
#include "quota.h"

enum sc_roster_limit {
	SC_ENGINES_MAX = 64,
	SC_ENGINES_PER_UID = 8,
	SC_ENGINE_LINGER_MS = 1000, /* how long an engine without sessions stays */
	SC_ENGINE_GRACE_MS = 3000, /* for what takes milliseconds: to end, to let go of a dead app */
};

/* epoll data: an engine's index and what has happened: it has spoken, has died, or an app of it (number above) has. */
enum { SC_TAG_ENGINE_DEAD = SC_ENGINES_MAX, SC_TAG_APP_DEAD = SC_ENGINES_MAX << 1, SC_TAG_APP_SHIFT = 16 };

/*
 * The broker's book of a session. An app can make its engine deaf to news of its death; what is not reported ended in time
 * ends with the engine.
 */
struct sc_handed {
	bool used;
	int pidfd; /* of the app; -1: it has died */
	uint64_t died_ms;
};

struct sc_engine {
	bool used;
	struct sc_domain domain;
	pid_t pid;
	int pidfd;
	int fd; /* our end of its socket pair; -1: no more sessions for it */
	bool told_to_end; /* its death is no news */
	bool killed;
	uint64_t told_ms; /* since when it should be ending, 0: it should not */
	struct sc_handed sessions[SC_SESSIONS_MAX]; /* handed over and not reported ended */
	unsigned int session_cnt;
	unsigned int dead_cnt; /* of them those whose app has died */
	uint64_t idle_since_ms;
};

struct sc_roster {
	const struct sc_config *config;
	const struct sc_jail *jail;
	int epoll_fd; /* engines are watched here */
	struct sc_engine engines[SC_ENGINES_MAX];
	struct sc_quota quota; /* of what is told of their ends */
};

/*
 * The domain's engine, started if need be. NULL with *ret_err: -EAGAIN: too many engines; other -errno:
 * could not be started. In the child this never returns.
 */
struct sc_engine *sc_roster_get(struct sc_roster *roster, const struct sc_domain *domain, int *ret_err);

/* Gives a connection and its app's pidfd to the engine; takes pidfd, whatever comes of it. -EAGAIN: it has too many. */
int sc_roster_hand_over(struct sc_roster *roster, struct sc_engine *engine, int conn, int pidfd, uint64_t now_ms);

/* The app of a session has died. */
void sc_roster_app_died(struct sc_roster *roster, struct sc_engine *engine, unsigned int session, uint64_t now_ms);

/* Takes one report. -EAGAIN: none there; -EPIPE: the engine is going; -EBADMSG: not what an engine of ours would send. */
int sc_roster_take_report(struct sc_roster *roster, struct sc_engine *engine, uint64_t now_ms);

/* Closes the socket pair: no more sessions for the engine, which ends by that. */
void sc_roster_drop(struct sc_roster *roster, struct sc_engine *engine, uint64_t now_ms);

/* Tells the engine to end. It counts until it is reaped. */
void sc_roster_dismiss(struct sc_roster *roster, struct sc_engine *engine, uint64_t now_ms);

/* Kills it: its death is no news then. */
void sc_engine_kill(struct sc_engine *engine);

/* Frees the place of an engine that has died; returns its wait status. */
int sc_roster_reap(struct sc_roster *roster, struct sc_engine *engine);

/* Dismisses engines without work. Returns ms until the next one is due, -1 if none. */
int sc_roster_dismiss_idle(struct sc_roster *roster, uint64_t now_ms);

/* An engine that should have ended, or let go of a dead app, long ago; NULL if none. *ret_ms: until there may be one, or -1. */
struct sc_engine *sc_roster_overdue(struct sc_roster *roster, uint64_t now_ms, int *ret_ms);

unsigned int sc_roster_count(const struct sc_roster *roster);

#endif

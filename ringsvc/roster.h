/* SPDX-License-Identifier: MIT */
/* The broker's table of engines: one per trust domain, within limits. */
#ifndef RINGSVC_ROSTER_H
#define RINGSVC_ROSTER_H

#include <stdint.h>

#include "config.h"
#include "domain.h"
#include "jail.h"
#include "quota.h"

enum sc_roster_limit {
	SC_ENGINES_MAX = 64,
	SC_ENGINES_PER_UID = 8,
	SC_ENGINE_LINGER_MS = 1000, /* how long an engine without sessions stays */
};

/* epoll data: an engine's index, and with SC_TAG_ENGINE_DEAD the news that it has died, else that it has spoken. */
enum { SC_TAG_ENGINE_DEAD = SC_ENGINES_MAX };

struct sc_engine {
	bool used;
	struct sc_domain domain;
	pid_t pid;
	int pidfd;
	int fd; /* our end of its socket pair; -1: no more sessions for it */
	bool told_to_end; /* its death is no news */
	unsigned int sessions; /* handed over and not reported ended */
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

/* Gives a connection and its app's pidfd to the engine; the caller closes its own copies. -EAGAIN: it has too many. */
int sc_engine_hand_over(struct sc_engine *engine, int conn, int pidfd, uint64_t now_ms);

/* Takes one report. -EAGAIN: none there; -EPIPE: the engine is going; -EBADMSG: not what an engine of ours would send. */
int sc_engine_take_report(struct sc_engine *engine, uint64_t now_ms);

/* Closes the socket pair: no more sessions for the engine, which ends if it can. */
void sc_roster_drop(struct sc_roster *roster, struct sc_engine *engine);

/* Tells the engine to end. It counts until it is reaped. */
void sc_roster_dismiss(struct sc_roster *roster, struct sc_engine *engine);

/* Kills it. */
void sc_engine_kill(const struct sc_engine *engine);

/* Frees the place of an engine that has died; returns its wait status. */
int sc_roster_reap(struct sc_roster *roster, struct sc_engine *engine);

/* Dismisses engines without work. Returns ms until the next one is due, -1 if none. */
int sc_roster_dismiss_idle(struct sc_roster *roster, uint64_t now_ms);

unsigned int sc_roster_count(const struct sc_roster *roster);

#endif

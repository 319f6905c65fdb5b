/* SPDX-License-Identifier: MIT */
/* The rate limits of an interface. */
#ifndef SC_LOADER_BUCKETS_H
#define SC_LOADER_BUCKETS_H

#include <jansson.h>
#include <stdbool.h>

#include "pins.h"
#include "spec.h"

struct sc_limit_entry {
	bool all; /* holds for all services together, and spec says nothing */
	struct sc_spec spec;
	enum sc_limit_kind kind;
	struct sc_rate rate;
};

enum {
	SC_LIMITS_MAX = (SC_STEER_SERVICES_MAX + 1) * SC_LIMIT_KINDS,
	SC_BURST_MAX = 1000000,
	SC_LIMIT_LEN = SC_SPEC_LEN + 64,
};

/*
 * Parses "1000", "1000/s", "30/m" or "5/h" into cnt and period_s of *ret_rate, which is zero else. 0; -EINVAL: it is none;
 * -ERANGE: 0, or more than a bucket can tell apart.
 */
int sc_rate_parse(const char *text, struct sc_rate *ret_rate);

/* Parses a number of packets into burst of *ret_rate. 0 or -EINVAL. */
int sc_burst_parse(const char *text, struct sc_rate *ret_rate);

/*
 * Fills in what follows from cnt, period_s and burst; a burst of 0 becomes what comes in a second, one at least. 0; -ERANGE: a bucket
 * that would take more than a year to fill.
 */
int sc_rate_complete(struct sc_rate *rate);

/*
 * Parses words with commas between, such as "tcp/8080,per-source,syn,30/m,burst=10": a rate, and what else there is in any
 * order. NULL, or what is wrong in a static buffer.
 */
const char *sc_limit_parse(const char *text, struct sc_limit_entry *ret_entry);

/* Writes "tcp/8080: 30 SYNs per source/m, burst 10"; returns buf. */
const char *sc_limit_format(const struct sc_limit_entry *entry, char buf[SC_LIMIT_LEN]);

/* All as a list of objects. */
json_t *sc_limits_json(const struct sc_limit_entry *entries, int cnt);

/* Whether both limit the same packets of the same service. */
bool sc_limit_is_same(const struct sc_limit_entry *left, const struct sc_limit_entry *right);

/* Sets the limit, or changes it. 0; -ENOENT: no such service; else -errno. */
int sc_limits_set(const struct sc_pins *pins, const struct sc_limit_entry *entry);

/* Takes the limit away; its rate says nothing. 0; -ENOENT: no such limit or service; else -errno. */
int sc_limits_del(const struct sc_pins *pins, const struct sc_limit_entry *entry);

/* Writes all to ret_entries, those of all services together first. Returns how many, or -errno. */
int sc_limits_list(const struct sc_pins *pins, struct sc_limit_entry ret_entries[SC_LIMITS_MAX]);

#endif

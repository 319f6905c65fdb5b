/* SPDX-License-Identifier: MIT */
/* Events that came while a call waited for something else: told by the next sc_poll, in order. */
#ifndef LIBAPP_STORE_H
#define LIBAPP_STORE_H

#include <stdbool.h>

#include <sidecore/app.h>

struct sink;

enum { STORE_MIN = 64, STORE_MAX = 8192 };

struct store {
	struct sc_event *events;
	unsigned int first, cnt, size;
};

void sc_store_exit(struct store *store);

/* Room for at least so many more; say how many were put by sc_store_added. false: too many, or no memory. */
bool sc_store_room(struct store *store, unsigned int cnt, struct sink *ret_sink);
void sc_store_added(struct store *store, unsigned int cnt);

/* Moves the oldest to the sink, as far as that has room. There are some. */
void sc_store_take(struct store *store, struct sink *sink);

/* The listener is no more: another may be where it was. */
void sc_store_unname(struct store *store, const struct sc_listener *listener);

/* The nth oldest, n < cnt. */
static inline struct sc_event *sc_store_at(const struct store *store, unsigned int n)
{
	return &store->events[store->first + n];
}

/* Those before it stay in order. */
void sc_store_remove(struct store *store, unsigned int n);

#endif

// SPDX-License-Identifier: MIT
/* Events that came while a call waited for something else: told by the next sc_poll, in order. */
#include <stdlib.h>
#include <string.h>

#include "lane.h"
#include "store.h"

void sc_store_exit(struct store *store)
{
	free(store->events);
	*store = (struct store){ 0 };
}

static bool grow(struct store *store, unsigned int cnt)
{
	unsigned int size = store->size ? store->size : STORE_MIN;
	struct sc_event *events;

	while (size < cnt)
		size *= 2;
	if (size > STORE_MAX)
		return false;
	events = realloc(store->events, size * sizeof(*events));
	if (!events)
		return false;
	store->events = events;
	store->size = size;
	return true;
}

bool sc_store_room(struct store *store, unsigned int cnt, struct sink *ret_sink)
{
	if (store->first && store->first + store->cnt + cnt > store->size) {
		memmove(store->events, sc_store_at(store, 0), store->cnt * sizeof(*store->events));
		store->first = 0;
	}
	if (store->cnt + cnt > store->size && !grow(store, store->cnt + cnt))
		return false;
	*ret_sink = (struct sink){
		.events = sc_store_at(store, store->cnt),
		.max = store->size - store->first - store->cnt,
	};
	return true;
}

void sc_store_added(struct store *store, unsigned int cnt)
{
	store->cnt += cnt;
}

static void drop_oldest(struct store *store, unsigned int cnt)
{
	store->cnt -= cnt;
	store->first = store->cnt ? store->first + cnt : 0;
}

void sc_store_take(struct store *store, struct sink *sink)
{
	unsigned int room = sink->max - sink->cnt, cnt = store->cnt < room ? store->cnt : room;

	memcpy(sink->events + sink->cnt, sc_store_at(store, 0), cnt * sizeof(*sink->events));
	sink->cnt += cnt;
	drop_oldest(store, cnt);
}

void sc_store_unname(struct store *store, const struct sc_listener *listener)
{
	for (unsigned int i = 0; i < store->cnt; i++)
		if (sc_store_at(store, i)->listener == listener)
			sc_store_at(store, i)->listener = NULL;
}

void sc_store_remove(struct store *store, unsigned int n)
{
	memmove(sc_store_at(store, 1), sc_store_at(store, 0), n * sizeof(*store->events));
	drop_oldest(store, 1);
}

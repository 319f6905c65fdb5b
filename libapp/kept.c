// SPDX-License-Identifier: MIT
/*
 * Received bytes that nobody has read yet, in the order of their coming.
 *
 * Each receive buffer has a note of its own, so that keeping what has arrived cannot fail. Notes are private: the buffers
 * themselves may be written by others.
 */
#include <stdlib.h>

#include "kept.h"
#include "session.h"

static bool in_buffers(const struct lane *lane, const void *mem)
{
	return (size_t)((const char *)mem - lane->bufs) < (size_t)lane->buf_cnt << lane->buf_shift;
}

static struct kept *note_of_buffer(struct lane *lane, const char *mem)
{
	return &lane->kept[(size_t)(mem - lane->bufs) >> lane->buf_shift];
}

static void note_free(struct lane *lane, struct kept *kept)
{
	if (kept < lane->kept || kept >= lane->kept + lane->buf_cnt)
		free(kept);
}

/* A completion that was forged may name a buffer that is kept already: that one stays where it is. */
static bool taken(const struct kept *note)
{
	return note->mem;
}

static void add(struct kept_list *list, struct kept *kept, void *mem, size_t len)
{
	*kept = (struct kept){ .mem = mem, .at = mem, .len = len };
	if (list->first)
		list->last->next = kept;
	else
		list->first = kept;
	list->last = kept;
}

bool sc_kept_received(struct lane *lane, struct kept_list *list, char *at, size_t len)
{
	struct kept *of_copy;
	void *mem;

	if (taken(note_of_buffer(lane, at)))
		return false;
	of_copy = sc_lane_bufs_few(lane) ? malloc(sizeof(*of_copy)) : NULL;
	mem = of_copy ? sc_recv_keep(lane, at, len) : at;
	if (mem == at) {
		free(of_copy);
		add(list, note_of_buffer(lane, at), at, len);
	} else {
		add(list, of_copy, mem, len);
	}
	return true;
}

bool sc_kept_add(struct lane *lane, struct kept_list *list, void *mem, size_t len)
{
	bool in_buffer = in_buffers(lane, mem);
	struct kept *kept = in_buffer ? note_of_buffer(lane, mem) : malloc(sizeof(*kept));

	if (!kept || (in_buffer && taken(kept)))
		return false;
	add(list, kept, mem, len);
	return true;
}

void *sc_kept_pop(struct lane *lane, struct kept_list *list)
{
	struct kept *kept = list->first;
	void *mem = kept->mem;

	list->first = kept->next;
	kept->mem = NULL;
	note_free(lane, kept);
	return mem;
}

void sc_kept_forget(struct lane *lane, struct kept_list *list)
{
	while (list->first)
		(void)sc_kept_pop(lane, list);
}

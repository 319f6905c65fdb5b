/* SPDX-License-Identifier: MIT */
/* Received bytes that nobody has read yet, in the order of their coming; they stay where they are. */
#ifndef LIBAPP_KEPT_H
#define LIBAPP_KEPT_H

#include <stdbool.h>
#include <stddef.h>

struct lane;

struct kept {
	struct kept *next;
	void *mem; /* what is given back */
	char *at;
	size_t len;
};

struct kept_list {
	struct kept *first, *last;
};

/* What was just received. With few buffers left it moves to the arena, if there is memory for that. false: it is kept already. */
bool sc_kept_received(struct lane *lane, struct kept_list *list, char *at, size_t len);

/* A receive buffer or a copy of one that was known to the caller. false: no memory for the note of a copy, or kept already. */
bool sc_kept_add(struct lane *lane, struct kept_list *list, void *mem, size_t len);

/* The first is not kept any more; returns what the caller gives back, or goes on to use. */
void *sc_kept_pop(struct lane *lane, struct kept_list *list);

/* Frees the notes. The lane's buffers and the arena may be gone already. */
void sc_kept_forget(struct lane *lane, struct kept_list *list);

#endif

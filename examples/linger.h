/* SPDX-License-Identifier: MIT */
/* Connections that have said their last word and wait for the peer's end of stream, but not for ever. */
#ifndef EXAMPLES_LINGER_H
#define EXAMPLES_LINGER_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SC_LINGER_MS = 2000 };

/* Part of a connection; all zero when it does not linger. */
struct sc_linger_node {
	struct sc_linger_node *next;
	struct sc_linger_node *prev;
	uint64_t due_ms;
};

struct sc_linger {
	struct sc_linger_node head; /* a ring; the first to be due comes first, as all wait equally long */
};

void sc_linger_init(struct sc_linger *linger);
void sc_linger_add(struct sc_linger *linger, struct sc_linger_node *node);

/* Harmless if the node isn't there. */
void sc_linger_remove(struct sc_linger_node *node);

/* Takes out one connection that has waited long enough, or returns NULL. Asks for the time only if anybody waits. */
struct sc_linger_node *sc_linger_take_due(struct sc_linger *linger);

/* How long a main loop may sleep: -1 if nobody waits. */
int sc_linger_timeout_ms(const struct sc_linger *linger);

#ifdef __cplusplus
}
#endif
#endif

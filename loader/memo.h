/* SPDX-License-Identifier: MIT */
/* A text that stays with the pins of an interface, as the value of a pinned map: bpffs takes no plain files. */
#ifndef SC_LOADER_MEMO_H
#define SC_LOADER_MEMO_H

#include "place.h"

/* The text, allocated; empty if there is none. 0 or -errno. */
int sc_memo_read(const struct sc_place *place, const char *name, char **ret_text);

/* Puts a text in the place of the one there; an empty one removes it. 0 or -errno. */
int sc_memo_write(const struct sc_place *place, const char *name, const char *text);

#endif

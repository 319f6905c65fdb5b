/* SPDX-License-Identifier: MIT */
/* The deny and the allow list of an interface: prefixes in one trie. A prefix is on one of them; the later call decides. */
#ifndef SC_LOADER_LISTS_H
#define SC_LOADER_LISTS_H

#include <stdbool.h>

#include "pins.h"

struct sc_prefixes {
	struct sc_list_key *keys;
	int cnt;
};

/* Appends. 0, or -ENOMEM. sc_prefixes_free() frees what it made. */
int sc_prefixes_append(struct sc_prefixes *prefixes, const struct sc_list_key *key);
void sc_prefixes_free(struct sc_prefixes *prefixes);

/* Appends the prefixes of a file, "-": of standard input. Says why not, with file and line. 0 or -errno. */
int sc_prefixes_read(struct sc_prefixes *prefixes, const char *path);

/* Puts prefixes on the list, one by one. 0; -ENOSPC: no room on the lists; else -errno. */
int sc_lists_add(const struct sc_pins *pins, enum sc_list list, const struct sc_prefixes *prefixes);

/* Takes one prefix off. 0; -ENOENT: not on this list; else -errno. */
int sc_lists_del(const struct sc_pins *pins, enum sc_list list, const struct sc_list_key *prefix);

/* The list is these prefixes from one packet to the next; the other one stays, without them. Errors as sc_lists_add(). */
int sc_lists_replace(const struct sc_pins *pins, enum sc_list list, const struct sc_prefixes *prefixes);

/* Whether a prefix is on either list. */
bool sc_lists_any(const struct sc_pins *pins);

/* Appends all prefixes on the list. 0 or -errno. */
int sc_lists_read(const struct sc_pins *pins, enum sc_list list, struct sc_prefixes *prefixes);

#endif

/* SPDX-License-Identifier: MIT */
/* The deny and the allow list: prefixes in one set of maps. A prefix is on one of them; the later call decides. */
#ifndef SC_LOADER_LISTS_H
#define SC_LOADER_LISTS_H

#include "pins.h"
#include "place.h"

struct sc_prefixes {
	struct sc_list_key *keys;
	int cnt;
};

/* Modules, enum sc_module, that look for prefixes such as these. */
__u32 sc_prefixes_modules(const struct sc_prefixes *prefixes);

/* Appends. 0, or -ENOMEM. sc_prefixes_free() frees what it made. */
int sc_prefixes_append(struct sc_prefixes *prefixes, const struct sc_list_key *key);
void sc_prefixes_free(struct sc_prefixes *prefixes);

/* Appends the prefixes of a file, "-": of standard input. Says why not, with file and line. 0 or -errno. */
int sc_prefixes_read(struct sc_prefixes *prefixes, const char *path);

/*
 * Switches off what has nothing to look for. What is to be put on the lists has sc_prefixes_modules() switched on
 * before, so that no packet meets lists that its program does not look into. Says why it fails. 0 or -errno.
 */
int sc_lists_settle(const struct sc_place *place, struct sc_pins *pins);

/* Puts prefixes on the list, one by one. 0; -ENOSPC: no room on the lists; else -errno. */
int sc_lists_add(const struct sc_pins *pins, enum sc_list list, const struct sc_prefixes *prefixes);

/* Takes one prefix off. 0; -ENOENT: not on this list; else -errno. */
int sc_lists_del(const struct sc_pins *pins, enum sc_list list, const struct sc_list_key *prefix);

/* The list is these prefixes from one packet to the next; the other one stays, without them. Errors as sc_lists_add(). */
int sc_lists_replace(const struct sc_pins *pins, enum sc_list list, const struct sc_prefixes *prefixes);

/* Appends all prefixes on the list. 0 or -errno. */
int sc_lists_read(const struct sc_pins *pins, enum sc_list list, struct sc_prefixes *prefixes);

#endif

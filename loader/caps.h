/* SPDX-License-Identifier: MIT */
/* What this process may do. */
#ifndef SC_LOADER_CAPS_H
#define SC_LOADER_CAPS_H

#include <stdbool.h>

/*
 * Drops every capability but those on the list in caps.c. Says what is missing. Also checks for kernel BTF, without which
 * no program loads. Call after the command line is read, so that --help needs no rights. 0 or -errno.
 */
int sc_caps_limit(void);

/* The first capability on that list that is required and not there; NULL: all are. */
const char *sc_caps_missing(void);

/* Raises or lowers CAP_SYS_ADMIN, if it was there at the start; it is low but for the call that needs it. */
void sc_caps_admin(bool raised);

#endif

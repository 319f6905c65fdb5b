/* SPDX-License-Identifier: MIT */
/* How a user writes a prefix: 192.0.2.0/24, 198.51.100.7, 2001:db8::/32. */
#ifndef SC_LOADER_PREFIX_H
#define SC_LOADER_PREFIX_H

#include <netinet/in.h>

#include <sidecore/steer.h>

#define SC_PREFIX_LEN (INET6_ADDRSTRLEN + sizeof("/128"))

/* 0; -EINVAL: not a prefix; -EDOM: it is one, but has bits set beyond its length. Without a length it is one address. */
int sc_prefix_parse(const char *text, struct sc_list_key *ret_prefix);

/* Writes the prefix in the form above; returns buf. */
const char *sc_prefix_format(const struct sc_list_key *prefix, char buf[SC_PREFIX_LEN]);

#endif

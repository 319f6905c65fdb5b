/* SPDX-License-Identifier: MIT */
/* How a user writes a service: tcp/8080, udp/53, tcp/10.0.0.1:80, tcp/[fd00::1]:80. */
#ifndef SC_LOADER_SPEC_H
#define SC_LOADER_SPEC_H

#include <netinet/in.h>

#include <sidecore/steer.h>

/* "tcp/[" address "]:65535" and the end. */
#define SC_SPEC_LEN (sizeof("tcp/[]:65535") + INET6_ADDRSTRLEN)

struct sc_spec {
	__u8 family; /* enum sc_steer_family, or 0: both, on any address */
	__u8 protocol;
	__be16 port;
	__be32 addr[4]; /* all zero: any */
};

/* 0 or -EINVAL. */
int sc_spec_parse(const char *text, struct sc_spec *ret_spec);

/* Writes the spec in the form above; returns buf. */
const char *sc_spec_format(const struct sc_spec *spec, char buf[SC_SPEC_LEN]);

#endif

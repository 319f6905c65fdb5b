/* SPDX-License-Identifier: MIT */
/* What xdpload learns from two ordinary requests before the load: route, length and status line. Prints its own errors. */
#ifndef XDPLOAD_PROBE_H
#define XDPLOAD_PROBE_H

#include <netinet/in.h>
#include "xdpload.h"

struct sc_probe {
	const char *ifname;
	const char *path;
	struct sockaddr_in target;
	char name[32]; /* ADDR:PORT for messages and the Host header */
};

/* Sets target, local_ip and the request in config. 0 or -errno. */
int sc_probe_prepare(const struct sc_probe *p, struct xdpload_config *config);

/*
 * Two requests on one connection of the kernel's own TCP; blocks up to some seconds. Sets response_len and prefix.
 * 0 or -errno: the server must answer 200, keep the connection, send a Content-Length and the same length twice.
 */
int sc_probe_learn(const struct sc_probe *p, struct xdpload_config *config);

#endif

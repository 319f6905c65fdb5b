/* SPDX-License-Identifier: MIT */
/* The connections as user space sees them: opened, watched, helped over a lost packet, reset. Prints its own errors. */
#ifndef XDPLOAD_CONNS_H
#define XDPLOAD_CONNS_H

#include "xdpload.h"

struct sc_conns;

/* Where the connections stand; the first four add up to their number. */
struct sc_conns_tally {
	__u32 connecting;
	__u32 open;
	__u32 idle;
	__u32 lost; /* reset, closed or broken */
	__u64 stalled; /* times a connection made no step for 200 ms and was sent something again */
	__u64 syns_again; /* SYNs sent again after 200 ms */
};

/* Opens the packet socket. config stays the caller's and must outlive this. NULL after an error message. */
struct sc_conns *sc_conns_create(const char *ifname, int map_fd, const struct xdpload_config *config);
void sc_conns_free(struct sc_conns *c);

/* Sends every SYN, some at a time. 0 or -errno. */
int sc_conns_connect(struct sc_conns *c);

/* Looks at every connection, sends again what a stalled one waits for. To be called every 50 ms. 0 or -errno. */
int sc_conns_scan(struct sc_conns *c, struct sc_conns_tally *ret_tally);

/* Resets every connection at the server. */
void sc_conns_reset(struct sc_conns *c);

#endif

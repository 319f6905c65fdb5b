/* SPDX-License-Identifier: MIT */
/* The XDP program on its interface: loaded, attached, read, detached. Prints its own errors. */
#ifndef XDPLOAD_OBJECT_H
#define XDPLOAD_OBJECT_H

#include "xdpload.h"

struct sc_object;

/* Attaches in native mode, passing everything as conns_cnt is 0; never displaces a program. NULL after an error message. */
struct sc_object *sc_object_create(const char *ifname, __u32 conns_cnt);

/* Detaches. The kernel does the same when the process dies: the link is pinned nowhere. */
void sc_object_free(struct sc_object *o);

/* The program's own settings, in memory shared with it. */
struct xdpload_config *sc_object_config(struct sc_object *o);
const volatile struct xdpload_peer *sc_object_peer(struct sc_object *o);
int sc_object_conns_fd(struct sc_object *o);

/* Sums the counters of all CPUs. 0 or -errno, printed. */
int sc_object_stats(struct sc_object *o, struct xdpload_stats *ret_stats);

/* Mean run time of the program, 0 unless kernel.bpf_stats_enabled is set. */
double sc_object_ns_per_packet(struct sc_object *o);

#endif

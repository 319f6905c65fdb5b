/* SPDX-License-Identifier: MIT */
/* The services of an interface: keys in map `services`, a row of counters each. */
#ifndef SC_LOADER_SERVICES_H
#define SC_LOADER_SERVICES_H

#include "pins.h"
#include "spec.h"

struct sc_service_entry {
	struct sc_spec spec;
	__u32 row;
};

/* Adds a service, its counters at zero. One that is there keeps them. 0; -ENOSPC: no room for one more; else -errno. */
int sc_services_add(const struct sc_pins *pins, const struct sc_spec *spec);

/* Whether its packets can be handed to AF_XDP sockets: UDP on any address. */
bool sc_services_may_xsk(const struct sc_spec *spec);

/*
 * The same as sc_services_add(), of one that may: its packets are for AF_XDP sockets while SC_MODULE_SOCKETS is on.
 * -EOPNOTSUPP: there are no such sockets.
 */
int sc_services_add_xsk(const struct sc_pins *pins, const struct sc_spec *spec);

/* 0; -ENOENT: no such service; else -errno. */
int sc_services_del(const struct sc_pins *pins, const struct sc_spec *spec);

/*
 * Writes the services, ordered by row, to ret_entries; a service on any address of both families is one entry.
 * Returns how many, at most SC_STEER_KEYS_MAX, or -errno.
 */
int sc_services_list(const struct sc_pins *pins, struct sc_service_entry ret_entries[SC_STEER_KEYS_MAX]);

/* About how many connections: those from before it was a service are missing, what is sent again counts again. */
static inline __u64 sc_service_live(const struct sc_service_count *sum)
{
	return sum->opened > sum->closed ? sum->opened - sum->closed : 0;
}

#endif

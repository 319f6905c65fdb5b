/* SPDX-License-Identifier: MIT */
/* The other end of a veth pair. */
#ifndef SC_LOADER_PEER_H
#define SC_LOADER_PEER_H

/* Index of the peer if it is in this network namespace too; 0: it is elsewhere; or -errno. */
int sc_peer_ifindex(int ifindex);

#endif

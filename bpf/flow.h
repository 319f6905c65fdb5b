/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* A flow, the service it is for and the slot it hashes to. */
#ifndef SC_BPF_FLOW_H
#define SC_BPF_FLOW_H

#include "maps.h"

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

struct flow {
	struct sc_service_key to; /* destination: the key of its service, if there is one */
	__be32 from_addr[4];
	__be16 from_port;
	__u16 transport_at; /* where its headers begin in the frame */
	__u8 ip_at;
	__u8 tcp_flags; /* enum tcp_flag */
	__u8 reason; /* enum sc_reason: why it ended as it did */
	bool is_martian; /* has IP options that SC_MODULE_OPTIONS refuses */
};

/* The words of a destination port: 0 if there is nothing to know about it. */
static __always_inline __u32 flow_port_word(const struct flow *flow)
{
	__u32 key = bpf_ntohs(flow->to.port);
	struct sc_port *port = bpf_map_lookup_elem(&ports, &key);

	return port ? port->words[SC_PORT_INDEX(flow->to.family, flow->to.protocol)] : 0;
}

/*
 * Row of the flow's service, or -1. A service on this very address wins over one on any address. An array in front of the
 * hash: its lookup is inlined, and where no service has an address, which is the rule, the hash is not asked at all.
 */
static __always_inline int flow_service(const struct flow *flow, __u32 word)
{
	if (word & SC_PORT_ADDRESSED) {
		struct sc_service *service = bpf_map_lookup_elem(&services, &flow->to);

		if (service)
			return service->row;
	}
	return (int)(word & SC_PORT_ROW) - 1;
}

/* A round of multiply and fold: every bit of the input reaches the high bits of the result. */
static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 32);
}

static __always_inline __u64 pair(__be32 high, __be32 low)
{
	return (__u64)high << 32 | low;
}

/*
 * Slot of a flow in the indirection table. Not symmetric: only packets to a service are steered, so the other direction
 * never comes here, and a hash that treats the ends alike would give up the order of the words for nothing.
 */
static __always_inline __u32 flow_slot(const struct flow *flow, __u32 seed)
{
	const __be32 *from = flow->from_addr, *to = flow->to.addr;
	__u64 hash = mix(seed, pair(flow->from_port, flow->to.port));

	hash = mix(hash, pair(from[0], to[0]));
	if (flow->to.family == SC_STEER_IPV6) {
		hash = mix(hash, pair(from[1], to[1]));
		hash = mix(hash, pair(from[2], to[2]));
		hash = mix(hash, pair(from[3], to[3]));
	}
	return mix(hash, 0) % SC_STEER_SLOTS;
}

/* Slot of all flows from a source, as sc_source has it: one CPU serves them. */
static __always_inline __u32 source_slot(const struct flow *flow, __u32 seed)
{
	const __be32 *from = flow->from_addr;
	__u64 hash = mix(seed, pair(from[0], flow->to.family == SC_STEER_IPV6 ? from[1] : 0));

	return mix(hash, 0) % SC_STEER_SLOTS;
}

#endif

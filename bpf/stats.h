/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Counting. Each CPU has its own words, so no atomics. */
#ifndef SC_BPF_STATS_H
#define SC_BPF_STATS_H

#include "flow.h"

static __always_inline void count(enum sc_reason reason)
{
	__u32 key = reason;
	__u64 *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		(*counter)++;
}

/* The end of a packet, by its verdict: the entry point counts the reason. */
static __always_inline int pass(struct flow *flow, enum sc_reason reason)
{
	flow->reason = reason;
	return XDP_PASS;
}

static __always_inline int drop(struct flow *flow, enum sc_reason reason)
{
	flow->reason = reason;
	return XDP_DROP;
}

static __always_inline struct sc_service_count *service_count(int service)
{
	__u32 row = service;

	return bpf_map_lookup_elem(&service_counts, &row);
}

/* What a packet on its dedicated CPU says of its connection. */
static __always_inline void account(struct sc_service_count *service, const struct flow *flow)
{
	if ((flow->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		service->opened++;
	if (flow->tcp_flags & (TCP_FIN | TCP_RST))
		service->closed++;
}

#endif

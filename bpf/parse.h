/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* From the first byte of a frame to its flow: Ethernet, VLAN, IPv4, IPv6, TCP, UDP. */
#ifndef SC_BPF_PARSE_H
#define SC_BPF_PARSE_H

#include "flow.h"
#include "options.h"
#include "valid.h"

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_QINQ = 0x88a8,

	PROTO_TCP = 6,
	PROTO_UDP = 17,

	IPV4_MORE_FRAGMENTS = 0x2000,
	IPV4_OFFSET_MASK = 0x1fff,
};

/* The unread part of a frame. */
struct cursor {
	void *pos;
	void *end;
	struct xdp_md *ctx;
	__u32 checks; /* SC_MODULES_PARSER that are on */
	__u32 linear_len; /* of the frame, from its begin */
	__u32 taken; /* bytes before pos */
	__u32 packet_end; /* where the IP packet ends; behind it may be padding; SC_MODULE_VALIDITY only */
};

/* The next `len` bytes, or NULL if the frame ends before. Only the linear part counts: the rest is never a header here. */
static __always_inline void *take(struct cursor *cursor, __u64 len)
{
	void *header = cursor->pos;

	if (header + len > cursor->end)
		return NULL;
	cursor->pos = header + len;
	cursor->taken += len;
	return header;
}

/* Mostly a frame is linear, and that is seen without a call. */
static __always_inline bool frame_holds(const struct cursor *cursor, __u32 len)
{
	return len <= cursor->linear_len || len <= bpf_xdp_get_buff_len(cursor->ctx);
}

static __always_inline bool is_vlan(__be16 ethertype)
{
	return ethertype == bpf_htons(ETHERTYPE_VLAN) || ethertype == bpf_htons(ETHERTYPE_QINQ);
}

/* All parsers: 0 and what was found, or the reason why the packet is none of ours (never SC_REASON_STEERED, which is 0). */
static __always_inline int parse_ethernet(struct cursor *cursor, __be16 *ret_ethertype)
{
	struct ethhdr *eth = take(cursor, sizeof(*eth));
	__be16 ethertype;
	int tags;

	if (!eth)
		return SC_REASON_TRUNCATED;
	ethertype = eth->h_proto;
#pragma unroll
	for (tags = 0; tags < SC_STEER_VLANS_MAX; tags++) {
		struct vlan_hdr *vlan;

		if (!is_vlan(ethertype))
			break;
		vlan = take(cursor, sizeof(*vlan));
		if (!vlan)
			return SC_REASON_TRUNCATED;
		ethertype = vlan->h_vlan_encapsulated_proto;
	}
	if (is_vlan(ethertype))
		return SC_REASON_DEEP_VLAN;
	*ret_ethertype = ethertype;
	return 0;
}

static __always_inline int parse_ipv4(struct cursor *cursor, struct flow *flow)
{
	struct iphdr *ip = take(cursor, sizeof(*ip));
	__u32 header_len, start;

	if (!ip)
		return SC_REASON_TRUNCATED;
	header_len = ip->ihl * 4;
	if (ip->version != 4 || header_len < sizeof(*ip))
		return SC_REASON_MALFORMED;
	start = cursor->taken - sizeof(*ip);
	flow->to.family = SC_STEER_IPV4;
	flow->to.protocol = ip->protocol;
	flow->to.addr[0] = ip->daddr;
	flow->from_addr[0] = ip->saddr;
	flow->ip_at = start;
	if (!take(cursor, header_len - sizeof(*ip)))
		return SC_REASON_TRUNCATED;
	if (cursor->checks & SC_MODULE_VALIDITY) {
		cursor->packet_end = ip->tot_len ? start + bpf_ntohs(ip->tot_len) : bpf_xdp_get_buff_len(cursor->ctx);
		if (!frame_holds(cursor, cursor->packet_end) || cursor->packet_end < cursor->taken)
			return SC_REASON_BAD_HEADER;
		if (!ipv4_checksum_is_valid(ip, header_len, cursor->end))
			return SC_REASON_BAD_CHECKSUM;
	}
	if (cursor->checks & SC_MODULE_OPTIONS && header_len > sizeof(*ip))
		flow->is_martian = ipv4_options_are_martian(cursor->ctx, start + sizeof(*ip), header_len - sizeof(*ip));
	if (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK))
		return SC_REASON_FRAGMENT;
	return 0;
}

static __always_inline int parse_ipv6(struct cursor *cursor, struct flow *flow)
{
	struct ipv6hdr *ip = take(cursor, sizeof(*ip));
	__u8 protocol;
	__u32 start;
	int i;

	if (!ip)
		return SC_REASON_TRUNCATED;
	if (ip->version != 6)
		return SC_REASON_MALFORMED;
	flow->to.family = SC_STEER_IPV6;
	__builtin_memcpy(flow->to.addr, &ip->daddr, sizeof(flow->to.addr));
	__builtin_memcpy(flow->from_addr, &ip->saddr, sizeof(flow->from_addr));
	start = cursor->taken;
	flow->ip_at = start - sizeof(*ip);
	if (cursor->checks & SC_MODULE_VALIDITY) {
		/* 0 is a jumbogram: its length is in an option. */
		cursor->packet_end = ip->payload_len ? cursor->taken + bpf_ntohs(ip->payload_len) :
						       bpf_xdp_get_buff_len(cursor->ctx);
		if (!frame_holds(cursor, cursor->packet_end))
			return SC_REASON_BAD_HEADER;
	}
	protocol = ip->nexthdr;
	for (i = 0; i < SC_STEER_EXT_HEADERS_MAX && is_ext_header(protocol); i++) {
		struct ipv6_rt_hdr *ext = take(cursor, sizeof(*ext));

		if (!ext || !take(cursor, ipv6_ext_len(protocol, ext->hdrlen) - sizeof(*ext)))
			return SC_REASON_TRUNCATED;
		protocol = ext->nexthdr;
	}
	if (cursor->checks & SC_MODULE_OPTIONS && i)
		flow->is_martian = ipv6_routing_is_martian(cursor->ctx, ip->nexthdr, start, cursor->taken);
	if (is_ext_header(protocol))
		return SC_REASON_DEEP_IPV6;
	/* Even one that is whole ("atomic"): rare enough to leave to the stack. */
	if (protocol == PROTO_FRAGMENT)
		return SC_REASON_FRAGMENT;
	flow->to.protocol = protocol;
	return 0;
}

static __always_inline int parse_transport(struct cursor *cursor, struct flow *flow)
{
	__u32 start = cursor->taken;

	flow->transport_at = start;
	if (flow->to.protocol == PROTO_TCP) {
		struct tcphdr *tcp = take(cursor, sizeof(*tcp));

		if (!tcp)
			return SC_REASON_TRUNCATED;
		if (tcp->doff * 4 < sizeof(*tcp))
			return SC_REASON_MALFORMED;
		flow->from_port = tcp->source;
		flow->to.port = tcp->dest;
		flow->tcp_flags = ((__u8 *)tcp)[TCP_FLAGS_AT];
		if (!(cursor->checks & SC_MODULE_VALIDITY))
			return 0;
		if (start + tcp->doff * 4 > cursor->packet_end)
			return SC_REASON_BAD_HEADER;
		return tcp_flags_are_valid(tcp) ? 0 : SC_REASON_BAD_FLAGS;
	}
	if (flow->to.protocol == PROTO_UDP) {
		struct udphdr *udp = take(cursor, sizeof(*udp));

		if (!udp)
			return SC_REASON_TRUNCATED;
		flow->from_port = udp->source;
		flow->to.port = udp->dest;
		if (cursor->checks & SC_MODULE_VALIDITY &&
		    !udp_len_is_valid(bpf_ntohs(udp->len), cursor->packet_end - start))
			return SC_REASON_BAD_HEADER;
		return 0;
	}
	return SC_REASON_NOT_TRANSPORT;
}

static __always_inline int parse_frame(struct cursor *cursor, struct flow *flow)
{
	__be16 ethertype;
	int reason;

	reason = parse_ethernet(cursor, &ethertype);
	if (reason)
		return reason;
	if (ethertype == bpf_htons(ETHERTYPE_IPV4))
		reason = parse_ipv4(cursor, flow);
	else if (ethertype == bpf_htons(ETHERTYPE_IPV6))
		reason = parse_ipv6(cursor, flow);
	else
		return SC_REASON_NOT_IP;
	return reason ?: parse_transport(cursor, flow);
}

/*
 * What was found of the flow is in *flow also if it is none of ours: no family, no address; no port, no transport.
 * checks: SC_MODULES_PARSER that are on, for what the flow does not depend on; the first gives reasons of drops.
 */
static __always_inline int parse_flow(struct xdp_md *ctx, struct flow *flow, __u32 checks)
{
	struct cursor cursor = {
		.pos = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
		.ctx = ctx,
		.checks = checks,
		.linear_len = ctx->data_end - ctx->data,
	};
	int reason;

	reason = parse_frame(&cursor, flow);
	if (!(checks & SC_MODULE_VALIDITY))
		return reason;
	if (!reason && flow_is_land(flow))
		return SC_REASON_LAND;
	/* A header that lies beyond the linear part would not be the sender's fault. */
	if (reason == SC_REASON_MALFORMED ||
	    (reason == SC_REASON_TRUNCATED && cursor.linear_len == bpf_xdp_get_buff_len(ctx)))
		return SC_REASON_BAD_HEADER;
	return reason;
}

#endif

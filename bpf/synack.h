/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Makes a SYN-ACK of the frame that holds the SYN, and sends it back. */
#ifndef SC_BPF_SYNACK_H
#define SC_BPF_SYNACK_H

#include "flow.h"
#include "parse.h"

enum {
	MAC_LEN = 6,
	FRAME_LEN_MIN = 60, /* of Ethernet, without checksum */
	HOP_LIMIT = 64,
	IPV4_DONT_FRAGMENT = 0x4000,
	TCP_OPTION_MSS = 2,
	INITIAL_SEGMENTS = 10, /* what a client sends before it hears from us again (RFC 6928) */
};

union ip_header {
	struct iphdr v4;
	struct ipv6hdr v6;
};

/* A SYN-ACK with the option MSS. */
struct synack {
	__be16 from_port;
	__be16 to_port;
	__be32 seq;
	__be32 ack_seq;
	__be16 len_and_flags;
	__be16 window;
	__sum16 check;
	__be16 urgent;
	__u8 option;
	__u8 option_len;
	__be16 mss;
};

static __always_inline bool is_ipv4(const struct flow *flow)
{
	return flow->to.family == SC_STEER_IPV4;
}

static __always_inline __u32 ip_len(const struct flow *flow)
{
	return is_ipv4(flow) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

static __always_inline __u64 add_words(__u64 sum, const void *from, __u32 len)
{
	const __u32 *words = from;
	__u32 i;

#pragma unroll
	for (i = 0; i < len / 4; i++)
		sum += words[i];
	return sum;
}

static __always_inline __sum16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* What the listener would offer: a segment that fits the device. */
static __always_inline __u16 own_mss(struct xdp_md *ctx, const struct flow *flow, __u16 mss_max)
{
	__u32 mtu = 0, mss;

	bpf_check_mtu(ctx, 0, &mtu, 0, 0);
	mss = mtu - ip_len(flow) - sizeof(struct tcphdr);
	if (mss > 0xffff)
		mss = 0xffff;
	return mss_max && mss > mss_max ? mss_max : mss;
}

static __always_inline void make_synack(struct synack *synack, const struct flow *flow, __u32 cookie, __u32 ack,
					__u16 mss)
{
	__u32 window = (__u32)mss * INITIAL_SEGMENTS;
	__u64 sum;

	*synack = (struct synack){
		.from_port = flow->to.port,
		.to_port = flow->from_port,
		.seq = bpf_htonl(cookie),
		.ack_seq = bpf_htonl(ack),
		.len_and_flags = bpf_htons(sizeof(*synack) / 4 << 12 | TCP_SYN | TCP_ACK),
		.window = bpf_htons(window > 0xffff ? 0xffff : window),
		.option = TCP_OPTION_MSS,
		.option_len = 4,
		.mss = bpf_htons(mss),
	};
	sum = add_words(0, synack, sizeof(*synack));
	sum += bpf_htons(PROTO_TCP) + bpf_htons(sizeof(*synack));
	/* Unused words of an IPv4 address are zero. */
	sum = add_words(sum, flow->from_addr, sizeof(flow->from_addr));
	sum = add_words(sum, flow->to.addr, sizeof(flow->to.addr));
	synack->check = fold(sum);
}

static __always_inline void make_ip(union ip_header *ip, const struct flow *flow)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	if (is_ipv4(flow)) {
		*(__u8 *)ip = 4 << 4 | sizeof(struct iphdr) / 4;
		ip->v4.tot_len = bpf_htons(sizeof(struct iphdr) + sizeof(struct synack));
		ip->v4.frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
		ip->v4.ttl = HOP_LIMIT;
		ip->v4.protocol = PROTO_TCP;
		ip->v4.saddr = flow->to.addr[0];
		ip->v4.daddr = flow->from_addr[0];
		ip->v4.check = fold(add_words(0, ip, sizeof(struct iphdr)));
	} else {
		*(__u8 *)ip = 6 << 4;
		ip->v6.payload_len = bpf_htons(sizeof(struct synack));
		ip->v6.nexthdr = PROTO_TCP;
		ip->v6.hop_limit = HOP_LIMIT;
		__builtin_memcpy(&ip->v6.saddr, flow->to.addr, sizeof(flow->to.addr));
		__builtin_memcpy(&ip->v6.daddr, flow->from_addr, sizeof(flow->from_addr));
	}
}

/* Sends the frame back whence it came, VLAN tags and all. */
static __always_inline int send_back(struct xdp_md *ctx, const struct flow *flow, union ip_header *ip,
				     struct synack *synack, __u32 flags)
{
	__u32 synack_at = flow->ip_at + ip_len(flow), len = synack_at + sizeof(*synack);
	__u8 macs[2 * MAC_LEN], padding[FRAME_LEN_MIN] = {};
	int err;

	if (bpf_xdp_load_bytes(ctx, MAC_LEN, macs, MAC_LEN) || bpf_xdp_load_bytes(ctx, 0, macs + MAC_LEN, MAC_LEN))
		return XDP_PASS;
	if (bpf_xdp_adjust_tail(ctx, (len < FRAME_LEN_MIN ? FRAME_LEN_MIN : len) - bpf_xdp_get_buff_len(ctx)))
		return XDP_PASS;
	err = bpf_xdp_store_bytes(ctx, 0, macs, sizeof(macs));
	err = err		    ?:
		      is_ipv4(flow) ? bpf_xdp_store_bytes(ctx, flow->ip_at, &ip->v4, sizeof(struct iphdr)) :
				      bpf_xdp_store_bytes(ctx, flow->ip_at, &ip->v6, sizeof(struct ipv6hdr));
	err = err ?: bpf_xdp_store_bytes(ctx, synack_at, synack, sizeof(*synack));
	if (!err && len < FRAME_LEN_MIN)
		err = bpf_xdp_store_bytes(ctx, len, padding, FRAME_LEN_MIN - len);
	return err ? XDP_ABORTED : flags & SC_SYN_REDIRECT ? bpf_redirect(ctx->ingress_ifindex, 0) : XDP_TX;
}

#endif

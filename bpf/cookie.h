/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Answers SYNs of a flood in the place of the listener, with its own cookie, and drops ACKs that carry none.
 *
 * The kernel makes the cookies and checks them again when the ACK comes to the listener. It gives one while the listener's queue
 * is full (net.ipv4.tcp_syncookies 1, as it does for itself) or always (2), and remembers at the listener that it did: without
 * that it would refuse the ACK. When it gives none, the SYN goes on as any other.
 */
#ifndef SC_BPF_COOKIE_H
#define SC_BPF_COOKIE_H

#include "flood.h"
#include "flow.h"
#include "parse.h"
#include "stats.h"

enum {
	AF_INET = 2,
	AF_INET6 = 10,
	MAC_LEN = 6,
	FRAME_LEN_MIN = 60, /* of Ethernet, without checksum */
	TCP_LEN_MAX = 60,
	HOP_LIMIT = 64,
	IPV4_DONT_FRAGMENT = 0x4000,
	TCP_OPTION_MSS = 2,
	INITIAL_SEGMENTS = 10, /* what a client sends before it hears from us again (RFC 6928) */

	ENOENT = 2,
};

/* Both ends of a connection that a cookie has opened. */
struct peer {
	__be32 from_addr[4];
	__be32 to_addr[4];
	__be16 from_port;
	__be16 to_port;
};

/*
 * Peers whose cookie was right: what they send right behind the ACK finds no connection yet while the ACK waits for its CPU, and
 * has no cookie of its own. Only right cookies get in, so a flood cannot push others out.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct peer);
	__type(value, __u32);
} peers SEC(".maps");

/* Headers as the kernel's cookie helpers take them: in one piece, of a length the verifier can see. */
struct headers {
	union {
		struct iphdr v4;
		struct ipv6hdr v6;
	} ip;
	union {
		struct tcphdr base;
		__u8 bytes[TCP_LEN_MAX];
	} tcp;
	__u32 tcp_len;
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

static __always_inline bool tcp_len_is_valid(__u32 len)
{
	return len >= sizeof(struct tcphdr) && len <= TCP_LEN_MAX;
}

/* false: options or extension headers, which an answer would have to repeat or to judge: left to the stack. */
static __always_inline bool headers_read(struct xdp_md *ctx, const struct flow *flow, struct headers *headers)
{
	__u32 len;

	__builtin_memset(headers, 0, sizeof(*headers));
	if (flow->transport_at - flow->ip_at != ip_len(flow))
		return false;
	if (is_ipv4(flow) ? bpf_xdp_load_bytes(ctx, flow->ip_at, &headers->ip.v4, sizeof(headers->ip.v4)) :
			    bpf_xdp_load_bytes(ctx, flow->ip_at, &headers->ip.v6, sizeof(headers->ip.v6)))
		return false;
	if (bpf_xdp_load_bytes(ctx, flow->transport_at, &headers->tcp, sizeof(headers->tcp.base)))
		return false;
	len = headers->tcp.base.doff * 4;
	if (!tcp_len_is_valid(len))
		return false;
	headers->tcp_len = len;
	return !bpf_xdp_load_bytes(ctx, flow->transport_at, &headers->tcp, len);
}

/* What the packet would find: a connection, a listener, or nothing. The caller releases it. */
static __always_inline struct bpf_sock *find_socket(struct xdp_md *ctx, const struct flow *flow)
{
	struct bpf_sock_tuple tuple = {};

	if (is_ipv4(flow)) {
		tuple.ipv4.saddr = flow->from_addr[0];
		tuple.ipv4.daddr = flow->to.addr[0];
		tuple.ipv4.sport = flow->from_port;
		tuple.ipv4.dport = flow->to.port;
		return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	__builtin_memcpy(tuple.ipv6.saddr, flow->from_addr, sizeof(tuple.ipv6.saddr));
	__builtin_memcpy(tuple.ipv6.daddr, flow->to.addr, sizeof(tuple.ipv6.daddr));
	tuple.ipv6.sport = flow->from_port;
	tuple.ipv6.dport = flow->to.port;
	return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/* A router must not answer for those behind it, although a listener on any address would match. */
static __always_inline bool is_routed_on(struct xdp_md *ctx, const struct flow *flow)
{
	struct bpf_fib_lookup route = { .ifindex = ctx->ingress_ifindex, .l4_protocol = PROTO_TCP };
	long result;

	if (is_ipv4(flow)) {
		route.family = AF_INET;
		route.ipv4_src = flow->from_addr[0];
		route.ipv4_dst = flow->to.addr[0];
	} else {
		route.family = AF_INET6;
		__builtin_memcpy(route.ipv6_src, flow->from_addr, sizeof(route.ipv6_src));
		__builtin_memcpy(route.ipv6_dst, flow->to.addr, sizeof(route.ipv6_dst));
	}
	result = bpf_fib_lookup(ctx, &route, sizeof(route), 0);
	return result != BPF_FIB_LKUP_RET_NOT_FWDED && result != BPF_FIB_LKUP_RET_FWD_DISABLED;
}

static __always_inline bool is_to_mac(struct xdp_md *ctx, const __u8 *mac)
{
	const __u16 *to = (void *)(long)ctx->data, *own = (const void *)mac;

	if ((void *)(to + MAC_LEN / 2) > (void *)(long)ctx->data_end)
		return false;
	return to[0] == own[0] && to[1] == own[1] && to[2] == own[2];
}

/* The cookie, or -1: the listener's kernel gives none, or there is no listener. */
static __always_inline __s64 listener_cookie(struct xdp_md *ctx, const struct flow *flow, struct headers *headers)
{
	struct bpf_sock *sock = find_socket(ctx, flow);
	__s64 cookie = -1;

	if (!sock)
		return -1;
	if (sock->state == BPF_TCP_LISTEN && tcp_len_is_valid(headers->tcp_len))
		cookie = bpf_tcp_gen_syncookie(sock, &headers->ip, ip_len(flow), &headers->tcp.base, headers->tcp_len);
	bpf_sk_release(sock);
	return cookie < 0 ? -1LL : (__s64)(__u32)cookie;
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

static __always_inline void make_ip(struct headers *headers, const struct flow *flow)
{
	__builtin_memset(&headers->ip, 0, sizeof(headers->ip));
	if (is_ipv4(flow)) {
		*(__u8 *)&headers->ip = 4 << 4 | sizeof(struct iphdr) / 4;
		headers->ip.v4.tot_len = bpf_htons(sizeof(struct iphdr) + sizeof(struct synack));
		headers->ip.v4.frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
		headers->ip.v4.ttl = HOP_LIMIT;
		headers->ip.v4.protocol = PROTO_TCP;
		headers->ip.v4.saddr = flow->to.addr[0];
		headers->ip.v4.daddr = flow->from_addr[0];
		headers->ip.v4.check = fold(add_words(0, &headers->ip, sizeof(struct iphdr)));
	} else {
		*(__u8 *)&headers->ip = 6 << 4;
		headers->ip.v6.payload_len = bpf_htons(sizeof(struct synack));
		headers->ip.v6.nexthdr = PROTO_TCP;
		headers->ip.v6.hop_limit = HOP_LIMIT;
		__builtin_memcpy(&headers->ip.v6.saddr, flow->to.addr, sizeof(flow->to.addr));
		__builtin_memcpy(&headers->ip.v6.daddr, flow->from_addr, sizeof(flow->from_addr));
	}
}

/* Sends the frame back whence it came, VLAN tags and all. */
static __always_inline int send_back(struct xdp_md *ctx, const struct flow *flow, struct headers *headers,
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
		      is_ipv4(flow) ? bpf_xdp_store_bytes(ctx, flow->ip_at, &headers->ip.v4, sizeof(struct iphdr)) :
				      bpf_xdp_store_bytes(ctx, flow->ip_at, &headers->ip.v6, sizeof(struct ipv6hdr));
	err = err ?: bpf_xdp_store_bytes(ctx, synack_at, synack, sizeof(*synack));
	if (!err && len < FRAME_LEN_MIN)
		err = bpf_xdp_store_bytes(ctx, len, padding, FRAME_LEN_MIN - len);
	return err ? XDP_ABORTED : flags & SC_SYN_REDIRECT ? bpf_redirect(ctx->ingress_ifindex, 0) : XDP_TX;
}

/* XDP_PASS: not answered, and as it was. */
static __noinline int cookie_answer(struct xdp_md *ctx, const struct flow *flow, const struct sc_syn *rule)
{
	struct headers headers;
	struct synack synack;
	__s64 cookie;

	if (!is_to_mac(ctx, rule->mac) || !headers_read(ctx, flow, &headers) || is_routed_on(ctx, flow))
		return XDP_PASS;
	cookie = listener_cookie(ctx, flow, &headers);
	if (cookie < 0)
		return XDP_PASS;
	make_synack(&synack, flow, cookie, bpf_ntohl(headers.tcp.base.seq) + 1, own_mss(ctx, flow, rule->mss_max));
	make_ip(&headers, flow);
	return send_back(ctx, flow, &headers, &synack, rule->flags);
}

/* An ACK that the listener would take for the end of a handshake, and refuse. */
static __noinline bool ack_is_bad(struct xdp_md *ctx, const struct flow *flow)
{
	struct peer peer = { .from_port = flow->from_port, .to_port = flow->to.port };
	struct headers headers;
	struct bpf_sock *sock;
	__u32 value = 0;
	long result = 0;
	bool listens;

	sock = find_socket(ctx, flow);
	if (!sock)
		return false;
	listens = sock->state == BPF_TCP_LISTEN;
	if (listens && headers_read(ctx, flow, &headers) && tcp_len_is_valid(headers.tcp_len))
		result = bpf_tcp_check_syncookie(sock, &headers.ip, ip_len(flow), &headers.tcp.base, headers.tcp_len);
	bpf_sk_release(sock);
	if (!listens)
		return false;
	__builtin_memcpy(peer.from_addr, flow->from_addr, sizeof(peer.from_addr));
	__builtin_memcpy(peer.to_addr, flow->to.addr, sizeof(peer.to_addr));
	if (!result)
		bpf_map_update_elem(&peers, &peer, &value, BPF_ANY);
	return result == -ENOENT && !bpf_map_lookup_elem(&peers, &peer);
}

/* XDP_PASS: the packet goes on; else its end. For TCP to a service. */
static __always_inline int cookie_act(struct xdp_md *ctx, struct flow *flow)
{
	struct sc_flood *flood = flood_get();
	struct sc_syn *rule;
	__u32 key = 0;
	int verdict;

	rule = bpf_map_lookup_elem(&syn, &key);
	if (!flood || !rule)
		return XDP_PASS;
	switch (flow->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) {
	case TCP_SYN:
		if (rule->rate && !flood_has_syn(flood, rule->rate))
			return XDP_PASS;
		verdict = cookie_answer(ctx, flow, rule);
		if (verdict != XDP_PASS)
			flow->reason = SC_REASON_COOKIE;
		return verdict;
	case TCP_ACK:
		return (!rule->rate || flood_is_on(flood)) && ack_is_bad(ctx, flow) ? drop(flow, SC_REASON_BAD_COOKIE) :
										      XDP_PASS;
	default:
		return XDP_PASS;
	}
}

#endif

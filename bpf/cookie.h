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
#include "synack.h"

enum {
	AF_INET = 2,
	AF_INET6 = 10,
	TCP_LEN_MAX = 60,
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
	union ip_header ip;
	union {
		struct tcphdr base;
		__u8 bytes[TCP_LEN_MAX];
	} tcp;
	__u32 tcp_len;
};

/* Apart: of the one comparison that a compiler makes of both, len - 20 <= 40, the verifier of Linux 6.12 learns nothing about len. */
static __always_inline bool tcp_len_is_valid(__u32 *len)
{
	if (*len < sizeof(struct tcphdr))
		return false;
	asm volatile("" : "+r"(*len));
	return *len <= TCP_LEN_MAX;
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
	if (!tcp_len_is_valid(&len))
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

/* Without forwarding the stack takes all that is sent to its device. */
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

/*
 * A listener on any address matches every packet: also those that a router hands on, or that the device only hears. Nothing is
 * answered or dropped in the name of others.
 */
static __always_inline bool is_for_us(struct xdp_md *ctx, const struct flow *flow, const struct sc_syn *rule)
{
	return is_to_mac(ctx, rule->mac) && !is_routed_on(ctx, flow);
}

/* The cookie, or -1: the listener's kernel gives none, or there is no listener. */
static __always_inline __s64 listener_cookie(struct xdp_md *ctx, const struct flow *flow, struct headers *headers)
{
	struct bpf_sock *sock = find_socket(ctx, flow);
	__s64 cookie = -1;

	if (!sock)
		return -1;
	if (sock->state == BPF_TCP_LISTEN && tcp_len_is_valid(&headers->tcp_len))
		cookie = bpf_tcp_gen_syncookie(sock, &headers->ip, ip_len(flow), &headers->tcp.base, headers->tcp_len);
	bpf_sk_release(sock);
	return cookie < 0 ? -1LL : (__s64)(__u32)cookie;
}

/* XDP_PASS: not answered, and as it was. */
static __noinline int cookie_answer(struct xdp_md *ctx, const struct flow *flow, const struct sc_syn *rule)
{
	struct headers headers;
	struct synack synack;
	__s64 cookie;

	if (!headers_read(ctx, flow, &headers) || !is_for_us(ctx, flow, rule))
		return XDP_PASS;
	cookie = listener_cookie(ctx, flow, &headers);
	if (cookie < 0)
		return XDP_PASS;
	make_synack(&synack, flow, cookie, bpf_ntohl(headers.tcp.base.seq) + 1, own_mss(ctx, flow, rule->mss_max));
	make_ip(&headers.ip, flow);
	return send_back(ctx, flow, &headers.ip, &synack, rule->flags);
}

enum ack {
	ACK_OTHER, /* of a connection, or nothing that can be told */
	ACK_GOOD,
	ACK_BAD,
};

/* Whether the listener, if that is what the ACK would find, takes it for the end of a handshake. */
static __always_inline enum ack judge_ack(struct xdp_md *ctx, const struct flow *flow)
{
	struct bpf_sock *sock = find_socket(ctx, flow);
	enum ack ack = ACK_OTHER;
	struct headers headers;
	long result;

	if (!sock)
		return ACK_OTHER;
	if (sock->state == BPF_TCP_LISTEN && headers_read(ctx, flow, &headers) && tcp_len_is_valid(&headers.tcp_len)) {
		result = bpf_tcp_check_syncookie(sock, &headers.ip, ip_len(flow), &headers.tcp.base, headers.tcp_len);
		ack = !result ? ACK_GOOD : result == -ENOENT ? ACK_BAD : ACK_OTHER;
	}
	bpf_sk_release(sock);
	return ack;
}

static __noinline bool ack_is_bad(struct xdp_md *ctx, const struct flow *flow, const struct sc_syn *rule)
{
	struct peer peer = { .from_port = flow->from_port, .to_port = flow->to.port };
	enum ack ack = judge_ack(ctx, flow);
	__u32 value = 0;

	if (ack == ACK_OTHER)
		return false;
	__builtin_memcpy(peer.from_addr, flow->from_addr, sizeof(peer.from_addr));
	__builtin_memcpy(peer.to_addr, flow->to.addr, sizeof(peer.to_addr));
	if (ack == ACK_GOOD)
		bpf_map_update_elem(&peers, &peer, &value, BPF_ANY);
	return ack == ACK_BAD && !bpf_map_lookup_elem(&peers, &peer) && is_for_us(ctx, flow, rule);
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
		return (!rule->rate || flood_is_on(flood)) && ack_is_bad(ctx, flow, rule) ?
			       drop(flow, SC_REASON_BAD_COOKIE) :
			       XDP_PASS;
	default:
		return XDP_PASS;
	}
}

#endif

/* SPDX-License-Identifier: MIT */
/* The frames xdpload sends: Ethernet, IPv4 and TCP headers, written by one function in the XDP program and outside it. */
#ifndef XDPLOAD_WIRE_H
#define XDPLOAD_WIRE_H

#include <bpf/bpf_endian.h>
#include "xdpload.h"

enum {
	WIRE_TCP_FIN = 0x01,
	WIRE_TCP_SYN = 0x02,
	WIRE_TCP_RST = 0x04,
	WIRE_TCP_PSH = 0x08,
	WIRE_TCP_ACK = 0x10,
	WIRE_IPV4 = 0x0800,
	WIRE_TCP = 6,
};

/* Packed for a reason: IP starts 14 bytes into the frame, so nothing behind it is aligned to more than 2. */
struct wire {
	__u8 dst_mac[6];
	__u8 src_mac[6];
	__be16 ethertype;
	__u8 version_ihl;
	__u8 tos;
	__be16 ip_len;
	__be16 ip_id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 ip_sum;
	__be32 src_ip;
	__be32 dst_ip;
	__be16 src_port;
	__be16 dst_port;
	__be32 seq;
	__be32 ack;
	__u8 data_offset; /* upper 4 bits, in words */
	__u8 flags;
	__be16 window;
	__u16 tcp_sum;
	__be16 urgent;
} __attribute__((packed, aligned(2)));
XDPLOAD_ASSERT(sizeof(struct wire) == 54, "Ethernet + IPv4 + TCP without options");

enum { WIRE_ETH_LEN = 14, WIRE_IP_LEN = 20, WIRE_TCP_LEN = 20 };

struct wire_segment {
	__u32 seq;
	__u32 ack;
	__u16 src_port; /* host order */
	__u16 body_len; /* options and payload: what follows struct wire */
	__u16 body_sum; /* their sum, memory order */
	__u8 options_len;
	__u8 flags;
};

typedef __u16 __attribute__((may_alias)) wire_word;

static inline __attribute__((always_inline)) __u16 sc_wire_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)((sum & 0xffff) + (sum >> 16));
}

/* Sum of len / 2 words of memory as they lie there, so it needs no byte swap; len is even. */
static inline __attribute__((always_inline)) __u32 sc_wire_sum(const void *data, __u32 len)
{
	const wire_word *word = (const wire_word *)data;
	__u32 sum = 0;

	for (__u32 i = 0; i < len / 2; i++)
		sum += word[i];
	return sum;
}

/* Writes every byte of w, checksums included; the body is the caller's. */
static inline __attribute__((always_inline)) void sc_wire_fill(struct wire *w, const struct xdpload_config *c,
							       const struct wire_segment *s)
{
	__u16 tcp_len = WIRE_TCP_LEN + s->body_len;

	__builtin_memcpy(w->dst_mac, c->target_mac, sizeof(w->dst_mac));
	__builtin_memcpy(w->src_mac, c->local_mac, sizeof(w->src_mac));
	w->ethertype = bpf_htons(WIRE_IPV4);
	w->version_ihl = 0x45;
	w->tos = 0;
	w->ip_len = bpf_htons(WIRE_IP_LEN + tcp_len);
	w->ip_id = 0;
	w->fragment = bpf_htons(0x4000); /* don't fragment */
	w->ttl = 64;
	w->protocol = WIRE_TCP;
	w->ip_sum = 0;
	w->src_ip = c->local_ip;
	w->dst_ip = c->target_ip;
	w->src_port = bpf_htons(s->src_port);
	w->dst_port = c->target_port;
	w->seq = bpf_htonl(s->seq);
	w->ack = bpf_htonl(s->ack);
	w->data_offset = (__u8)((WIRE_TCP_LEN + s->options_len) << 2);
	w->flags = s->flags;
	w->window = bpf_htons(XDPLOAD_WINDOW);
	w->tcp_sum = 0;
	w->urgent = 0;

	w->ip_sum = (__u16)~sc_wire_fold(sc_wire_sum(&w->version_ihl, WIRE_IP_LEN));
	/* The pseudo header: both addresses, protocol, length. */
	w->tcp_sum = (__u16)~sc_wire_fold(sc_wire_sum(&w->src_ip, 8 + WIRE_TCP_LEN) + bpf_htons(WIRE_TCP) +
					  bpf_htons(tcp_len) + s->body_sum);
}

#endif

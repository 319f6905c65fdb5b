/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Tells packets that cannot be right: what a sane stack never sends, or what was damaged on the way. */
#ifndef SC_BPF_VALID_H
#define SC_BPF_VALID_H

#include "flow.h"

enum {
	IPV4_WORDS_MAX = 15, /* of a header with all its options */
	TCP_FLAGS_AT = 13,
};

/* `end` may cut options off, but not the header before them. */
static __always_inline bool ipv4_checksum_is_valid(const void *header, __u32 len, const void *end)
{
	const __u32 *words = header;
	__u64 sum = (__u64)words[0] + words[1] + words[2] + words[3] + words[4];
	__u32 i;

	for (i = sizeof(struct iphdr) / sizeof(*words); i < IPV4_WORDS_MAX && i < len / 4; i++) {
		const void *next = words + i + 1;

		/* The verifier does not carry over what was checked before; and clang would compare with end + 1. */
		asm volatile("" : "+r"(next));
		if (next > end)
			return false;
		sum += words[i];
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* Opens and ends at once, or is none of an opening, an answer and a reset: what scanners send. */
static __always_inline bool tcp_flags_are_valid(const void *tcp)
{
	__u8 flags = ((const __u8 *)tcp)[TCP_FLAGS_AT];
	__u8 ends = flags & (TCP_SYN | TCP_FIN | TCP_RST);

	return flags & (TCP_SYN | TCP_ACK | TCP_RST) && !(ends & (ends - 1));
}

static __always_inline bool udp_len_is_valid(__u32 len, __u32 left)
{
	return len >= sizeof(struct udphdr) && len <= left;
}

static __always_inline bool flow_is_land(const struct flow *flow)
{
	const __be32 *from = flow->from_addr, *to = flow->to.addr;

	return flow->from_port == flow->to.port && from[0] == to[0] && from[1] == to[1] && from[2] == to[2] &&
	       from[3] == to[3];
}

#endif

/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Tells IP options by which a sender would route its packet, or have its way written down.
 *
 * Few packets have any options, so the parser does not look: what it skipped is read again.
 */
#ifndef SC_BPF_OPTIONS_H
#define SC_BPF_OPTIONS_H

#include "parse.h"

enum {
	IPV4_OPTIONS_LEN_MAX = 40,
	IPV4_OPTION_END = 0,
	IPV4_OPTION_NOP = 1,
	IPV4_OPTION_RECORD_ROUTE = 7,
	IPV4_OPTION_TIMESTAMP = 68,
	IPV4_OPTION_LOOSE_ROUTE = 131,
	IPV4_OPTION_STRICT_ROUTE = 137,
	IPV6_ROUTING_SOURCE = 0, /* RFC 5095 abolished it; the other types stay within networks that agreed on them */
};

static __always_inline bool ipv4_option_is_martian(__u8 kind)
{
	return kind == IPV4_OPTION_RECORD_ROUTE || kind == IPV4_OPTION_TIMESTAMP || kind == IPV4_OPTION_LOOSE_ROUTE ||
	       kind == IPV4_OPTION_STRICT_ROUTE;
}

/* Also where one has a length that cannot be: what is behind it could be anything. */
static __always_inline bool ipv4_options_are_martian(struct xdp_md *ctx, __u32 options_at, __u32 len)
{
	__u8 options[IPV4_OPTIONS_LEN_MAX + 1] = {};
	__u32 at, next = 0;

	if (len < 1 || len > IPV4_OPTIONS_LEN_MAX || bpf_xdp_load_bytes(ctx, options_at, options, len))
		return false;
	/* By bytes, not by options, so that the verifier knows at each turn where it is. */
	for (at = 0; at < IPV4_OPTIONS_LEN_MAX && at < len; at++) {
		if (at < next)
			continue;
		if (options[at] == IPV4_OPTION_END)
			return false;
		next = at + 1;
		if (options[at] == IPV4_OPTION_NOP)
			continue;
		next = at + options[at + 1];
		if (ipv4_option_is_martian(options[at]) || options[at + 1] < 2 || next > len)
			return true;
	}
	return false;
}

static __always_inline bool ipv6_routing_is_martian(struct xdp_md *ctx, __u32 ip_at, __u32 end)
{
	__u32 i, at = ip_at + sizeof(struct ipv6hdr);
	struct ipv6_rt_hdr ext;
	__u8 protocol;

	if (at >= end || bpf_xdp_load_bytes(ctx, ip_at + __builtin_offsetof(struct ipv6hdr, nexthdr), &protocol, 1))
		return false;
	for (i = 0; i < SC_STEER_EXT_HEADERS_MAX && at < end; i++) {
		if (bpf_xdp_load_bytes(ctx, at, &ext, sizeof(ext)))
			return false;
		if (protocol == PROTO_ROUTING && ext.type == IPV6_ROUTING_SOURCE)
			return true;
		at += ipv6_ext_len(protocol, ext.hdrlen);
		protocol = ext.nexthdr;
	}
	return false;
}

/*
 * Whether the headers from `ip_at` to `end`, where the parser came to, have any. Global, so that the verifier looks at it once: from
 * where it is called it would know both, and do so for each way through the parser.
 */
__noinline int options_are_martian(struct xdp_md *ctx, __u32 family, __u32 ip_at, __u32 end)
{
	if (family == SC_STEER_IPV4)
		return ipv4_options_are_martian(ctx, ip_at + sizeof(struct iphdr), end - ip_at - sizeof(struct iphdr));
	return family == SC_STEER_IPV6 && ipv6_routing_is_martian(ctx, ip_at, end);
}

#endif

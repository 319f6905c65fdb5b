/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * IPv4 options and IPv6 extension headers: those by which a sender would route its packet, or have its way written down.
 *
 * Few packets have any, so the parser skips them, and they are read again. By global functions, which the verifier looks at once:
 * static ones it would follow from each way through the parser.
 */
#ifndef SC_BPF_OPTIONS_H
#define SC_BPF_OPTIONS_H

#include "maps.h"

enum {
	PROTO_HOP_BY_HOP = 0,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AUTH = 51,
	PROTO_DEST_OPTIONS = 60,
	PROTO_MOBILITY = 135,

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
__noinline int ipv4_options_are_martian(struct xdp_md *ctx, __u32 options_at, __u32 len)
{
	__u8 options[IPV4_OPTIONS_LEN_MAX + 1] = {};
	__u32 at, next = 0;

	if (len < 1)
		return false;
	/* Apart, as of the length of a TCP header in cookie.h. */
	asm volatile("" : "+r"(len));
	if (len > IPV4_OPTIONS_LEN_MAX || bpf_xdp_load_bytes(ctx, options_at, options, len))
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

static __always_inline bool is_ext_header(__u8 protocol)
{
	return protocol == PROTO_HOP_BY_HOP || protocol == PROTO_ROUTING || protocol == PROTO_DEST_OPTIONS ||
	       protocol == PROTO_MOBILITY || protocol == PROTO_AUTH;
}

/* The authentication header alone counts words of 4 bytes. */
static __always_inline __u32 ipv6_ext_len(__u8 protocol, __u8 hdrlen)
{
	return protocol == PROTO_AUTH ? (hdrlen + 2) * 4 : (hdrlen + 1) * 8;
}

/* Among the extension headers from `at` to `end`, of which the first is a `protocol`. */
__noinline int ipv6_routing_is_martian(struct xdp_md *ctx, __u32 protocol, __u32 at, __u32 end)
{
	struct ipv6_rt_hdr ext;
	int i;

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

#endif

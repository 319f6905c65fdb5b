// SPDX-License-Identifier: MIT
// Frames by hand, byte by byte: a second opinion on the layouts that the BPF programs take from the kernel's types.
#include <assert.h>
#include <string.h>

#include "frame.h"

const __u8 frame_ipv4_to[4] = { 10, 0, 0, 1 };
const __u8 frame_ipv6_to[16] = { 0xfd, [15] = 1 };

static const __u8 ipv4_from[4] = { 10, 1, 2, 3 };
static const __u8 ipv6_from[16] = { 0xfd, [15] = 2 };

static __u8 *append(struct frame *frame, int len)
{
	__u8 *start = frame->bytes + frame->len;

	assert(frame->len + len <= FRAME_LEN_MAX);
	memset(start, 0, len);
	frame->len += len;
	return start;
}

static void put16(__u8 *at, __u16 value)
{
	at[0] = value >> 8;
	at[1] = value;
}

void frame_ethertype(struct frame *frame, __u16 ethertype)
{
	put16(frame->bytes + frame->type_at, ethertype);
}

void frame_protocol(struct frame *frame, __u8 protocol)
{
	frame->bytes[frame->type_at] = protocol;
}

void frame_ethernet(struct frame *frame)
{
	__u8 *eth;

	memset(frame, 0, sizeof(*frame));
	eth = append(frame, ETHERNET_LEN);
	memset(eth, 0x02, 12);
	frame->type_at = 12;
}

void frame_vlan(struct frame *frame, unsigned int tpid)
{
	__u8 *vlan;

	frame_ethertype(frame, tpid);
	vlan = append(frame, VLAN_LEN);
	put16(vlan, 100);
	frame->type_at = frame->len - 2;
}

void frame_ipv4(struct frame *frame, int options_len)
{
	int start = frame->len;
	__u8 *ip;

	frame_ethertype(frame, 0x0800);
	ip = append(frame, IPV4_LEN + options_len);
	ip[0] = 0x40 | (IPV4_LEN + options_len) / 4;
	put16(ip + 6, 0x4000); /* don't fragment */
	ip[8] = 64;
	memcpy(ip + 12, ipv4_from, sizeof(ipv4_from));
	memcpy(ip + 16, frame_ipv4_to, sizeof(frame_ipv4_to));
	/* Options that look like ports and lengths would: a parser that does not skip them goes wrong. */
	memset(ip + IPV4_LEN, 0x1f, options_len);
	frame->type_at = start + 9;
}

void frame_options(struct frame *frame, int at, const void *options, int len)
{
	memcpy(frame->bytes + at + IPV4_LEN, options, len);
}

void frame_ipv6(struct frame *frame)
{
	int start = frame->len;
	__u8 *ip;

	frame_ethertype(frame, 0x86dd);
	ip = append(frame, IPV6_LEN);
	ip[0] = 0x60;
	ip[7] = 64;
	memcpy(ip + 8, ipv6_from, sizeof(ipv6_from));
	memcpy(ip + 24, frame_ipv6_to, sizeof(frame_ipv6_to));
	frame->type_at = start + 6;
}

void frame_ext(struct frame *frame, __u8 protocol, int len)
{
	int start = frame->len;
	__u8 *ext;

	frame_protocol(frame, protocol);
	ext = append(frame, len);
	memset(ext, 0x1f, len);
	ext[1] = protocol == 51 ? len / 4 - 2 : len / 8 - 1;
	frame->type_at = start;
}

void frame_tcp(struct frame *frame, __u16 from_port, __u16 to_port)
{
	__u8 *tcp;

	frame_protocol(frame, 6);
	tcp = append(frame, TCP_LEN);
	put16(tcp, from_port);
	put16(tcp + 2, to_port);
	tcp[12] = 5 << 4;
	tcp[13] = 0x10;
}

void frame_udp(struct frame *frame, __u16 from_port, __u16 to_port)
{
	__u8 *udp;

	frame_protocol(frame, 17);
	udp = append(frame, UDP_LEN);
	put16(udp, from_port);
	put16(udp + 2, to_port);
	put16(udp + 4, UDP_LEN);
}

void frame_payload(struct frame *frame, int len)
{
	append(frame, len);
}

void frame_seal(struct frame *frame, int at)
{
	__u8 *ip = frame->bytes + at;
	__u32 sum = 0;
	int i;

	if (ip[0] >> 4 == 6) {
		put16(ip + 4, frame->len - at - IPV6_LEN);
		return;
	}
	put16(ip + 2, frame->len - at);
	put16(ip + 10, 0);
	for (i = 0; i < (ip[0] & 0xf) * 4; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~sum);
}

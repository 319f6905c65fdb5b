/* SPDX-License-Identifier: MIT */
/* Frames for tests, written header by header. */
#ifndef SC_TEST_FRAME_H
#define SC_TEST_FRAME_H

#include <linux/types.h>

enum {
	FRAME_LEN_MAX = 512,
	ETHERNET_LEN = 14,
	VLAN_LEN = 4,
	IPV4_LEN = 20,
	IPV6_LEN = 40,
	TCP_LEN = 20,
	UDP_LEN = 8,
};

struct frame {
	__u8 bytes[FRAME_LEN_MAX];
	int len;
	int type_at; /* where the header written last says what comes next: an ethertype (2 bytes) or a protocol (1) */
};

/* Each appends a header and names it in the one before. */
void frame_ethernet(struct frame *frame);
void frame_vlan(struct frame *frame, unsigned int tpid);
void frame_ipv4(struct frame *frame, int options_len);
/* The bytes in the place of the options of the header at `at`, which has room for them. */
void frame_options(struct frame *frame, int at, const void *options, int len);
void frame_ipv6(struct frame *frame);
/* An IPv6 extension header of len bytes; 51 counts its length in 4 bytes, the others in 8. */
void frame_ext(struct frame *frame, __u8 protocol, int len);
void frame_tcp(struct frame *frame, __u16 from_port, __u16 to_port);
void frame_udp(struct frame *frame, __u16 from_port, __u16 to_port);
void frame_payload(struct frame *frame, int len);

/* Writes the IP header's lengths, and its checksum if it is IPv4; at: where the header begins. */
void frame_seal(struct frame *frame, int at);

/* Names what comes next without writing it. */
void frame_ethertype(struct frame *frame, __u16 ethertype);
void frame_protocol(struct frame *frame, __u8 protocol);

/* Addresses of all frames: IPv4 from 10.1.2.3 to 10.0.0.1, IPv6 from fd00::2 to fd00::1. */
extern const __u8 frame_ipv4_to[4];
extern const __u8 frame_ipv6_to[16];

#endif

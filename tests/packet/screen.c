// SPDX-License-Identifier: MIT
// What the modules of the steering program drop, what they spare, and that they do nothing while they are off.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "bench.h"

enum {
	PORT = 8080,
	TCP = 6,
	UDP = 17,
	SKIP = 77,
	ALL = SC_MODULE_VALIDITY | SC_MODULE_LISTS | SC_MODULE_HOSTS,
	IP_AT = ETHERNET_LEN,
	IPV4_TRANSPORT_AT = ETHERNET_LEN + IPV4_LEN,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const __u8 families[] = { SC_STEER_IPV4, SC_STEER_IPV6 };
static const __u8 protocols[] = { TCP, UDP };

static int setup(void **state)
{
	size_t i, j;

	(void)state;
	bench_set_all_cpus(THERE);
	bench_clear_services();
	for (i = 0; i < COUNT(families); i++)
		for (j = 0; j < COUNT(protocols); j++)
			bench_add_service(families[i], protocols[j], PORT, NULL, j);
	bench_new_lists();
	bench_set_modules(ALL);
	return 0;
}

static void put(struct frame *frame, __u8 family, __u8 protocol, int options_len)
{
	frame_ethernet(frame);
	if (family == SC_STEER_IPV4)
		frame_ipv4(frame, options_len);
	else
		frame_ipv6(frame);
	if (protocol == TCP)
		frame_tcp(frame, 40000, PORT);
	else
		frame_udp(frame, 40000, PORT);
	frame_seal(frame, IP_AT);
}

static void expect(const struct frame *frame, int verdict, enum sc_reason reason)
{
	bench_expect(BENCH_STEER, frame->bytes, frame->len, verdict, reason);
}

/* By these modules; off, it goes the way it went before there were any. */
static void expect_drop_by(__u32 modules, const struct frame *frame, enum sc_reason reason)
{
	bench_set_modules(modules);
	expect(frame, XDP_DROP, reason);
	bench_set_modules(0);
	assert_int_not_equal(bench_run(BENCH_STEER, frame->bytes, frame->len), XDP_DROP);
	bench_set_modules(ALL);
}

static void expect_drop(const struct frame *frame, enum sc_reason reason)
{
	expect_drop_by(ALL, frame, reason);
}

static void test_valid(void **state)
{
	struct frame frame;
	size_t i, j;
	int options_len;

	(void)state;
	for (i = 0; i < COUNT(families); i++) {
		for (j = 0; j < COUNT(protocols); j++) {
			for (options_len = 0; options_len <= 40; options_len += 4) {
				put(&frame, families[i], protocols[j], options_len);
				expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
				/* Ethernet pads short frames. */
				frame_payload(&frame, 6);
				expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
			}
		}
	}
	/* What is not IP, or not whole, is for the stack as ever. */
	put(&frame, SC_STEER_IPV4, TCP, 0);
	frame.bytes[IP_AT + 6] = 0x20;
	frame_seal(&frame, IP_AT);
	expect(&frame, XDP_PASS, SC_REASON_FRAGMENT);
	frame_ethernet(&frame);
	frame_ethertype(&frame, 0x0806);
	frame_payload(&frame, 46);
	expect(&frame, XDP_PASS, SC_REASON_NOT_IP);
}

/* Cut anywhere, a packet is shorter than it says. */
static void test_truncated(void **state)
{
	struct frame frame;
	size_t i, j;
	int len;

	(void)state;
	for (i = 0; i < COUNT(families); i++) {
		for (j = 0; j < COUNT(protocols); j++) {
			put(&frame, families[i], protocols[j], 8);
			for (len = ETHERNET_LEN; len < frame.len; len++)
				bench_expect(BENCH_STEER, frame.bytes, len, XDP_DROP, SC_REASON_BAD_HEADER);
		}
	}
}

/* Any bit of an IPv4 header that changes shows, in its checksum if nowhere else; options too. */
static void test_ipv4_bits(void **state)
{
	struct frame frame;
	int bit;

	(void)state;
	for (bit = 0; bit < (IPV4_LEN + 12) * 8; bit++) {
		put(&frame, SC_STEER_IPV4, TCP, 12);
		frame.bytes[IP_AT + bit / 8] ^= 1U << bit % 8;
		assert_int_equal(bench_run(BENCH_STEER, frame.bytes, frame.len), XDP_DROP);
	}
	put(&frame, SC_STEER_IPV4, TCP, 12);
	frame.bytes[IP_AT + 11] ^= 1;
	expect_drop(&frame, SC_REASON_BAD_CHECKSUM);
}

static void test_lengths(void **state)
{
	const __u8 udp_lens[] = { 0, 7, UDP_LEN + 1, 255 };
	struct frame frame;
	size_t i;

	(void)state;
	/* TCP options beyond the packet's end, though padding has room for them. */
	put(&frame, SC_STEER_IPV4, TCP, 0);
	frame_payload(&frame, 40);
	frame.bytes[IPV4_TRANSPORT_AT + 12] = 6 << 4;
	expect_drop(&frame, SC_REASON_BAD_HEADER);
	frame.bytes[IPV4_TRANSPORT_AT + 12] = 4 << 4;
	expect_drop(&frame, SC_REASON_BAD_HEADER);
	for (i = 0; i < COUNT(udp_lens); i++) {
		put(&frame, SC_STEER_IPV6, UDP, 0);
		frame.bytes[ETHERNET_LEN + IPV6_LEN + 5] = udp_lens[i];
		expect_drop(&frame, SC_REASON_BAD_HEADER);
	}
	/* IPv6 longer than the frame; IPv4 shorter than its own header. */
	put(&frame, SC_STEER_IPV6, TCP, 0);
	frame.bytes[IP_AT + 5]++;
	expect_drop(&frame, SC_REASON_BAD_HEADER);
	put(&frame, SC_STEER_IPV4, TCP, 0);
	frame.bytes[IP_AT + 3] = 19;
	expect_drop(&frame, SC_REASON_BAD_HEADER);
}

/* All 64 combinations of the six classic flags. */
static void test_tcp_flags(void **state)
{
	enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };
	struct frame frame;
	int flags, ends;
	bool bad;

	(void)state;
	for (flags = 0; flags < 64; flags++) {
		ends = !!(flags & FIN) + !!(flags & SYN) + !!(flags & RST);
		bad = ends > 1 || !(flags & (SYN | RST | ACK));
		put(&frame, SC_STEER_IPV6, TCP, 0);
		frame.bytes[ETHERNET_LEN + IPV6_LEN + 13] = flags;
		if (bad)
			expect_drop(&frame, SC_REASON_BAD_FLAGS);
		else
			expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
	}
}

static void test_land(void **state)
{
	struct frame frame;

	(void)state;
	put(&frame, SC_STEER_IPV6, TCP, 0);
	memcpy(frame.bytes + IP_AT + 8, frame.bytes + IP_AT + 24, 16);
	/* Its own address alone is what a loopback device sees all the time. */
	expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
	memcpy(frame.bytes + ETHERNET_LEN + IPV6_LEN, frame.bytes + ETHERNET_LEN + IPV6_LEN + 2, 2);
	expect_drop(&frame, SC_REASON_LAND);
}

/* The longest prefix decides, whichever list it is on; the families do not mix. */
static void test_lists(void **state)
{
	const __u8 net4[4] = { 10 }, mid4[4] = { 10, 1 }, from4[4] = { 10, 1, 2, 3 }, other4[4] = { 10, 1, 2, 2 };
	const __u8 net6[16] = { 0xfd }, from6[16] = { 0xfd, [15] = 2 }, any[16] = { 0 };
	struct frame four, six;

	(void)state;
	put(&four, SC_STEER_IPV4, TCP, 0);
	put(&six, SC_STEER_IPV6, UDP, 0);
	expect(&four, XDP_REDIRECT, SC_REASON_STEERED);
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, other4, 32);
	expect(&four, XDP_REDIRECT, SC_REASON_STEERED);
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, net4, 8);
	expect_drop(&four, SC_REASON_DENIED);
	bench_add_prefix(SC_LIST_ALLOW, SC_STEER_IPV4, mid4, 16);
	expect(&four, XDP_REDIRECT, SC_REASON_STEERED);
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, from4, 32);
	expect_drop(&four, SC_REASON_DENIED);
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, any, 0);
	expect(&six, XDP_REDIRECT, SC_REASON_STEERED);
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV6, net6, 8);
	expect_drop(&six, SC_REASON_DENIED);
	bench_add_prefix(SC_LIST_ALLOW, SC_STEER_IPV6, from6, 128);
	expect(&six, XDP_REDIRECT, SC_REASON_STEERED);
	/* Another trie, from one packet to the next. */
	bench_new_lists();
	expect(&four, XDP_REDIRECT, SC_REASON_STEERED);
}

/* A block is believed, whatever else there is; who asks is right in any case, and IPv6 has no blocks. */
static void test_blocks(void **state)
{
	enum { FROM = 10 << 24 | 1 << 16 | 2 << 8 | 3, BLOCK = 256, WORD = 32 * BLOCK };
	const __u8 from4[4] = { 10, 1, 2, 3 }, any[16] = { 0 };
	const int others[] = { -BLOCK, BLOCK, -WORD, WORD };
	struct frame four, six;
	size_t i;

	(void)state;
	put(&four, SC_STEER_IPV4, TCP, 0);
	put(&six, SC_STEER_IPV6, TCP, 0);
	for (i = 0; i < COUNT(others); i++)
		bench_set_block(FROM + others[i], SC_LIST_DENY);
	bench_set_block(FROM, 0);
	expect(&four, XDP_REDIRECT, SC_REASON_STEERED);
	bench_set_block(FROM, SC_LIST_DENY);
	expect_drop(&four, SC_REASON_DENIED);
	bench_set_block(FROM, SC_LIST_ALLOW);
	expect(&four, XDP_REDIRECT, SC_REASON_STEERED);
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, any, 0);
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV6, any, 0);
	expect(&four, XDP_REDIRECT, SC_REASON_STEERED);
	expect_drop(&six, SC_REASON_DENIED);
	for (i = 0; i < COUNT(others); i++)
		bench_set_block(FROM + others[i], SC_LIST_ALLOW);
	bench_set_block(FROM, SC_BLOCK_ASK);
	expect_drop(&four, SC_REASON_DENIED);
	bench_add_prefix(SC_LIST_ALLOW, SC_STEER_IPV4, from4, 32);
	expect(&four, XDP_REDIRECT, SC_REASON_STEERED);
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, from4, 32);
	expect_drop_by(SC_MODULE_HOSTS, &four, SC_REASON_DENIED);
}

/* Packets for no service, of no transport, and fragments have a source too. */
static void test_lists_apply_to_all(void **state)
{
	const __u8 any[16] = { 0 };
	struct frame frame;

	(void)state;
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, any, 0);
	put(&frame, SC_STEER_IPV4, TCP, 0);
	bench_clear_services();
	expect_drop(&frame, SC_REASON_DENIED);
	frame.bytes[IP_AT + 9] = 1;
	frame_seal(&frame, IP_AT);
	expect_drop(&frame, SC_REASON_DENIED);
	frame.bytes[IP_AT + 6] = 0x20;
	frame_seal(&frame, IP_AT);
	expect_drop(&frame, SC_REASON_DENIED);
}

/* Of IPv4, at the header's end: all 256 kinds in front, and behind others; lengths that cannot be. */
static void test_ipv4_options(void **state)
{
	static const struct {
		__u8 bytes[12];
		int len; /* rounded up to words by zeros, which end the list */
		bool drops;
	} cases[] = {
		{ { 1, 1, 1, 1 }, 4, false },
		{ { 1, 7, 3, 4 }, 4, true },
		{ { 1, 1, 1, 131, 3, 4 }, 6, true },
		/* What is behind the end, or within another, is none. */
		{ { 0, 7, 3, 4 }, 4, false },
		{ { 148, 4, 7, 3 }, 4, false },
		{ { 148, 4, 7, 3, 137, 3, 4 }, 7, true },
		{ { 130, 11, 7, 3, 4, 7, 3, 4, 7, 3, 4, 68 }, 12, true },
		{ { 130, 12, 7, 3, 4, 7, 3, 4, 7, 3, 4, 68 }, 12, false },
		/* Without a length, with less than its own head, with more than there is. */
		{ { 1, 1, 1, 148 }, 4, true },
		{ { 148, 0, 1, 1 }, 4, true },
		{ { 148, 1, 1, 1 }, 4, true },
		{ { 148, 2, 1, 1 }, 4, false },
		{ { 148, 5, 1, 1 }, 4, true },
		{ { 1, 148, 255, 1 }, 4, true },
	};
	struct frame frame;
	bool drops;
	size_t i;
	int kind;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		put(&frame, SC_STEER_IPV4, TCP, (cases[i].len + 3) / 4 * 4);
		frame_options(&frame, IP_AT, cases[i].bytes, (cases[i].len + 3) / 4 * 4);
		frame_seal(&frame, IP_AT);
		bench_set_modules(SC_MODULE_OPTIONS);
		if (cases[i].drops)
			expect_drop_by(SC_MODULE_OPTIONS, &frame, SC_REASON_REFUSED_OPTION);
		else
			expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
	}
	for (kind = 0; kind < 256; kind++) {
		const __u8 options[40] = { kind, 39, [39] = 1 };

		drops = kind == 7 || kind == 68 || kind == 131 || kind == 137;
		put(&frame, SC_STEER_IPV4, UDP, sizeof(options));
		frame_options(&frame, IP_AT, options, sizeof(options));
		/* One that takes a byte has no length: what stands there would be the next one. */
		frame.bytes[IP_AT + IPV4_LEN + 1] = kind == 1 ? 0 : 39;
		frame_seal(&frame, IP_AT);
		bench_set_modules(SC_MODULE_OPTIONS);
		if (drops)
			expect_drop_by(SC_MODULE_OPTIONS, &frame, SC_REASON_REFUSED_OPTION);
		else
			expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
	}
}

/* A routing header is judged by its type, wherever it stands among the others; what looks like one is none. */
static void test_ipv6_routing(void **state)
{
	enum { ROUTING = 43, DEST_OPTIONS = 60, AUTH = 51, MOST = 6 };
	struct frame frame;
	int type, before, i;

	(void)state;
	for (before = 0; before < MOST; before++) {
		for (type = 0; type < 256; type += type < 5 ? 1 : 50) {
			frame_ethernet(&frame);
			frame_ipv6(&frame);
			for (i = 0; i < before; i++)
				frame_ext(&frame, i % 2 ? AUTH : DEST_OPTIONS, i % 2 ? 20 : 24);
			/* The same byte of another header says nothing. */
			frame.bytes[ETHERNET_LEN + IPV6_LEN + 2] = 0;
			frame_ext(&frame, ROUTING, 24);
			frame.bytes[frame.len - 24 + 2] = type;
			frame_tcp(&frame, 40000, PORT);
			frame_seal(&frame, IP_AT);
			bench_set_modules(SC_MODULE_OPTIONS);
			if (type)
				expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
			else
				expect_drop_by(SC_MODULE_OPTIONS, &frame, SC_REASON_REFUSED_OPTION);
		}
	}
	/* In front of more headers than are looked behind, and of a fragment header. */
	for (i = 0; i < 2; i++) {
		frame_ethernet(&frame);
		frame_ipv6(&frame);
		frame_ext(&frame, ROUTING, 8);
		frame.bytes[ETHERNET_LEN + IPV6_LEN + 2] = 0;
		for (before = 1; before <= MOST; before++)
			frame_ext(&frame, i ? 44 : DEST_OPTIONS, 8);
		frame_tcp(&frame, 40000, PORT);
		frame_seal(&frame, IP_AT);
		expect_drop_by(SC_MODULE_OPTIONS, &frame, SC_REASON_REFUSED_OPTION);
	}
}

/* Of options and fragments: whatever is inside, and in what order reasons go. */
static void test_refused(void **state)
{
	static const __u8 route[4] = { 131, 3, 4 }, any[16];
	struct frame frame;

	(void)state;
	put(&frame, SC_STEER_IPV4, UDP, 4);
	frame_options(&frame, IP_AT, route, sizeof(route));
	frame.bytes[IP_AT + 9] = 1;
	frame_seal(&frame, IP_AT);
	expect_drop_by(SC_MODULE_OPTIONS, &frame, SC_REASON_REFUSED_OPTION);
	expect(&frame, XDP_PASS, SC_REASON_NOT_TRANSPORT);
	/* A damaged header says nothing of options that one could rely on. */
	frame.bytes[IP_AT + 10] ^= 1;
	expect_drop_by(ALL | SC_MODULE_OPTIONS, &frame, SC_REASON_BAD_CHECKSUM);
	/* First, middle and last fragment, of a service or not. */
	put(&frame, SC_STEER_IPV4, UDP, 0);
	frame.bytes[IP_AT + 6] = 0x20;
	frame_seal(&frame, IP_AT);
	expect_drop_by(SC_MODULE_FRAGMENTS, &frame, SC_REASON_REFUSED_FRAGMENT);
	frame.bytes[IP_AT + 7] = 1;
	frame_seal(&frame, IP_AT);
	expect_drop_by(SC_MODULE_FRAGMENTS, &frame, SC_REASON_REFUSED_FRAGMENT);
	frame.bytes[IP_AT + 6] = 0;
	frame_seal(&frame, IP_AT);
	expect_drop_by(ALL | SC_MODULE_FRAGMENTS, &frame, SC_REASON_REFUSED_FRAGMENT);
	expect(&frame, XDP_PASS, SC_REASON_FRAGMENT);
	/* On the deny list or not: it is dropped before anybody looks. */
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, any, 0);
	expect(&frame, XDP_DROP, SC_REASON_DENIED);
	expect_drop_by(ALL | SC_MODULE_FRAGMENTS, &frame, SC_REASON_REFUSED_FRAGMENT);
	frame_ethernet(&frame);
	frame_ipv6(&frame);
	frame_ext(&frame, 44, 8);
	frame_udp(&frame, 40000, PORT);
	frame_seal(&frame, IP_AT);
	expect_drop_by(SC_MODULE_FRAGMENTS, &frame, SC_REASON_REFUSED_FRAGMENT);
	/* Whole packets are none. */
	put(&frame, SC_STEER_IPV6, TCP, 0);
	bench_set_modules(SC_MODULE_FRAGMENTS | SC_MODULE_OPTIONS);
	expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
	put(&frame, SC_STEER_IPV4, TCP, 0);
	expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
}

static void test_never_drop(void **state)
{
	const __u8 any[16] = { 0 }, route[4] = { 131, 3, 4 };
	struct frame frame;

	(void)state;
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, any, 0);
	bench_clear_services();
	bench_set_port_word(SC_STEER_IPV4, TCP, PORT, SC_PORT_NEVER_DROP);
	put(&frame, SC_STEER_IPV4, TCP, 0);
	expect(&frame, XDP_PASS, SC_REASON_NO_SERVICE);
	frame.bytes[IPV4_TRANSPORT_AT + 13] = 0;
	expect(&frame, XDP_PASS, SC_REASON_NO_SERVICE);
	/* A service as well. */
	bench_add_service(SC_STEER_IPV4, TCP, PORT, NULL, 0);
	expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
	/* Options do not hide the port, a fragment does. */
	bench_set_modules(ALL | SC_MODULE_OPTIONS | SC_MODULE_FRAGMENTS);
	put(&frame, SC_STEER_IPV4, TCP, 4);
	frame_options(&frame, IP_AT, route, sizeof(route));
	frame_seal(&frame, IP_AT);
	expect(&frame, XDP_REDIRECT, SC_REASON_STEERED);
	frame.bytes[IP_AT + 6] = 0x20;
	frame_seal(&frame, IP_AT);
	expect(&frame, XDP_DROP, SC_REASON_REFUSED_OPTION);
	bench_set_modules(ALL);
	/* The same number in UDP is another port. */
	put(&frame, SC_STEER_IPV4, UDP, 0);
	expect(&frame, XDP_DROP, SC_REASON_DENIED);
	bench_set_port_word(SC_STEER_IPV4, TCP, PORT, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_valid, setup),
		cmocka_unit_test_setup(test_truncated, setup),
		cmocka_unit_test_setup(test_ipv4_bits, setup),
		cmocka_unit_test_setup(test_lengths, setup),
		cmocka_unit_test_setup(test_tcp_flags, setup),
		cmocka_unit_test_setup(test_land, setup),
		cmocka_unit_test_setup(test_lists, setup),
		cmocka_unit_test_setup(test_blocks, setup),
		cmocka_unit_test_setup(test_lists_apply_to_all, setup),
		cmocka_unit_test_setup(test_ipv4_options, setup),
		cmocka_unit_test_setup(test_ipv6_routing, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_never_drop, setup),
	};
	int failed;

	if (bench_open()) {
		puts("skipped: takes root and two CPUs");
		return SKIP;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	bench_close();
	return failed ? 1 : 0;
}

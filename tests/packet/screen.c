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

static void expect_drop(const struct frame *frame, enum sc_reason reason)
{
	expect(frame, XDP_DROP, reason);
	/* Off, it goes the way it went before there were modules. */
	bench_set_modules(0);
	assert_int_not_equal(bench_run(BENCH_STEER, frame->bytes, frame->len), XDP_DROP);
	bench_set_modules(ALL);
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

static void test_never_drop(void **state)
{
	const __u8 any[16] = { 0 };
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
	/* The same number in UDP is another port. */
	put(&frame, SC_STEER_IPV4, UDP, 0);
	expect(&frame, XDP_DROP, SC_REASON_DENIED);
	bench_set_port_word(SC_STEER_IPV4, TCP, PORT, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_valid, setup),	cmocka_unit_test_setup(test_truncated, setup),
		cmocka_unit_test_setup(test_ipv4_bits, setup),	cmocka_unit_test_setup(test_lengths, setup),
		cmocka_unit_test_setup(test_tcp_flags, setup),	cmocka_unit_test_setup(test_land, setup),
		cmocka_unit_test_setup(test_lists, setup),	cmocka_unit_test_setup(test_lists_apply_to_all, setup),
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

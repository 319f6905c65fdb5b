// SPDX-License-Identifier: MIT
// Verdict and counter of the steering programs for every kind of packet, at every length it can be cut to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "bench.h"

enum {
	PORT = 8080,
	SKIP = 77,
};

enum {
	HOP_BY_HOP = 0,
	TCP = 6,
	UDP = 17,
	ROUTING = 43,
	FRAGMENT = 44,
	AUTH = 51,
	NO_NEXT = 59,
	DEST_OPTIONS = 60,
	MOBILITY = 135,
};

static int setup(void **state)
{
	(void)state;
	bench_set_all_cpus(THERE);
	bench_clear_services();
	bench_add_service(SC_STEER_IPV4, TCP, PORT, NULL, 0);
	bench_add_service(SC_STEER_IPV6, TCP, PORT, NULL, 0);
	bench_add_service(SC_STEER_IPV4, UDP, PORT, NULL, 1);
	bench_add_service(SC_STEER_IPV6, UDP, PORT, NULL, 1);
	return 0;
}

/* The network layer of a frame: what stands between VLAN tags and transport. */
struct network {
	const char *name;
	int options_len; /* IPv4 if not negative */
	struct {
		__u8 protocol;
		__u8 len;
	} ext[8]; /* IPv6, up to the first of no length */
};

enum { IPV6 = -1 };

static const struct network understood[] = {
	{ "IPv4", 0, {} },
	{ "IPv4, 4 bytes of options", 4, {} },
	{ "IPv4, 40 bytes of options", 40, {} },
	{ "IPv6", IPV6, {} },
	{ "IPv6, hop-by-hop", IPV6, { { HOP_BY_HOP, 8 } } },
	{ "IPv6, long destination options", IPV6, { { DEST_OPTIONS, 48 } } },
	{ "IPv6, routing", IPV6, { { ROUTING, 24 } } },
	{ "IPv6, authentication", IPV6, { { AUTH, 24 } } },
	{ "IPv6, mobility", IPV6, { { MOBILITY, 16 } } },
	{ "IPv6, six extension headers",
	  IPV6,
	  { { HOP_BY_HOP, 8 },
	    { DEST_OPTIONS, 8 },
	    { ROUTING, 24 },
	    { AUTH, 12 },
	    { MOBILITY, 8 },
	    { DEST_OPTIONS, 8 } } },
};

static const struct network seven_ext_headers = {
	"IPv6, seven extension headers",
	IPV6,
	{ { HOP_BY_HOP, 8 },
	  { DEST_OPTIONS, 8 },
	  { DEST_OPTIONS, 8 },
	  { DEST_OPTIONS, 8 },
	  { DEST_OPTIONS, 8 },
	  { DEST_OPTIONS, 8 },
	  { DEST_OPTIONS, 8 } },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void put_link(struct frame *frame, int tags)
{
	int i;

	frame_ethernet(frame);
	for (i = 0; i < tags; i++)
		frame_vlan(frame, i + 1 < tags ? 0x88a8 : 0x8100);
}

static void put_network(struct frame *frame, const struct network *network)
{
	size_t i;

	if (network->options_len >= 0) {
		frame_ipv4(frame, network->options_len);
		return;
	}
	frame_ipv6(frame);
	for (i = 0; i < COUNT(network->ext) && network->ext[i].len; i++)
		frame_ext(frame, network->ext[i].protocol, network->ext[i].len);
}

/* Cuts the frame to every length; from decided_at on all is as expected, before it ends too early. */
static void sweep(const struct frame *frame, int decided_at, int verdict, enum sc_reason reason)
{
	int len;

	for (len = ETHERNET_LEN; len <= frame->len; len++) {
		if (len < decided_at)
			bench_expect(BENCH_STEER, frame->bytes, len, XDP_PASS, SC_REASON_TRUNCATED);
		else
			bench_expect(BENCH_STEER, frame->bytes, len, verdict, reason);
		bench_expect(BENCH_ON_CPU, frame->bytes, len, XDP_PASS,
			     len >= decided_at && reason == SC_REASON_STEERED ? SC_REASON_ARRIVED : SC_REASON_STRAYED);
	}
}

static void put_transport(struct frame *frame, __u8 protocol, __u16 from_port, __u16 to_port)
{
	if (protocol == TCP)
		frame_tcp(frame, from_port, to_port);
	else
		frame_udp(frame, from_port, to_port);
}

static void test_understood(void **state)
{
	const __u8 protocols[] = { TCP, UDP };
	struct frame frame;
	int tags, header_end;
	size_t i, j;

	(void)state;
	for (tags = 0; tags <= SC_STEER_VLANS_MAX; tags++) {
		for (i = 0; i < COUNT(understood); i++) {
			for (j = 0; j < COUNT(protocols); j++) {
				put_link(&frame, tags);
				put_network(&frame, &understood[i]);
				put_transport(&frame, protocols[j], 40000, PORT);
				header_end = frame.len;
				frame_payload(&frame, 5);
				print_message("# %d tags, %s, protocol %d\n", tags, understood[i].name, protocols[j]);
				sweep(&frame, header_end, XDP_REDIRECT, SC_REASON_STEERED);
			}
		}
	}
}

static void test_other_port(void **state)
{
	struct frame frame;
	int header_end;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(understood); i++) {
		put_link(&frame, 0);
		put_network(&frame, &understood[i]);
		/* The service's port as the source must not match. */
		frame_tcp(&frame, PORT, PORT + 1);
		header_end = frame.len;
		frame_payload(&frame, 5);
		sweep(&frame, header_end, XDP_PASS, SC_REASON_NO_SERVICE);
	}
}

static void test_not_ip(void **state)
{
	const __u16 ethertypes[] = { 0x0806, 0x8847, 0x0000, 0x05dc, 0x9100, 0x0008, 0xdd86 };
	struct frame frame;
	int tags, link_end;
	size_t i;

	(void)state;
	for (tags = 0; tags <= SC_STEER_VLANS_MAX; tags++) {
		for (i = 0; i < COUNT(ethertypes); i++) {
			put_link(&frame, tags);
			frame_ethertype(&frame, ethertypes[i]);
			link_end = frame.len;
			frame_payload(&frame, 40);
			sweep(&frame, link_end, XDP_PASS, SC_REASON_NOT_IP);
		}
	}
}

static void test_deep_vlan(void **state)
{
	struct frame frame;

	(void)state;
	put_link(&frame, SC_STEER_VLANS_MAX + 1);
	frame_ipv4(&frame, 0);
	frame_tcp(&frame, 40000, PORT);
	sweep(&frame, ETHERNET_LEN + SC_STEER_VLANS_MAX * VLAN_LEN, XDP_PASS, SC_REASON_DEEP_VLAN);
}

static void test_deep_ipv6(void **state)
{
	struct frame frame;

	(void)state;
	put_link(&frame, 0);
	put_network(&frame, &seven_ext_headers);
	frame_tcp(&frame, 40000, PORT);
	sweep(&frame, ETHERNET_LEN + IPV6_LEN + SC_STEER_EXT_HEADERS_MAX * 8, XDP_PASS, SC_REASON_DEEP_IPV6);
}

/* Each bit of flags and offset alone: 13 of offset, more fragments; don't fragment and the reserved bit do not count. */
static void test_ipv4_fragments(void **state)
{
	struct frame frame;
	int ip_end, options_len, bit;

	(void)state;
	for (options_len = 0; options_len <= 40; options_len += 20) {
		for (bit = 0; bit < 16; bit++) {
			put_link(&frame, 0);
			frame_ipv4(&frame, options_len);
			ip_end = frame.len;
			frame_tcp(&frame, 40000, PORT);
			frame.bytes[ETHERNET_LEN + 6] = 1U << bit >> 8;
			frame.bytes[ETHERNET_LEN + 7] = 1U << bit;
			if (bit < 14)
				sweep(&frame, ip_end, XDP_PASS, SC_REASON_FRAGMENT);
			else
				sweep(&frame, frame.len, XDP_REDIRECT, SC_REASON_STEERED);
		}
	}
}

static void test_ipv6_fragments(void **state)
{
	struct frame frame;
	int chain_end, exts;

	(void)state;
	for (exts = 0; exts < SC_STEER_EXT_HEADERS_MAX; exts++) {
		put_link(&frame, 0);
		put_network(&frame, &(struct network){ "", IPV6, {} });
		for (chain_end = 0; chain_end < exts; chain_end++)
			frame_ext(&frame, DEST_OPTIONS, 8);
		chain_end = frame.len;
		frame_ext(&frame, FRAGMENT, 8);
		frame_tcp(&frame, 40000, PORT);
		sweep(&frame, chain_end, XDP_PASS, SC_REASON_FRAGMENT);
	}
}

static void test_not_transport(void **state)
{
	const __u8 protocols[] = { 1, 2, 4, 41, 47, 50, 58, NO_NEXT, 132, 255 };
	struct frame frame;
	int network_end;
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(understood); i++) {
		for (j = 0; j < COUNT(protocols); j++) {
			put_link(&frame, 0);
			put_network(&frame, &understood[i]);
			frame_protocol(&frame, protocols[j]);
			network_end = frame.len;
			frame_payload(&frame, 8);
			sweep(&frame, network_end, XDP_PASS, SC_REASON_NOT_TRANSPORT);
		}
	}
}

/* In IPv4 the numbers of IPv6's extension headers mean nothing. */
static void test_ext_header_in_ipv4(void **state)
{
	const __u8 protocols[] = { HOP_BY_HOP, ROUTING, FRAGMENT, AUTH, DEST_OPTIONS, MOBILITY };
	struct frame frame;
	int ip_end;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(protocols); i++) {
		put_link(&frame, 0);
		frame_ipv4(&frame, 0);
		ip_end = frame.len;
		frame_ext(&frame, protocols[i], 8);
		frame_tcp(&frame, 40000, PORT);
		sweep(&frame, ip_end, XDP_PASS, SC_REASON_NOT_TRANSPORT);
	}
}

static void test_malformed_ip(void **state)
{
	/* Version and header length: other versions under both ethertypes, and lengths below 20 bytes. */
	const __u8 ipv4_first[] = { 0x44, 0x40, 0x41, 0x55, 0x65, 0x05, 0xf5 };
	const __u8 ipv6_first[] = { 0x40, 0x45, 0x50, 0x00, 0xf0 };
	struct frame frame;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(ipv4_first); i++) {
		put_link(&frame, 0);
		frame_ipv4(&frame, 0);
		frame_tcp(&frame, 40000, PORT);
		frame.bytes[ETHERNET_LEN] = ipv4_first[i];
		sweep(&frame, ETHERNET_LEN + IPV4_LEN, XDP_PASS, SC_REASON_MALFORMED);
	}
	for (i = 0; i < COUNT(ipv6_first); i++) {
		put_link(&frame, 0);
		frame_ipv6(&frame);
		frame_tcp(&frame, 40000, PORT);
		frame.bytes[ETHERNET_LEN] = ipv6_first[i];
		sweep(&frame, ETHERNET_LEN + IPV6_LEN, XDP_PASS, SC_REASON_MALFORMED);
	}
}

static void test_malformed_tcp(void **state)
{
	struct frame frame;
	int doff;

	(void)state;
	for (doff = 0; doff < 5; doff++) {
		put_link(&frame, 0);
		frame_ipv4(&frame, 0);
		frame_tcp(&frame, 40000, PORT);
		frame.bytes[frame.len - TCP_LEN + 12] = doff << 4;
		frame_payload(&frame, 5);
		sweep(&frame, ETHERNET_LEN + IPV4_LEN + TCP_LEN, XDP_PASS, SC_REASON_MALFORMED);
	}
}

/* A length that leads far beyond the frame. */
static void test_lying_ext_header(void **state)
{
	struct frame frame;

	(void)state;
	put_link(&frame, 0);
	frame_ipv6(&frame);
	frame_ext(&frame, DEST_OPTIONS, 8);
	frame_tcp(&frame, 40000, PORT);
	frame.bytes[ETHERNET_LEN + IPV6_LEN + 1] = 255;
	sweep(&frame, frame.len + 1, XDP_PASS, SC_REASON_TRUNCATED);
}

static void put_simple(struct frame *frame, __u8 family, __u8 protocol, __u16 from_port)
{
	put_link(frame, 0);
	if (family == SC_STEER_IPV4)
		frame_ipv4(frame, 0);
	else
		frame_ipv6(frame);
	put_transport(frame, protocol, from_port, PORT);
}

static __u64 steered_for(__u8 family, __u8 protocol, __u32 row)
{
	__u64 before = bench_service_count(row).steered;
	struct frame frame;

	put_simple(&frame, family, protocol, 40000);
	bench_run(BENCH_STEER, frame.bytes, frame.len);
	return bench_service_count(row).steered - before;
}

static void test_service_lookup(void **state)
{
	const __u8 other[16] = { 10, 0, 0, 2 };

	(void)state;
	/* On any address, per family and protocol. */
	bench_clear_services();
	bench_add_service(SC_STEER_IPV4, TCP, PORT, NULL, 2);
	assert_int_equal(steered_for(SC_STEER_IPV4, TCP, 2), 1);
	assert_int_equal(steered_for(SC_STEER_IPV6, TCP, 2), 0);
	assert_int_equal(steered_for(SC_STEER_IPV4, UDP, 2), 0);
	/* Its own address wins over any, another address does not match. */
	bench_add_service(SC_STEER_IPV4, TCP, PORT, frame_ipv4_to, 3);
	bench_add_service(SC_STEER_IPV4, TCP, PORT, other, 4);
	assert_int_equal(steered_for(SC_STEER_IPV4, TCP, 2), 0);
	assert_int_equal(steered_for(SC_STEER_IPV4, TCP, 3), 1);
	assert_int_equal(steered_for(SC_STEER_IPV4, TCP, 4), 0);
	/* The same in IPv6, by address alone. */
	bench_add_service(SC_STEER_IPV6, UDP, PORT, other, 5);
	assert_int_equal(steered_for(SC_STEER_IPV6, UDP, 5), 0);
	bench_add_service(SC_STEER_IPV6, UDP, PORT, frame_ipv6_to, 6);
	assert_int_equal(steered_for(SC_STEER_IPV6, UDP, 6), 1);
	assert_int_equal(steered_for(SC_STEER_IPV6, TCP, 6), 0);
}

static void test_targets(void **state)
{
	struct sc_service_count before = bench_service_count(0), after;
	struct frame frame;

	(void)state;
	put_simple(&frame, SC_STEER_IPV4, TCP, 40000);
	bench_set_all_cpus(HERE);
	bench_expect(BENCH_STEER, frame.bytes, frame.len, XDP_PASS, SC_REASON_LOCAL);
	bench_set_all_cpus(SC_STEER_NO_CPU);
	bench_expect(BENCH_STEER, frame.bytes, frame.len, XDP_PASS, SC_REASON_NO_CPU);
	/* Out of the CPU map's bounds: as good as no entry. */
	bench_set_all_cpus(100000);
	bench_expect(BENCH_STEER, frame.bytes, frame.len, XDP_PASS, SC_REASON_NO_ENTRY);
	bench_set_all_cpus(THERE);
	bench_expect(BENCH_STEER, frame.bytes, frame.len, XDP_REDIRECT, SC_REASON_STEERED);
	bench_expect(BENCH_ON_CPU, frame.bytes, frame.len, XDP_PASS, SC_REASON_ARRIVED);
	after = bench_service_count(0);
	assert_int_equal(after.local - before.local, 1);
	assert_int_equal(after.steered - before.steered, 1);
	assert_int_equal(after.arrived - before.arrived, 1);
	assert_int_equal(after.arrived_bytes - before.arrived_bytes, frame.len);
}

/* Every combination of flags, where it stays and where it arrives; where it is only sent on, nothing is counted. */
static void test_connections(void **state)
{
	enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, FLAGS_AT = ETHERNET_LEN + IPV4_LEN + 13 };
	struct sc_service_count before, after;
	struct frame frame;
	int flags, stage;

	(void)state;
	for (flags = 0; flags < 64; flags++) {
		put_simple(&frame, SC_STEER_IPV4, TCP, 40000);
		frame.bytes[FLAGS_AT] = flags;
		for (stage = 0; stage < 2; stage++) {
			before = bench_service_count(0);
			bench_set_all_cpus(stage ? THERE : HERE);
			bench_run(BENCH_STEER, frame.bytes, frame.len);
			if (stage)
				bench_run(BENCH_ON_CPU, frame.bytes, frame.len);
			after = bench_service_count(0);
			assert_int_equal(after.opened - before.opened, (flags & (SYN | ACK)) == SYN);
			assert_int_equal(after.closed - before.closed, !!(flags & (FIN | RST)));
			assert_int_equal(after.local_bytes - before.local_bytes, stage ? 0 : frame.len);
			assert_int_equal(after.arrived_bytes - before.arrived_bytes, stage ? frame.len : 0);
		}
	}
	put_simple(&frame, SC_STEER_IPV4, UDP, 40000);
	before = bench_service_count(1);
	bench_run(BENCH_ON_CPU, frame.bytes, frame.len);
	after = bench_service_count(1);
	assert_int_equal(after.opened - before.opened, 0);
	assert_int_equal(after.closed - before.closed, 0);
}

/* A service removed while its packets wait: they reach the stack all the same. */
static void test_strayed(void **state)
{
	struct frame frame;

	(void)state;
	put_simple(&frame, SC_STEER_IPV6, UDP, 40000);
	bench_expect(BENCH_ON_CPU, frame.bytes, frame.len, XDP_PASS, SC_REASON_ARRIVED);
	bench_clear_services();
	bench_expect(BENCH_ON_CPU, frame.bytes, frame.len, XDP_PASS, SC_REASON_STRAYED);
}

/* A frame of several pages: headers in the first, all bytes counted. */
static void test_frags(void **state)
{
	__u64 before = bench_service_count(0).arrived_bytes;
	static __u8 jumbo[9000];
	struct frame frame;

	(void)state;
	put_simple(&frame, SC_STEER_IPV4, TCP, 40000);
	memcpy(jumbo, frame.bytes, frame.len);
	bench_expect(BENCH_STEER, jumbo, sizeof(jumbo), XDP_REDIRECT, SC_REASON_STEERED);
	bench_expect(BENCH_ON_CPU, jumbo, sizeof(jumbo), XDP_PASS, SC_REASON_ARRIVED);
	assert_int_equal(bench_service_count(0).arrived_bytes - before, sizeof(jumbo));
}

/* The slot of a frame, one bit of it per run: slots with the bit set have no CPU. */
static int slot_of(const struct frame *frame)
{
	__u32 cpus[SC_STEER_SLOTS];
	int bit, i, slot = 0;

	for (bit = 1; bit < SC_STEER_SLOTS; bit <<= 1) {
		for (i = 0; i < SC_STEER_SLOTS; i++)
			cpus[i] = i & bit ? SC_STEER_NO_CPU : THERE;
		bench_set_cpus(cpus);
		if (bench_run(BENCH_STEER, frame->bytes, frame->len) == XDP_PASS)
			slot |= bit;
	}
	return slot;
}

/* Flows that differ in one thing only must spread: chi-square of 127 degrees of freedom, beyond 200 once in 30,000 times. */
static void expect_even(const int held[SC_STEER_SLOTS], int flows)
{
	double expected = (double)flows / SC_STEER_SLOTS, sum = 0;
	int i;

	for (i = 0; i < SC_STEER_SLOTS; i++)
		sum += (held[i] - expected) * (held[i] - expected) / expected;
	print_message("# chi-square %.1f\n", sum);
	assert_true(sum < 200);
}

static void test_spread(void **state)
{
	const __u8 families[] = { SC_STEER_IPV4, SC_STEER_IPV6 };
	enum { FLOWS = 1280 };
	struct frame frame;
	size_t i;
	int flow;

	(void)state;
	bench_set_seed(12345);
	for (i = 0; i < COUNT(families); i++) {
		int by_port[SC_STEER_SLOTS] = { 0 }, by_addr[SC_STEER_SLOTS] = { 0 };
		/* The last two bytes of the source address. */
		int addr_at = ETHERNET_LEN + (families[i] == SC_STEER_IPV4 ? 14 : 22);

		for (flow = 0; flow < FLOWS; flow++) {
			put_simple(&frame, families[i], TCP, 32768 + flow);
			by_port[slot_of(&frame)]++;
			put_simple(&frame, families[i], TCP, 40000);
			frame.bytes[addr_at] = flow >> 8;
			frame.bytes[addr_at + 1] = flow;
			by_addr[slot_of(&frame)]++;
		}
		expect_even(by_port, FLOWS);
		expect_even(by_addr, FLOWS);
	}
}

/* One flow has one slot, whatever its packets look like otherwise; another seed deals anew. */
static void test_flow_is_stable(void **state)
{
	struct frame plain, tagged;
	int flow, slot, moved = 0;

	(void)state;
	for (flow = 0; flow < 64; flow++) {
		bench_set_seed(1);
		put_simple(&plain, SC_STEER_IPV4, TCP, 40000 + flow);
		put_link(&tagged, 1);
		frame_ipv4(&tagged, 8);
		frame_tcp(&tagged, 40000 + flow, PORT);
		frame_payload(&tagged, 30);
		slot = slot_of(&plain);
		assert_int_equal(slot_of(&tagged), slot);
		bench_set_seed(2);
		moved += slot_of(&plain) != slot;
	}
	assert_true(moved > 48);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_understood, setup),
		cmocka_unit_test_setup(test_other_port, setup),
		cmocka_unit_test_setup(test_not_ip, setup),
		cmocka_unit_test_setup(test_deep_vlan, setup),
		cmocka_unit_test_setup(test_deep_ipv6, setup),
		cmocka_unit_test_setup(test_ipv4_fragments, setup),
		cmocka_unit_test_setup(test_ipv6_fragments, setup),
		cmocka_unit_test_setup(test_not_transport, setup),
		cmocka_unit_test_setup(test_ext_header_in_ipv4, setup),
		cmocka_unit_test_setup(test_malformed_ip, setup),
		cmocka_unit_test_setup(test_malformed_tcp, setup),
		cmocka_unit_test_setup(test_lying_ext_header, setup),
		cmocka_unit_test_setup(test_service_lookup, setup),
		cmocka_unit_test_setup(test_targets, setup),
		cmocka_unit_test_setup(test_connections, setup),
		cmocka_unit_test_setup(test_strayed, setup),
		cmocka_unit_test_setup(test_frags, setup),
		cmocka_unit_test_setup(test_spread, setup),
		cmocka_unit_test_setup(test_flow_is_stable, setup),
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

// SPDX-License-Identifier: MIT
// SYN cookies against the kernel's own listener: what is answered and how, which ACKs pass, when a flood begins and ends.
#include <arpa/inet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "bench.h"

enum {
	PORT = 8080,
	CLOSED_PORT = 8081,
	TCP = 6,
	UDP = 17,
	SKIP = 77,
	MAC_LEN = 6,
	ISN = 1000,
	LOOPBACK_MTU = 65536,
	SYNACK_LEN = 24,
	FRAME_LEN_MIN = 60,

	SYN = 0x02,
	RST = 0x04,
	ACK = 0x10,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const __u8 families[] = { SC_STEER_IPV4, SC_STEER_IPV6 };
static const struct sc_syn always = { .mac = { 2, 2, 2, 2, 2, 2 } };

static void shell(const char *command)
{
	if (system(command))
		fail_msg("%s: failed", command);
}

static int setup(void **state)
{
	static const struct sc_flood none;
	size_t i;

	(void)state;
	shell("sysctl -qw net.ipv4.tcp_syncookies=2 net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0");
	bench_set_all_cpus(THERE);
	bench_clear_services();
	for (i = 0; i < COUNT(families); i++) {
		bench_add_service(families[i], TCP, PORT, NULL, 0);
		bench_add_service(families[i], TCP, CLOSED_PORT, NULL, 1);
		bench_add_service(families[i], UDP, PORT, NULL, 2);
	}
	bench_set_modules(SC_MODULE_COOKIES);
	bench_set_syn(&always);
	bench_set_flood(&none);
	return 0;
}

/* A network of our own, in which the frames' addresses are ours and somebody listens on all of them. */
static void open_network(void)
{
	const struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	int listener;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	shell("ip link set lo up && ip addr add 10.0.0.1/32 dev lo && ip addr add fd00::1/128 dev lo nodad && "
	      "ip route add 10.9.0.0/16 dev lo && ip route add fd09::/16 dev lo");
	listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (const void *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 16), 0);
}

static void put16(__u8 *at, __u16 value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void put32(__u8 *at, __u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static __u16 get16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

static __u32 get32(const __u8 *at)
{
	return (__u32)get16(at) << 16 | get16(at + 2);
}

static int ip_len(__u8 family)
{
	return family == SC_STEER_IPV4 ? IPV4_LEN : IPV6_LEN;
}

static int tcp_at(__u8 family, int tags)
{
	return ETHERNET_LEN + tags * VLAN_LEN + ip_len(family);
}

static void put(struct frame *frame, __u8 family, int tags, __u16 from_port, __u16 to_port)
{
	int i;

	frame_ethernet(frame);
	memset(frame->bytes + MAC_LEN, 4, MAC_LEN);
	for (i = 0; i < tags; i++)
		frame_vlan(frame, i ? 0x8100 : 0x88a8);
	if (family == SC_STEER_IPV4)
		frame_ipv4(frame, 0);
	else
		frame_ipv6(frame);
	frame_tcp(frame, from_port, to_port);
	frame_seal(frame, ETHERNET_LEN + tags * VLAN_LEN);
}

static void set_tcp(struct frame *frame, int at, __u8 flags, __u32 seq, __u32 ack)
{
	put32(frame->bytes + at + 4, seq);
	put32(frame->bytes + at + 8, ack);
	frame->bytes[at + 13] = flags;
}

static void put_syn(struct frame *frame, __u8 family, int tags, __u16 from_port)
{
	put(frame, family, tags, from_port, PORT);
	set_tcp(frame, tcp_at(family, tags), SYN, ISN, 0);
}

static void expect(const struct frame *frame, int verdict, enum sc_reason reason)
{
	bench_expect(BENCH_STEER, frame->bytes, frame->len, verdict, reason);
}

static void expect_steered(const struct frame *frame)
{
	expect(frame, XDP_REDIRECT, SC_REASON_STEERED);
}

static void expect_answer(const struct frame *frame)
{
	expect(frame, XDP_TX, SC_REASON_COOKIE);
}

/* Sum of 16 bit words: all ones over what holds its own checksum. */
static __u32 add(__u32 sum, const __u8 *bytes, int len)
{
	int i;

	for (i = 0; i < len; i += 2)
		sum += get16(bytes + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The SYN-ACK to `syn`, byte for byte but for the cookie, which is returned. */
static __u32 check_answer(const struct frame *answer, const struct frame *syn, __u8 family, int tags, __u16 mss)
{
	int ip = ETHERNET_LEN + tags * VLAN_LEN, tcp = tcp_at(family, tags),
	    addr_len = family == SC_STEER_IPV4 ? 4 : 16;
	int from = tcp - 2 * addr_len, to = tcp - addr_len, len = tcp + SYNACK_LEN;
	const __u8 *out = answer->bytes, *in = syn->bytes;
	const __u8 tail[] = { SYNACK_LEN / 4 << 4, SYN | ACK, 0xff, 0xff };
	const __u8 pseudo[] = { 0, TCP, 0, SYNACK_LEN };
	const __u8 padding[FRAME_LEN_MIN] = { 0 };

	assert_int_equal(answer->len, len < FRAME_LEN_MIN ? FRAME_LEN_MIN : len);
	assert_memory_equal(out, in + MAC_LEN, MAC_LEN);
	assert_memory_equal(out + MAC_LEN, in, MAC_LEN);
	assert_memory_equal(out + 2 * MAC_LEN, in + 2 * MAC_LEN, ip - 2 * MAC_LEN);
	assert_memory_equal(out + from, in + to, addr_len);
	assert_memory_equal(out + to, in + from, addr_len);
	if (family == SC_STEER_IPV4) {
		assert_int_equal(out[ip], 0x45);
		assert_int_equal(get16(out + ip + 2), IPV4_LEN + SYNACK_LEN);
		assert_int_equal(out[ip + 9], TCP);
		assert_int_equal(add(0, out + ip, IPV4_LEN), 0xffff);
	} else {
		assert_int_equal(get32(out + ip), 0x60000000);
		assert_int_equal(get16(out + ip + 4), SYNACK_LEN);
		assert_int_equal(out[ip + 6], TCP);
		assert_int_equal(out[ip + 7], 64);
	}
	assert_int_equal(get16(out + tcp), PORT);
	assert_memory_equal(out + tcp + 2, in + tcp, 2);
	assert_int_equal(get32(out + tcp + 8), ISN + 1);
	assert_memory_equal(out + tcp + 12, tail, 2);
	assert_int_equal(get16(out + tcp + 14), mss * 10 > 0xffff ? 0xffff : mss * 10);
	assert_int_equal(get32(out + tcp + 20), 0x02040000 | mss);
	assert_int_equal(add(add(add(0, out + tcp, SYNACK_LEN), pseudo, sizeof(pseudo)), out + from, 2 * addr_len),
			 0xffff);
	assert_memory_equal(out + len, padding, answer->len - len);
	return get32(out + tcp + 4);
}

/* Sends a SYN and gives the answer's cookie. */
static __u32 cookie_for(__u8 family, int tags, __u16 from_port, __u16 mss)
{
	struct frame syn, answer;

	put_syn(&syn, family, tags, from_port);
	answer = syn;
	assert_int_equal(bench_transform(BENCH_STEER, &answer), XDP_TX);
	return check_answer(&answer, &syn, family, tags, mss);
}

static __u16 own_mss(__u8 family)
{
	return LOOPBACK_MTU - ip_len(family) - TCP_LEN;
}

static void test_handshake(void **state)
{
	struct frame ack;
	__u32 cookie;
	size_t i;
	int tags;

	(void)state;
	for (i = 0; i < COUNT(families); i++) {
		for (tags = 0; tags <= 2; tags++) {
			int at = tcp_at(families[i], tags);
			__u16 port = 30000 + 10 * tags;

			cookie = cookie_for(families[i], tags, port, own_mss(families[i]));
			/* Bad: another cookie (a few more would be that of another MSS), another sequence, another port. */
			put(&ack, families[i], tags, port, PORT);
			set_tcp(&ack, at, ACK, ISN + 1, cookie + 1000);
			expect(&ack, XDP_DROP, SC_REASON_BAD_COOKIE);
			set_tcp(&ack, at, ACK, ISN + 1000, cookie + 1);
			expect(&ack, XDP_DROP, SC_REASON_BAD_COOKIE);
			put16(ack.bytes + at, port + 1);
			set_tcp(&ack, at, ACK, ISN + 1, cookie + 1);
			expect(&ack, XDP_DROP, SC_REASON_BAD_COOKIE);
			/* Good, and what comes right behind it, before there is a connection to find. */
			put16(ack.bytes + at, port);
			expect_steered(&ack);
			set_tcp(&ack, at, ACK, ISN + 1461, cookie + 1);
			expect_steered(&ack);
			put16(ack.bytes + at, port + 1);
			expect(&ack, XDP_DROP, SC_REASON_BAD_COOKIE);
		}
	}
}

/* Options and data of the SYN are no part of the answer, however long. */
static void test_long_syn(void **state)
{
	struct frame syn, answer;
	int option_words;

	(void)state;
	for (option_words = 0; option_words <= 10; option_words++) {
		int at = tcp_at(SC_STEER_IPV4, 0);

		put_syn(&syn, SC_STEER_IPV4, 0, 40000);
		frame_payload(&syn, 4 * option_words + 100);
		syn.bytes[at + 12] = (5 + option_words) << 4;
		frame_seal(&syn, ETHERNET_LEN);
		answer = syn;
		assert_int_equal(bench_transform(BENCH_STEER, &answer), XDP_TX);
		check_answer(&answer, &syn, SC_STEER_IPV4, 0, own_mss(SC_STEER_IPV4));
	}
	/* Options that are not there. */
	put_syn(&syn, SC_STEER_IPV4, 0, 40000);
	syn.bytes[tcp_at(SC_STEER_IPV4, 0) + 12] = 15 << 4;
	expect_steered(&syn);
}

static void test_mss(void **state)
{
	struct sc_syn rule = always;

	(void)state;
	rule.mss_max = 1400;
	bench_set_syn(&rule);
	cookie_for(SC_STEER_IPV4, 0, 40000, 1400);
	cookie_for(SC_STEER_IPV6, 0, 40000, 1400);
	rule.mss_max = 65490;
	bench_set_syn(&rule);
	cookie_for(SC_STEER_IPV6, 0, 40000, own_mss(SC_STEER_IPV6));
}

static void test_way_back(void **state)
{
	struct sc_syn rule = always;
	struct frame syn;

	(void)state;
	rule.flags = SC_SYN_REDIRECT;
	bench_set_syn(&rule);
	put_syn(&syn, SC_STEER_IPV4, 0, 40000);
	expect(&syn, XDP_REDIRECT, SC_REASON_COOKIE);
}

/* What is no SYN for a listener of ours goes on as if there were no cookies. */
static void test_left_alone(void **state)
{
	const __u8 flags[] = { SYN | ACK, RST, RST | ACK, SYN | RST };
	struct sc_syn rule = always;
	struct frame frame;
	size_t i;

	(void)state;
	put_syn(&frame, SC_STEER_IPV4, 0, 40000);
	expect_answer(&frame);
	for (i = 0; i < COUNT(flags); i++) {
		set_tcp(&frame, tcp_at(SC_STEER_IPV4, 0), flags[i], ISN, 0);
		expect_steered(&frame);
	}
	/* Nobody listens: the stack resets. No service. */
	put(&frame, SC_STEER_IPV4, 0, 40000, CLOSED_PORT);
	set_tcp(&frame, tcp_at(SC_STEER_IPV4, 0), SYN, ISN, 0);
	expect_steered(&frame);
	set_tcp(&frame, tcp_at(SC_STEER_IPV4, 0), ACK, ISN, 0);
	expect_steered(&frame);
	put_syn(&frame, SC_STEER_IPV4, 0, 40000);
	put16(frame.bytes + tcp_at(SC_STEER_IPV4, 0) + 2, 1);
	expect(&frame, XDP_PASS, SC_REASON_NO_SERVICE);
	/* IP options, an extension header; an ACK that cannot be checked for them does not count as a good one. */
	frame_ethernet(&frame);
	frame_ipv4(&frame, 4);
	frame_tcp(&frame, 40000, PORT);
	frame_seal(&frame, ETHERNET_LEN);
	set_tcp(&frame, ETHERNET_LEN + IPV4_LEN + 4, SYN, ISN, 0);
	expect_steered(&frame);
	set_tcp(&frame, ETHERNET_LEN + IPV4_LEN + 4, ACK, ISN, 0);
	expect_steered(&frame);
	put(&frame, SC_STEER_IPV4, 0, 40000, PORT);
	expect(&frame, XDP_DROP, SC_REASON_BAD_COOKIE);
	frame_ethernet(&frame);
	frame_ipv6(&frame);
	frame_ext(&frame, 0, 8);
	frame_tcp(&frame, 40000, PORT);
	frame_seal(&frame, ETHERNET_LEN);
	set_tcp(&frame, ETHERNET_LEN + IPV6_LEN + 8, SYN, ISN, 0);
	expect_steered(&frame);
	/* Another's frame, that the device hears all the same. */
	rule.mac[5]++;
	bench_set_syn(&rule);
	put_syn(&frame, SC_STEER_IPV6, 0, 40000);
	expect_steered(&frame);
	set_tcp(&frame, tcp_at(SC_STEER_IPV6, 0), ACK, ISN, 0);
	expect_steered(&frame);
	bench_set_syn(&always);
	expect(&frame, XDP_DROP, SC_REASON_BAD_COOKIE);
	put_syn(&frame, SC_STEER_IPV6, 0, 40000);
	expect_answer(&frame);
	/* A port that is spared; no module. */
	bench_set_port_word(SC_STEER_IPV6, TCP, PORT, SC_PORT_NEVER_DROP | 1);
	expect_steered(&frame);
	set_tcp(&frame, tcp_at(SC_STEER_IPV6, 0), ACK, ISN, 0);
	expect_steered(&frame);
	bench_set_port_word(SC_STEER_IPV6, TCP, PORT, 1);
	expect(&frame, XDP_DROP, SC_REASON_BAD_COOKIE);
	bench_set_modules(0);
	expect_steered(&frame);
	put_syn(&frame, SC_STEER_IPV6, 0, 40000);
	expect_steered(&frame);
}

/* A router's own address is answered for, that of a host behind it is not, although the listener is on any address. */
static void test_router(void **state)
{
	struct frame own, foreign;
	size_t i;
	int at;

	(void)state;
	shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
	for (i = 0; i < COUNT(families); i++) {
		at = tcp_at(families[i], 0);
		put_syn(&own, families[i], 0, 40000);
		foreign = own;
		/* Second byte of the destination: 10.9.0.1, fd09::1. */
		foreign.bytes[at - (families[i] == SC_STEER_IPV4 ? 3 : 15)] = 9;
		frame_seal(&foreign, ETHERNET_LEN);
		expect_answer(&own);
		expect_steered(&foreign);
		/* Nor is what belongs to its connections dropped. */
		set_tcp(&own, at, ACK, ISN, 0);
		set_tcp(&foreign, at, ACK, ISN, 0);
		expect(&own, XDP_DROP, SC_REASON_BAD_COOKIE);
		expect_steered(&foreign);
	}
}

/* The kernel makes cookies only for a full queue, or never; then its own answer is on. */
static void test_sysctl(void **state)
{
	struct frame frame;

	(void)state;
	put_syn(&frame, SC_STEER_IPV4, 0, 40000);
	shell("sysctl -qw net.ipv4.tcp_syncookies=1");
	expect_steered(&frame);
	shell("sysctl -qw net.ipv4.tcp_syncookies=0");
	expect_steered(&frame);
	set_tcp(&frame, tcp_at(SC_STEER_IPV4, 0), ACK, ISN, 0);
	expect_steered(&frame);
}

static __u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Windows of this test last an hour, and the time stands still in them. */
static void set_flood(__u32 syns, __u32 on, __s64 left_ms)
{
	const struct sc_flood flood = {
		.window_ns = now_ns() + 3600 * 1000000000ULL,
		.until_ns = now_ns() + left_ms * 1000000,
		.syns = syns,
		.on = on,
	};

	bench_set_flood(&flood);
}

static void test_flood(void **state)
{
	enum { PER_WINDOW = 100, HOUR_MS = 3600 * 1000 };
	struct sc_syn rule = always;
	struct sc_flood late = { .syns = 10 * PER_WINDOW };
	struct frame syn, ack;
	int i;

	(void)state;
	rule.rate = PER_WINDOW * (1000 / SC_FLOOD_WINDOW_MS);
	bench_set_syn(&rule);
	put_syn(&syn, SC_STEER_IPV4, 0, 40000);
	put(&ack, SC_STEER_IPV4, 0, 40000, PORT);
	/* One SYN more than allowed begins it, and ACKs are looked at from then on. */
	set_flood(PER_WINDOW - 3, 0, 0);
	for (i = 0; i < 3; i++)
		expect_steered(&syn);
	expect_steered(&ack);
	expect_answer(&syn);
	expect(&ack, XDP_DROP, SC_REASON_BAD_COOKIE);
	/* Until its time is over; then the first SYN or ACK ends it. */
	set_flood(0, 1, HOUR_MS);
	expect_answer(&syn);
	set_flood(0, 1, -1);
	expect_steered(&syn);
	set_flood(0, 1, -1);
	expect_steered(&ack);
	/* Half the rate keeps it going, and would not begin it. */
	set_flood(PER_WINDOW / 2, 1, 1000);
	expect_answer(&syn);
	set_flood(PER_WINDOW / 2, 1, -1);
	expect_steered(&syn);
	/* A window that is over counts no more. */
	bench_set_flood(&late);
	expect_steered(&syn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_handshake, setup),	cmocka_unit_test_setup(test_long_syn, setup),
		cmocka_unit_test_setup(test_mss, setup),	cmocka_unit_test_setup(test_way_back, setup),
		cmocka_unit_test_setup(test_left_alone, setup), cmocka_unit_test_setup(test_router, setup),
		cmocka_unit_test_setup(test_sysctl, setup),	cmocka_unit_test_setup(test_flood, setup),
	};
	int failed;

	if (bench_open()) {
		puts("skipped: takes root and two CPUs");
		return SKIP;
	}
	open_network();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	bench_close();
	return failed ? 1 : 0;
}

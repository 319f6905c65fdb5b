// SPDX-License-Identifier: MIT
// Frames cut at every length, and with every bit flipped, under each module and all: one reason, and its verdict.
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
	SYN = 0x02,
	ALL = SC_MODULE_VALIDITY | SC_MODULE_LISTS | SC_MODULE_COOKIES | SC_MODULE_LIMITS | SC_MODULE_HOSTS |
	      SC_MODULE_SAMPLES | SC_MODULE_SOCKETS | SC_MODULE_OPTIONS | SC_MODULE_FRAGMENTS,
};

static const __u8 families[] = { SC_STEER_IPV4, SC_STEER_IPV6 };
static const __u8 protocols[] = { TCP, UDP };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const help[] = {
#define REASON(constant, name, text) [SC_REASON_##constant] = text,
	SC_REASONS(REASON)
#undef REASON
};

static int setup(void **state)
{
	static const struct sc_syn always = { .mac = { 2, 2, 2, 2, 2, 2 } };
	static const __u8 near[4] = { 10, 1, 2, 2 }, net[4] = { 10, 2 };
	size_t i, j;

	(void)state;
	bench_set_all_cpus(THERE);
	bench_clear_services();
	for (i = 0; i < COUNT(families); i++)
		for (j = 0; j < COUNT(protocols); j++)
			bench_add_service(families[i], protocols[j], PORT, NULL, j);
	bench_new_lists();
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, near, 32);
	bench_add_prefix(SC_LIST_DENY, SC_STEER_IPV4, net, 16);
	bench_set_syn(&always);
	bench_clear_limits();
	bench_set_limit(0, SC_LIMIT_SOURCE, 100, 1, 10);
	bench_set_limit(1, SC_LIMIT_TOTAL, 100, 1, 10);
	return 0;
}

static void put(struct frame *frame, __u8 family, __u8 protocol, int tags, bool long_ip)
{
	/* Router alert; and the end, behind which there is a source route, should a bit of that change. */
	static const __u8 options[8] = { 148, 4, 0, 0, 0, 131, 3, 4 };
	int at = ETHERNET_LEN + tags * VLAN_LEN;

	frame_ethernet(frame);
	while (tags--)
		frame_vlan(frame, 0x8100);
	if (family == SC_STEER_IPV4)
		frame_ipv4(frame, long_ip ? 8 : 0);
	else
		frame_ipv6(frame);
	if (family == SC_STEER_IPV4 && long_ip)
		frame_options(frame, at, options, sizeof(options));
	if (family == SC_STEER_IPV6 && long_ip)
		frame_ext(frame, 60, 8);
	if (protocol == TCP)
		frame_tcp(frame, 40000, PORT);
	else
		frame_udp(frame, 40000, PORT);
	if (protocol == TCP)
		frame->bytes[frame->len - TCP_LEN + 13] = SYN;
	frame_seal(frame, at);
}

static bool fits(enum sc_reason reason, int verdict)
{
	if (!strncmp(help[reason], "dropped", 7))
		return verdict == XDP_DROP;
	if (reason == SC_REASON_STEERED)
		return verdict == XDP_REDIRECT;
	if (reason == SC_REASON_COOKIE)
		return verdict == XDP_TX || verdict == XDP_REDIRECT;
	return verdict == XDP_PASS;
}

static void check(const struct frame *frame, int len)
{
	enum bench_program program;
	enum sc_reason reason;
	int verdict;

	for (program = BENCH_STEER; program <= BENCH_ON_CPU; program++) {
		reason = bench_reason(program, frame->bytes, len, &verdict);
		if (!fits(reason, verdict))
			fail_msg("program %d, length %d: verdict %d, but it was %s", program, len, verdict,
				 help[reason]);
	}
}

static void sweep(struct frame *frame)
{
	int len, bit;

	for (len = ETHERNET_LEN; len <= frame->len; len++)
		check(frame, len);
	for (bit = 0; bit < frame->len * 8; bit++) {
		frame->bytes[bit / 8] ^= 1U << bit % 8;
		check(frame, frame->len);
		frame->bytes[bit / 8] ^= 1U << bit % 8;
	}
}

static void sweep_all(__u32 modules)
{
	struct frame frame;
	size_t i, j;

	bench_set_modules(modules);
	for (i = 0; i < COUNT(families); i++) {
		for (j = 0; j < COUNT(protocols); j++) {
			put(&frame, families[i], protocols[j], 0, false);
			sweep(&frame);
			put(&frame, families[i], protocols[j], 2, true);
			sweep(&frame);
		}
	}
}

static void test_each(void **state)
{
	__u32 module;

	(void)state;
	for (module = 1; module & ALL; module <<= 1)
		sweep_all(module);
}

static void test_none_and_all(void **state)
{
	(void)state;
	sweep_all(0);
	sweep_all(ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_each, setup),
		cmocka_unit_test_setup(test_none_and_all, setup),
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

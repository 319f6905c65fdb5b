// SPDX-License-Identifier: MIT
// Rate limits: how many packets a bucket lets through, whose they are counted for, where the verdict is, and several CPUs at one bucket.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "bench.h"

/* Limits of one packet in HOUR seconds: nothing comes back into a bucket while a test runs, however slow the machine is. */
enum {
	PORT = 8080,
	OTHER_PORT = 8081,
	ROW = 3,
	OTHER_ROW = 4,
	TCP = 6,
	UDP = 17,
	SKIP = 77,
	HOUR = 3600,
	BURST = 5,

	SYN = 0x02,
	ACK = 0x10,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const __u8 families[] = { SC_STEER_IPV4, SC_STEER_IPV6 };

static int setup(void **state)
{
	size_t i;

	(void)state;
	bench_set_all_cpus(THERE);
	bench_clear_services();
	for (i = 0; i < COUNT(families); i++) {
		bench_add_service(families[i], TCP, PORT, NULL, ROW);
		bench_add_service(families[i], UDP, OTHER_PORT, NULL, OTHER_ROW);
	}
	bench_clear_limits();
	bench_set_modules(SC_MODULE_LIMITS);
	return 0;
}

static int transport_at(__u8 family)
{
	return ETHERNET_LEN + (family == SC_STEER_IPV4 ? IPV4_LEN : IPV6_LEN);
}

/* From host `host` of network `net`; two of one net differ beyond 64 bits in IPv6. */
static void put(struct frame *frame, __u8 family, __u8 protocol, __u8 net, __u8 host)
{
	__u8 *from;

	frame_ethernet(frame);
	if (family == SC_STEER_IPV4)
		frame_ipv4(frame, 0);
	else
		frame_ipv6(frame);
	if (protocol == TCP)
		frame_tcp(frame, 40000, PORT);
	else
		frame_udp(frame, 40000, OTHER_PORT);
	from = frame->bytes + ETHERNET_LEN + (family == SC_STEER_IPV4 ? 12 : 8);
	from[family == SC_STEER_IPV4 ? 2 : 7] = net;
	from[family == SC_STEER_IPV4 ? 3 : 15] = host;
	frame_seal(frame, ETHERNET_LEN);
}

static void expect_on_cpu(const struct frame *frame, int cnt, enum sc_reason over)
{
	for (; cnt; cnt--)
		bench_expect(BENCH_ON_CPU, frame->bytes, frame->len, XDP_PASS, SC_REASON_ARRIVED);
	bench_expect(BENCH_ON_CPU, frame->bytes, frame->len, XDP_DROP, over);
}

static void expect_here(const struct frame *frame, int cnt, int verdict, enum sc_reason reason, enum sc_reason over)
{
	for (; cnt; cnt--)
		bench_expect(BENCH_STEER, frame->bytes, frame->len, verdict, reason);
	bench_expect(BENCH_STEER, frame->bytes, frame->len, XDP_DROP, over);
}

static void expect_passes(enum bench_program program, const struct frame *frame)
{
	assert_int_not_equal(bench_run(program, frame->bytes, frame->len), XDP_DROP);
}

/* Each source has a bucket of its own under each limit; the families do not mix; IPv6 counts by networks of 64 bits. */
static void test_sources(void **state)
{
	struct frame frame;
	size_t i;

	(void)state;
	bench_set_limit(ROW, SC_LIMIT_SOURCE, 1, HOUR, BURST);
	for (i = 0; i < COUNT(families); i++) {
		put(&frame, families[i], TCP, 1, 1);
		expect_on_cpu(&frame, BURST, SC_REASON_LATE_OVER_SOURCE);
		put(&frame, families[i], TCP, 2, 1);
		expect_on_cpu(&frame, BURST, SC_REASON_LATE_OVER_SOURCE);
		put(&frame, families[i], TCP, 1, 2);
		if (families[i] == SC_STEER_IPV4)
			expect_on_cpu(&frame, BURST, SC_REASON_LATE_OVER_SOURCE);
		else
			expect_on_cpu(&frame, 0, SC_REASON_LATE_OVER_SOURCE);
		/* Another service has no limit. */
		put(&frame, families[i], UDP, 1, 1);
		expect_passes(BENCH_ON_CPU, &frame);
	}
	assert_int_equal(bench_source_cnt(), 3 + 2);
	/* And as many again for all services together, of which the one above takes its part. */
	bench_set_limit(SC_LIMIT_ALL, SC_LIMIT_SOURCE, 1, HOUR, BURST);
	put(&frame, SC_STEER_IPV4, TCP, 9, 1);
	bench_run(BENCH_ON_CPU, frame.bytes, frame.len);
	put(&frame, SC_STEER_IPV4, UDP, 9, 1);
	expect_on_cpu(&frame, BURST - 1, SC_REASON_LATE_OVER_SOURCE);
	put(&frame, SC_STEER_IPV4, TCP, 9, 1);
	expect_on_cpu(&frame, 0, SC_REASON_LATE_OVER_SOURCE);
}

static void test_totals(void **state)
{
	struct frame frame;

	(void)state;
	bench_set_limit(ROW, SC_LIMIT_TOTAL, 1, HOUR, 2 * BURST);
	put(&frame, SC_STEER_IPV4, TCP, 1, 1);
	expect_on_cpu(&frame, 2 * BURST, SC_REASON_LATE_OVER_TOTAL);
	/* Whatever source and family. */
	put(&frame, SC_STEER_IPV6, TCP, 2, 1);
	expect_on_cpu(&frame, 0, SC_REASON_LATE_OVER_TOTAL);
	put(&frame, SC_STEER_IPV4, UDP, 1, 1);
	expect_passes(BENCH_ON_CPU, &frame);
	/* All services. */
	bench_clear_limits();
	bench_set_limit(SC_LIMIT_ALL, SC_LIMIT_TOTAL, 1, HOUR, BURST);
	expect_passes(BENCH_ON_CPU, &frame);
	put(&frame, SC_STEER_IPV6, TCP, 1, 1);
	expect_on_cpu(&frame, BURST - 1, SC_REASON_LATE_OVER_TOTAL);
	/* Taken away. */
	bench_set_limit(SC_LIMIT_ALL, SC_LIMIT_TOTAL, 0, 0, 0);
	expect_passes(BENCH_ON_CPU, &frame);
}

/* A limit on SYNs counts no other packets, and no SYN-ACKs; one on packets beside it counts both. */
static void test_syns(void **state)
{
	struct frame syn, other;

	(void)state;
	bench_set_limit(ROW, SC_LIMIT_SOURCE_SYN, 1, HOUR, 2);
	bench_set_limit(ROW, SC_LIMIT_TOTAL_SYN, 1, HOUR, 3);
	bench_set_limit(ROW, SC_LIMIT_SOURCE, 1, HOUR, 6);
	put(&syn, SC_STEER_IPV4, TCP, 1, 1);
	other = syn;
	syn.bytes[transport_at(SC_STEER_IPV4) + 13] = SYN;
	other.bytes[transport_at(SC_STEER_IPV4) + 13] = SYN | ACK;
	expect_on_cpu(&syn, 2, SC_REASON_LATE_OVER_SOURCE);
	/* That one had its place under the limit on packets already. */
	expect_on_cpu(&other, 6 - 3, SC_REASON_LATE_OVER_SOURCE);
	put(&syn, SC_STEER_IPV4, TCP, 1, 2);
	syn.bytes[transport_at(SC_STEER_IPV4) + 13] = SYN;
	expect_on_cpu(&syn, 1, SC_REASON_LATE_OVER_TOTAL);
}

/* What a bucket takes back in time, set instead of waited for. */
static void test_refill(void **state)
{
	struct frame frame;

	(void)state;
	put(&frame, SC_STEER_IPV6, TCP, 1, 1);
	bench_set_limit(ROW, SC_LIMIT_SOURCE, 1, HOUR, BURST);
	expect_on_cpu(&frame, BURST, SC_REASON_LATE_OVER_SOURCE);
	bench_set_sources(HOUR * (BURST - 1.5));
	expect_on_cpu(&frame, 1, SC_REASON_LATE_OVER_SOURCE);
	bench_set_sources(HOUR * (BURST - 2.5));
	expect_on_cpu(&frame, 2, SC_REASON_LATE_OVER_SOURCE);
	/* Long full is no more than full. */
	bench_set_sources(-30.0 * HOUR);
	expect_on_cpu(&frame, BURST, SC_REASON_LATE_OVER_SOURCE);
	bench_clear_limits();
	bench_set_limit(ROW, SC_LIMIT_TOTAL, 1, HOUR, BURST);
	bench_set_total(ROW, SC_LIMIT_TOTAL, HOUR * (BURST - 2.5));
	expect_on_cpu(&frame, 2, SC_REASON_LATE_OVER_TOTAL);
	/* A smaller burst, set while the bucket is fuller than that. */
	bench_set_total(ROW, SC_LIMIT_TOTAL, HOUR * 2.5);
	bench_set_limit(ROW, SC_LIMIT_TOTAL, 1, HOUR, 2);
	expect_on_cpu(&frame, 0, SC_REASON_LATE_OVER_TOTAL);
}

/* A packet that goes on is judged where it goes; one that stays, or goes nowhere, here. Ports that are spared, nowhere. */
static void test_where(void **state)
{
	struct frame frame;
	int i;

	(void)state;
	put(&frame, SC_STEER_IPV4, TCP, 1, 1);
	bench_set_limit(ROW, SC_LIMIT_SOURCE, 1, HOUR, BURST);
	for (i = 0; i < 2 * BURST; i++)
		bench_expect(BENCH_STEER, frame.bytes, frame.len, XDP_REDIRECT, SC_REASON_STEERED);
	bench_set_all_cpus(HERE);
	expect_here(&frame, BURST, XDP_PASS, SC_REASON_LOCAL, SC_REASON_OVER_SOURCE);
	put(&frame, SC_STEER_IPV4, TCP, 1, 2);
	bench_set_all_cpus(SC_STEER_NO_CPU);
	expect_here(&frame, BURST, XDP_PASS, SC_REASON_NO_CPU, SC_REASON_OVER_SOURCE);
	bench_set_limit(ROW, SC_LIMIT_TOTAL, 1, HOUR, BURST);
	put(&frame, SC_STEER_IPV4, TCP, 1, 3);
	expect_here(&frame, BURST, XDP_PASS, SC_REASON_NO_CPU, SC_REASON_OVER_SOURCE);
	put(&frame, SC_STEER_IPV4, TCP, 1, 4);
	expect_here(&frame, 0, XDP_PASS, SC_REASON_NO_CPU, SC_REASON_OVER_TOTAL);
	bench_set_port_word(SC_STEER_IPV4, TCP, PORT, SC_PORT_NEVER_DROP | (ROW + 1));
	expect_passes(BENCH_STEER, &frame);
	expect_passes(BENCH_ON_CPU, &frame);
	bench_set_port_word(SC_STEER_IPV4, TCP, PORT, ROW + 1);
	bench_set_modules(0);
	expect_passes(BENCH_STEER, &frame);
	expect_passes(BENCH_ON_CPU, &frame);
}

/* How many of a source's flows, told apart by port and by the bits that do not count, have the slot of the first. */
static int slots_alike(__u8 family)
{
	__u32 cpus[SC_STEER_SLOTS];
	int bit, i, flow, alike = 0, first[16], slot;
	struct frame frame;

	for (flow = 0; flow < 16; flow++) {
		slot = 0;
		put(&frame, family, TCP, 1, family == SC_STEER_IPV4 ? 1 : flow);
		frame.bytes[transport_at(family) + 1] += flow;
		for (bit = 1; bit < SC_STEER_SLOTS; bit <<= 1) {
			for (i = 0; i < SC_STEER_SLOTS; i++)
				cpus[i] = i & bit ? SC_STEER_NO_CPU : THERE;
			bench_set_cpus(cpus);
			if (bench_run(BENCH_STEER, frame.bytes, frame.len) == XDP_PASS)
				slot |= bit;
		}
		first[flow] = slot;
		alike += slot == first[0];
	}
	return alike;
}

/* Where a source has a limit, one CPU has all of it; else its flows are spread. */
static void test_one_cpu_has_a_source(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(families); i++) {
		bench_clear_limits();
		bench_set_limit(ROW, SC_LIMIT_TOTAL, 1000000, 1, 1000000);
		assert_true(slots_alike(families[i]) < 8);
		bench_set_limit(ROW, SC_LIMIT_SOURCE_SYN, 1000000, 1, 1000000);
		assert_int_equal(slots_alike(families[i]), 16);
		bench_clear_limits();
		bench_set_limit(SC_LIMIT_ALL, SC_LIMIT_SOURCE, 1000000, 1, 1000000);
		assert_int_equal(slots_alike(families[i]), 16);
	}
}

/* More sources than there is room for: the latest are kept, and nobody is dropped for it. */
static void test_many_sources(void **state)
{
	struct frame frame;
	int i;

	(void)state;
	bench_set_limit(ROW, SC_LIMIT_SOURCE, 1, HOUR, 1);
	for (i = 0; i < SC_STEER_SOURCES_MAX + 5000; i++) {
		put(&frame, SC_STEER_IPV4, TCP, i >> 8, i);
		frame.bytes[ETHERNET_LEN + 13] = i >> 16;
		expect_passes(BENCH_ON_CPU, &frame);
	}
	assert_true(bench_source_cnt() <= SC_STEER_SOURCES_MAX);
	expect_on_cpu(&frame, 0, SC_REASON_LATE_OVER_SOURCE);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Over time: never more than burst and rate allow, and no less while there is always a packet to let through. */
static void test_rate(void **state)
{
	enum { RATE = 10000, PER_RUN = 2000 };
	__u64 before = bench_counter(SC_REASON_ARRIVED), passed;
	double begin, first_end, last_begin;
	struct frame frame;

	(void)state;
	put(&frame, SC_STEER_IPV4, TCP, 1, 1);
	/* The bucket holds what comes in ten seconds: no pause of this test overflows it. */
	bench_set_limit(ROW, SC_LIMIT_SOURCE, RATE, 1, 10 * RATE);
	begin = now_s();
	assert_int_equal(bench_repeat(BENCH_ON_CPU, &frame, 10 * RATE), 0);
	first_end = now_s();
	do {
		last_begin = now_s();
		assert_int_equal(bench_repeat(BENCH_ON_CPU, &frame, PER_RUN + (int)((last_begin - begin) * RATE)), 0);
	} while (now_s() - first_end < 0.2);
	passed = bench_counter(SC_REASON_ARRIVED) - before;
	assert_true(passed <= 10 * RATE + (now_s() - begin) * RATE + 1);
	assert_true(passed >= 10 * RATE + (last_begin - first_end) * RATE - 1);
}

static struct frame shared_frame;

static void *draw(void *cpu)
{
	cpu_set_t set;
	intptr_t err;

	CPU_ZERO(&set);
	CPU_SET((intptr_t)cpu, &set);
	err = sched_setaffinity(0, sizeof(set), &set);
	return (void *)(err ?: bench_repeat(BENCH_STEER, &shared_frame, 200000));
}

/* Two CPUs at one bucket, as in skb mode, and where totals have it so in native mode: not one packet too many or too few. */
static void test_shared(void **state)
{
	static const enum sc_limit_kind kinds[] = { SC_LIMIT_SOURCE, SC_LIMIT_TOTAL };
	enum { SHARED_BURST = 250000 };
	pthread_t threads[2];
	__u64 before;
	void *failed;
	intptr_t cpu;
	size_t i;

	(void)state;
	bench_set_all_cpus(SC_STEER_NO_CPU);
	put(&shared_frame, SC_STEER_IPV6, TCP, 1, 1);
	for (i = 0; i < COUNT(kinds); i++) {
		bench_clear_limits();
		bench_set_limit(ROW, kinds[i], 1, 60, SHARED_BURST);
		before = bench_counter(SC_REASON_NO_CPU);
		for (cpu = 0; cpu < 2; cpu++)
			assert_int_equal(pthread_create(&threads[cpu], NULL, draw, (void *)cpu), 0);
		for (cpu = 0; cpu < 2; cpu++) {
			pthread_join(threads[cpu], &failed);
			assert_null(failed);
		}
		assert_int_equal(bench_counter(SC_REASON_NO_CPU) - before, SHARED_BURST);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sources, setup),
		cmocka_unit_test_setup(test_totals, setup),
		cmocka_unit_test_setup(test_syns, setup),
		cmocka_unit_test_setup(test_refill, setup),
		cmocka_unit_test_setup(test_where, setup),
		cmocka_unit_test_setup(test_one_cpu_has_a_source, setup),
		cmocka_unit_test_setup(test_many_sources, setup),
		cmocka_unit_test_setup(test_rate, setup),
		cmocka_unit_test_setup(test_shared, setup),
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

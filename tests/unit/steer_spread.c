// SPDX-License-Identifier: MIT
// The indirection table: even shares, and no more moves than evenness asks for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spread.h"

static cpu_set_t first_cpus(int cnt)
{
	cpu_set_t set;
	int cpu;

	CPU_ZERO(&set);
	for (cpu = 0; cpu < cnt; cpu++)
		CPU_SET(cpu, &set);
	return set;
}

static void empty(__u32 slots[SC_STEER_SLOTS])
{
	memset(slots, 0xff, SC_STEER_SLOTS * sizeof(slots[0]));
}

static int held_by(const __u32 slots[SC_STEER_SLOTS], __u32 cpu)
{
	int slot, cnt = 0;

	for (slot = 0; slot < SC_STEER_SLOTS; slot++)
		cnt += slots[slot] == cpu;
	return cnt;
}

static void expect_even(const __u32 slots[SC_STEER_SLOTS], const cpu_set_t *set)
{
	int share = SC_STEER_SLOTS / CPU_COUNT(set), total = 0, cpu, cnt;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cnt = held_by(slots, cpu);
		total += cnt;
		if (CPU_ISSET(cpu, set))
			assert_in_range(cnt, share, share + 1);
		else
			assert_int_equal(cnt, 0);
	}
	assert_int_equal(total, SC_STEER_SLOTS);
}

/* What each CPU holds beyond its share has to move, and what lies on CPUs that leave; nothing else may. */
static int least_moves(const __u32 slots[SC_STEER_SLOTS], const cpu_set_t *set)
{
	int share = SC_STEER_SLOTS / CPU_COUNT(set), extra = SC_STEER_SLOTS % CPU_COUNT(set), moves = SC_STEER_SLOTS,
	    cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		int cnt = CPU_ISSET(cpu, set) ? held_by(slots, cpu) : 0;

		if (cnt > share && extra) {
			extra--;
			moves -= share + 1;
		} else {
			moves -= cnt < share ? cnt : share;
		}
	}
	return moves;
}

static void test_even(void **state)
{
	__u32 slots[SC_STEER_SLOTS];
	cpu_set_t set;
	int cnt;

	(void)state;
	for (cnt = 1; cnt <= 200; cnt++) {
		set = first_cpus(cnt);
		empty(slots);
		sc_spread(slots, &set);
		expect_even(slots, &set);
	}
}

static void test_random_changes(void **state)
{
	__u32 slots[SC_STEER_SLOTS], before[SC_STEER_SLOTS];
	int round, cpu, slot, moves, least;
	cpu_set_t set;

	(void)state;
	srand(1);
	empty(slots);
	for (round = 0; round < 2000; round++) {
		CPU_ZERO(&set);
		CPU_SET(rand() % 40, &set);
		for (cpu = 0; cpu < 40; cpu++)
			if (rand() % 3 == 0)
				CPU_SET(cpu, &set);
		memcpy(before, slots, sizeof(slots));
		least = least_moves(slots, &set);
		sc_spread(slots, &set);
		expect_even(slots, &set);
		for (slot = 0, moves = 0; slot < SC_STEER_SLOTS; slot++)
			moves += slots[slot] != before[slot];
		assert_int_equal(moves, least);
	}
}

static void test_same_set_moves_nothing(void **state)
{
	__u32 slots[SC_STEER_SLOTS], before[SC_STEER_SLOTS];
	cpu_set_t set = first_cpus(7);

	(void)state;
	empty(slots);
	sc_spread(slots, &set);
	memcpy(before, slots, sizeof(slots));
	sc_spread(slots, &set);
	assert_memory_equal(slots, before, sizeof(slots));
}

static void test_no_cpu(void **state)
{
	__u32 slots[SC_STEER_SLOTS] = { 0 };
	cpu_set_t set = first_cpus(0);

	(void)state;
	sc_spread(slots, &set);
	assert_int_equal(held_by(slots, SC_STEER_NO_CPU), SC_STEER_SLOTS);
}

/* A table another process wrote may hold anything. */
static void test_garbage(void **state)
{
	__u32 slots[SC_STEER_SLOTS];
	cpu_set_t set = first_cpus(3);
	int slot;

	(void)state;
	for (slot = 0; slot < SC_STEER_SLOTS; slot++)
		slots[slot] = 0x80000000U + slot * 1000;
	sc_spread(slots, &set);
	expect_even(slots, &set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_even),
		cmocka_unit_test(test_random_changes),
		cmocka_unit_test(test_same_set_moves_nothing),
		cmocka_unit_test(test_no_cpu),
		cmocka_unit_test(test_garbage),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

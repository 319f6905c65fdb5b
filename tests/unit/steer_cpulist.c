// SPDX-License-Identifier: MIT
// CPU lists: parsing, printing, refusing.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpulist.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_good(void **state)
{
	static const struct {
		const char *text, *printed;
		int cnt;
	} cases[] = {
		{ "0", "0", 1 },       { "1,3-5", "1,3-5", 4 }, { "5,1,3-4", "1,3-5", 4 }, { "0-1023", "0-1023", 1024 },
		{ "7,7,7-7", "7", 1 }, { "0,2,4", "0,2,4", 3 }, { "0-3,2-5", "0-5", 6 },   { "1023", "1023", 1 },
	};
	char text[SC_CPULIST_LEN];
	cpu_set_t set;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(sc_cpulist_parse(cases[i].text, &set), 0);
		assert_int_equal(CPU_COUNT(&set), cases[i].cnt);
		assert_string_equal(sc_cpulist_format(&set, text, sizeof(text)), cases[i].printed);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{ "", -EINVAL },     { ",", -EINVAL },	    { "1,", -EINVAL },
		{ ",1", -EINVAL },   { "1-", -EINVAL },	    { "-1", -EINVAL },
		{ "3-1", -EINVAL },  { "1 ", -EINVAL },	    { " 1", -EINVAL },
		{ "a", -EINVAL },    { "1-3-5", -EINVAL },  { "0x1", -EINVAL },
		{ "1024", -ERANGE }, { "0-1024", -ERANGE }, { "99999999999999999999", -ERANGE },
	};
	cpu_set_t set;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		if (sc_cpulist_parse(cases[i].text, &set) != cases[i].err)
			fail_msg("'%s': not %d", cases[i].text, cases[i].err);
}

/* A list that does not fit is cut, never written past the end. */
static void test_cut(void **state)
{
	char text[8];
	cpu_set_t set;
	int cpu;

	(void)state;
	CPU_ZERO(&set);
	for (cpu = 0; cpu < 100; cpu += 2)
		CPU_SET(cpu, &set);
	assert_string_equal(sc_cpulist_format(&set, text, sizeof(text)), "0,2,4,6");
}

static void test_online(void **state)
{
	cpu_set_t set;

	(void)state;
	assert_int_equal(sc_cpulist_online(&set), 0);
	assert_true(CPU_COUNT(&set) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_online),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

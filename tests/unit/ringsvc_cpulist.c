// SPDX-License-Identifier: MIT
// Lists of CPUs: what is read, and what is not one.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpulist.h"

enum { MAX = 4 };

static const struct {
	const char *text;
	int want; // count or -errno
	unsigned int cpus[MAX];
} cases[] = {
	{ "0", 1, { 0 } },
	{ "1", 1, { 1 } },
	{ "1023", 1, { 1023 } },
	{ "007", 1, { 7 } },
	{ "1-3", 3, { 1, 2, 3 } },
	{ "2-2", 1, { 2 } },
	{ "3,1", 2, { 1, 3 } },
	{ "1,1,1-2", 2, { 1, 2 } },
	{ "0-1,6-7", 4, { 0, 1, 6, 7 } },
	{ "0-4", -E2BIG, { 0 } },
	{ "1024", -ERANGE, { 0 } },
	{ "0-1024", -ERANGE, { 0 } },
	{ "99999999999999999999999", -ERANGE, { 0 } },
	{ "", -EINVAL, { 0 } },
	{ ",", -EINVAL, { 0 } },
	{ "1,", -EINVAL, { 0 } },
	{ ",1", -EINVAL, { 0 } },
	{ "1,,2", -EINVAL, { 0 } },
	{ "-", -EINVAL, { 0 } },
	{ "-1", -EINVAL, { 0 } },
	{ "1-", -EINVAL, { 0 } },
	{ "3-1", -EINVAL, { 0 } },
	{ "1-2-3", -EINVAL, { 0 } },
	{ "1 ", -EINVAL, { 0 } },
	{ " 1", -EINVAL, { 0 } },
	{ "+1", -EINVAL, { 0 } },
	{ "1\n", -EINVAL, { 0 } },
	{ "a", -EINVAL, { 0 } },
	{ "0x1", -EINVAL, { 0 } },
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned int cpus[MAX] = { 0 };
		int got = sc_cpulist_parse(cases[i].text, cpus, MAX);

		if (got != cases[i].want)
			print_error("\"%s\": got %d\n", cases[i].text, got);
		assert_int_equal(got, cases[i].want);
		if (got > 0)
			assert_memory_equal(cpus, cases[i].cpus, sizeof(cpus));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// Prefixes as users write them: what is taken, how it is shown, and what is refused.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "prefix.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_taken(void **state)
{
	static const struct {
		const char *text, *shown;
		__u32 family, len;
	} cases[] = {
		{ "0.0.0.0/0", "0.0.0.0/0", SC_STEER_IPV4, 0 },
		{ "10.0.0.0/8", "10.0.0.0/8", SC_STEER_IPV4, 8 },
		{ "192.0.2.1", "192.0.2.1/32", SC_STEER_IPV4, 32 },
		{ "192.0.2.128/25", "192.0.2.128/25", SC_STEER_IPV4, 25 },
		{ "::/0", "::/0", SC_STEER_IPV6, 0 },
		{ "2001:DB8::/33", "2001:db8::/33", SC_STEER_IPV6, 33 },
		{ "fd00::1", "fd00::1/128", SC_STEER_IPV6, 128 },
	};
	char text[SC_PREFIX_LEN];
	struct sc_list_key key;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(sc_prefix_parse(cases[i].text, &key), 0);
		assert_int_equal(key.family, cases[i].family);
		assert_int_equal(key.prefix_len, SC_LIST_FAMILY_BITS + cases[i].len);
		assert_string_equal(sc_prefix_format(&key, text), cases[i].shown);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{ "", -EINVAL },
		{ "/8", -EINVAL },
		{ "10.0.0.0/", -EINVAL },
		{ "10.0.0.0/33", -EINVAL },
		{ "::/129", -EINVAL },
		{ "10.0.0.0/-1", -EINVAL },
		{ "10.0.0.0/8x", -EINVAL },
		{ "10.0.0/24", -EINVAL },
		{ "10.0.0.0/8/8", -EINVAL },
		{ "10.0.0.0/ 8", -EINVAL },
		{ "example.org", -EINVAL },
		{ "10.0.0.1/8", -EDOM },
		{ "128.0.0.0/0", -EDOM },
		{ "fd00::1/127", -EDOM },
		{ "10.0.0.0/99999999999999999999", -EINVAL },
	};
	struct sc_list_key key;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		assert_int_equal(sc_prefix_parse(cases[i].text, &key), cases[i].err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

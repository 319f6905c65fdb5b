// SPDX-License-Identifier: MIT
// Failures that are told and failures that are counted: per user, per time, with more users than places.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quota.h"

enum { NOW = 1000000, ENEMY = 61000, VICTIM = 61001 };

static unsigned int admitted(struct sc_quota *quota, uid_t uid, uint64_t now_ms, unsigned int cnt)
{
	unsigned int yes = 0;

	while (cnt--)
		yes += sc_quota_admit(quota, uid, now_ms);
	return yes;
}

static void test_few_are_told(void **state)
{
	struct sc_quota quota = { 0 };
	unsigned int untold;
	uid_t uid;

	(void)state;
	assert_int_equal(admitted(&quota, ENEMY, NOW, SC_QUOTA_TOLD), SC_QUOTA_TOLD);
	assert_int_equal(sc_quota_timeout_ms(&quota, NOW), -1);
	assert_false(sc_quota_take_due(&quota, NOW + SC_QUOTA_MS, &uid, &untold));
	assert_int_equal(admitted(&quota, ENEMY, NOW + SC_QUOTA_MS, SC_QUOTA_TOLD), SC_QUOTA_TOLD);
}

static void test_the_rest_is_counted(void **state)
{
	struct sc_quota quota = { 0 };
	unsigned int untold;
	uid_t uid;

	(void)state;
	assert_int_equal(admitted(&quota, ENEMY, NOW, 100), SC_QUOTA_TOLD);
	assert_int_equal(admitted(&quota, VICTIM, NOW, 1), 1);
	assert_int_equal(sc_quota_timeout_ms(&quota, NOW + 1), SC_QUOTA_MS - 1);
	assert_false(sc_quota_take_due(&quota, NOW + SC_QUOTA_MS - 1, &uid, &untold));
	assert_int_equal(sc_quota_timeout_ms(&quota, NOW + 2 * SC_QUOTA_MS), 0);
	assert_true(sc_quota_take_due(&quota, NOW + SC_QUOTA_MS, &uid, &untold));
	assert_int_equal(uid, ENEMY);
	assert_int_equal(untold, 100 - SC_QUOTA_TOLD);
	assert_false(sc_quota_take_due(&quota, NOW + SC_QUOTA_MS, &uid, &untold));
	assert_int_equal(sc_quota_timeout_ms(&quota, NOW + SC_QUOTA_MS), -1);
	assert_int_equal(admitted(&quota, ENEMY, NOW + SC_QUOTA_MS, 100), SC_QUOTA_TOLD);
}

static void test_many_users_share_a_place(void **state)
{
	struct sc_quota quota = { 0 };
	unsigned int untold, sum = 0;
	uid_t uid;

	(void)state;
	for (uid_t enemy = 1; enemy <= 1000; enemy++)
		sum += admitted(&quota, enemy, NOW, 1);
	assert_int_equal(sum, SC_QUOTA_USERS + SC_QUOTA_TOLD);
	assert_int_equal(admitted(&quota, 1, NOW, SC_QUOTA_TOLD), SC_QUOTA_TOLD - 1);
	assert_true(sc_quota_take_due(&quota, UINT64_MAX, &uid, &untold));
	assert_int_equal(untold, 1);
	assert_int_equal(uid, 1);
	assert_true(sc_quota_take_due(&quota, UINT64_MAX, &uid, &untold));
	assert_true(uid == SC_QUOTA_OTHERS);
	assert_int_equal(untold, 1000 - SC_QUOTA_USERS - SC_QUOTA_TOLD);
	assert_false(sc_quota_take_due(&quota, UINT64_MAX, &uid, &untold));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_are_told),
		cmocka_unit_test(test_the_rest_is_counted),
		cmocka_unit_test(test_many_users_share_a_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

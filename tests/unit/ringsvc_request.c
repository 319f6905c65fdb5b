// SPDX-License-Identifier: MIT
// Control messages: one bad field per case, and the bounds of a HELLO from both sides.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "request.h"

#define FIELD(name) offsetof(struct sc_ctl_msg, name), sizeof(((struct sc_ctl_msg *)NULL)->name)

static struct sc_ctl_msg good(enum sc_ctl_type type)
{
	return (struct sc_ctl_msg){ .magic = SC_CTL_MAGIC, .version = SC_ABI_VERSION, .type = type };
}

static struct sc_ctl_msg with(struct sc_ctl_msg msg, size_t at, size_t size, uint64_t value)
{
	memcpy((char *)&msg + at, &value, size); // little endian or one byte: enough for tests
	return msg;
}

static const struct bad_field {
	const char *name;
	enum sc_ctl_type type;
	size_t at, size;
	uint64_t value;
	int want;
	enum sc_refusal reason;
} bad_fields[] = {
#define BAD(type, field, value)                                                             \
	{                                                                                   \
#type " " #field, type, FIELD(field), value, -EBADMSG, SC_REFUSED_MALFORMED \
	}
	BAD(SC_CTL_HELLO, magic, 0),
	BAD(SC_CTL_HELLO, magic, SC_CHANNEL_MAGIC),
	BAD(SC_CTL_HELLO, type, 0),
	BAD(SC_CTL_HELLO, type, SC_CTL_FILE_TAKE + 1),
	BAD(SC_CTL_HELLO, type, SC_CTL_HELLO | SC_CTL_REPLY),
	{ "version 0", SC_CTL_HELLO, FIELD(version), 0, -EPROTO, SC_REFUSED_VERSION },
	{ "version + 1", SC_CTL_KICK, FIELD(version), SC_ABI_VERSION + 1, -EPROTO, SC_REFUSED_VERSION },
	BAD(SC_CTL_HELLO, status, 1),
	BAD(SC_CTL_HELLO, reason, 1),
	BAD(SC_CTL_HELLO, lane, 1),
	BAD(SC_CTL_HELLO, slot, 1),
	BAD(SC_CTL_HELLO, mem_base, 1),
	BAD(SC_CTL_FILE_ADD, status, 1),
	BAD(SC_CTL_FILE_ADD, reason, 1),
	BAD(SC_CTL_FILE_ADD, lane_cnt, 1),
	BAD(SC_CTL_FILE_ADD, conn_cnt, 1),
	BAD(SC_CTL_FILE_ADD, buf_cnt, 1),
	BAD(SC_CTL_FILE_ADD, buf_len, 1),
	BAD(SC_CTL_FILE_ADD, sq_entries, 1),
	BAD(SC_CTL_FILE_ADD, flags, 1),
	BAD(SC_CTL_FILE_ADD, mem_len, 1),
	BAD(SC_CTL_FILE_ADD, mem_base, 1),
	BAD(SC_CTL_KICK, slot, 1),
	BAD(SC_CTL_KICK, lane_cnt, 1),
	BAD(SC_CTL_KICK, flags, 1),
	BAD(SC_CTL_SEGMENT_ADD, lane, 1),
	BAD(SC_CTL_SEGMENT_ADD, lane_cnt, 1),
	BAD(SC_CTL_SEGMENT_ADD, mem_base, 1),
	BAD(SC_CTL_SEGMENT_DEL, lane, 1),
	BAD(SC_CTL_SEGMENT_DEL, mem_len, 1),
	BAD(SC_CTL_FILE_TAKE, lane, 1),
	BAD(SC_CTL_FILE_TAKE, flags, 1),
#undef BAD
};

static void test_bad_fields(void **state)
{
	enum sc_refusal reason;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_fields) / sizeof(*bad_fields); i++) {
		const struct bad_field *bad = &bad_fields[i];
		struct sc_ctl_msg msg = with(good(bad->type), bad->at, bad->size, bad->value);

		if (sc_request_check(&msg, bad->type == SC_CTL_FILE_ADD, &reason) != bad->want)
			fail_msg("%s", bad->name);
		assert_int_equal(reason, bad->reason);
	}
}

static void test_good_messages(void **state)
{
	struct sc_ctl_msg hello = good(SC_CTL_HELLO), add = good(SC_CTL_FILE_ADD), kick = good(SC_CTL_KICK);
	struct sc_ctl_msg take = good(SC_CTL_FILE_TAKE);
	struct sc_ctl_msg segment_add = good(SC_CTL_SEGMENT_ADD), segment_del = good(SC_CTL_SEGMENT_DEL);
	enum sc_refusal reason;

	(void)state;
	segment_add.slot = segment_del.slot = ~0U;
	segment_add.mem_len = ~0ULL;
	take.slot = ~0U;
	assert_int_equal(sc_request_check(&take, 0, &reason), 0);
	assert_int_equal(sc_request_check(&take, 1, &reason), -EBADMSG);
	assert_int_equal(sc_request_check(&segment_add, 0, &reason), 0);
	assert_int_equal(sc_request_check(&segment_del, 0, &reason), 0);
	hello.lane_cnt = hello.conn_cnt = hello.buf_cnt = hello.buf_len = hello.sq_entries = ~0U;
	hello.mem_len = ~0ULL;
	add.lane = add.slot = kick.lane = ~0U; // bounds depend on the session
	assert_int_equal(sc_request_check(&hello, 0, &reason), 0);
	assert_int_equal(reason, SC_REFUSED_NONE);
	assert_int_equal(sc_request_check(&add, 1, &reason), 0);
	assert_int_equal(sc_request_check(&kick, 0, &reason), 0);
}

static void test_descriptors(void **state)
{
	struct sc_ctl_msg hello = good(SC_CTL_HELLO), add = good(SC_CTL_FILE_ADD), kick = good(SC_CTL_KICK);
	enum sc_refusal reason;

	(void)state;
	assert_int_equal(sc_request_check(&hello, 1, &reason), -EBADMSG);
	assert_int_equal(sc_request_check(&add, 0, &reason), -EBADMSG);
	assert_int_equal(sc_request_check(&add, 2, &reason), -EBADMSG);
	assert_int_equal(sc_request_check(&kick, 1, &reason), -EBADMSG);
	assert_int_equal(reason, SC_REFUSED_MALFORMED);
}

static const struct bound {
	const char *name;
	size_t at, size;
	uint64_t value;
	int want;
} bounds[] = {
#define BOUND(field, value, want)                            \
	{                                                    \
#field " " #value, FIELD(field), value, want \
	}
	BOUND(lane_cnt, 1, 0),
	BOUND(lane_cnt, SC_LANES_MAX, 0),
	BOUND(lane_cnt, SC_LANES_MAX + 1, -EINVAL),
	BOUND(lane_cnt, ~0U, -EINVAL),
	BOUND(conn_cnt, 1, 0),
	BOUND(conn_cnt, 5, 0),
	BOUND(conn_cnt, SC_CONNS_MAX, 0),
	BOUND(conn_cnt, SC_CONNS_MAX + 1, -EINVAL),
	BOUND(conn_cnt, ~0U, -EINVAL),
	BOUND(buf_cnt, 1, 0),
	BOUND(buf_cnt, 3, -EINVAL),
	BOUND(buf_cnt, SC_BUFS_MAX, 0),
	BOUND(buf_cnt, SC_BUFS_MAX * 2, -EINVAL),
	BOUND(buf_cnt, 1U << 31, -EINVAL),
	BOUND(buf_len, SC_BUF_LEN_MIN, 0),
	BOUND(buf_len, SC_BUF_LEN_MIN / 2, -EINVAL),
	BOUND(buf_len, SC_BUF_LEN_MIN + 1, -EINVAL),
	BOUND(buf_len, SC_BUF_LEN_MAX, 0),
	BOUND(buf_len, SC_BUF_LEN_MAX * 2, -EINVAL),
	BOUND(sq_entries, SC_SQ_ENTRIES_MIN, 0),
	BOUND(sq_entries, SC_SQ_ENTRIES_MIN / 2, -EINVAL),
	BOUND(sq_entries, SC_SQ_ENTRIES_MAX - 1, -EINVAL),
	BOUND(sq_entries, SC_SQ_ENTRIES_MAX, 0),
	BOUND(sq_entries, SC_SQ_ENTRIES_MAX * 2, -EINVAL),
	BOUND(mem_len, 1, 0),
	BOUND(mem_len, SC_ARENA_LEN_MAX, 0),
	BOUND(mem_len, SC_ARENA_LEN_MAX + 1, -EINVAL),
	BOUND(mem_len, ~0ULL, -EINVAL),
	BOUND(flags, SC_HELLO_THREADS, 0),
	BOUND(flags, SC_HELLO_THREADS << 1, -EINVAL),
	BOUND(flags, ~0U, -EINVAL),
#undef BOUND
};

static void test_bounds(void **state)
{
	struct sc_wish wish;

	(void)state;
	for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds); i++) {
		struct sc_ctl_msg msg = with(good(SC_CTL_HELLO), bounds[i].at, bounds[i].size, bounds[i].value);

		if (sc_request_wish(&msg, SC_LANES_MAX, &wish) != bounds[i].want)
			fail_msg("%s", bounds[i].name);
	}
}

static void test_defaults(void **state)
{
	struct sc_ctl_msg msg = good(SC_CTL_HELLO);
	struct sc_wish wish;

	(void)state;
	assert_int_equal(sc_request_wish(&msg, 3, &wish), 0);
	assert_int_equal(wish.lane_cnt, 3);
	assert_int_equal(wish.conn_cnt, 4096);
	assert_int_equal(wish.buf_cnt, 1024);
	assert_int_equal(wish.buf_len, 4096);
	assert_int_equal(wish.sq_entries, 1024);
	assert_int_equal(wish.arena_len, 16 << 20);
	msg.lane_cnt = 5; // more than there are cores
	assert_int_equal(sc_request_wish(&msg, 3, &wish), 0);
	assert_int_equal(wish.lane_cnt, 3);
	assert_int_equal(sc_wish_slot_cnt(&wish), SC_SLOT_CONNS + 4096);
	msg.flags = SC_HELLO_THREADS; // they share cores, and have room for what others hand over
	assert_int_equal(sc_request_wish(&msg, 3, &wish), 0);
	assert_int_equal(wish.lane_cnt, 5);
	assert_int_equal(sc_wish_slot_cnt(&wish), SC_SLOT_CONNS + 2 * 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_fields),  cmocka_unit_test(test_good_messages),
		cmocka_unit_test(test_descriptors), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_defaults),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// A channel's areas: whole pages, in order, none over another, within the limit.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "layout.h"

static const __u64 pages[] = { 4096, 16384, 65536 };

static const struct sc_wish wishes[] = {
	{ 1, 1, 1, SC_BUF_LEN_MIN, SC_SQ_ENTRIES_MIN, 1, false },
	{ 1, 4096, 1024, 4096, 1024, 16 << 20, false },
	{ SC_LANES_MAX, 4096, 1024, 4096, 1024, 16 << 20, false },
	{ 2, SC_CONNS_MAX, 4096, 2048, SC_SQ_ENTRIES_MAX, 12345, true },
	{ 1, SC_CONNS_MAX, SC_BUFS_MAX, SC_BUF_LEN_MAX, SC_SQ_ENTRIES_MAX, SC_ARENA_LEN_MAX, false },
};

static void check(const struct sc_wish *wish, __u64 page)
{
	struct sc_layout layout;

	assert_int_equal(sc_layout_init(wish, page, &layout), 0);
	assert_int_equal((layout.lanes_off | layout.lane_len | layout.ring_off | layout.sqes_off | layout.buf_ring_off |
			  layout.bufs_off | layout.arena_off | layout.arena_len | layout.channel_len) %
				 page,
			 0);
	assert_true(layout.lanes_off >= sizeof(struct sc_channel));
	assert_true(layout.sqes_off - layout.ring_off >= 1024 + 16ULL * layout.cq_entries);
	assert_true(layout.buf_ring_off - layout.sqes_off >= 64ULL * wish->sq_entries);
	assert_true(layout.bufs_off - layout.buf_ring_off >= 16ULL * wish->buf_cnt);
	assert_true(layout.lane_len - layout.bufs_off >= (__u64)wish->buf_cnt * wish->buf_len);
	assert_true(layout.arena_off == layout.lanes_off + wish->lane_cnt * layout.lane_len);
	assert_true(layout.arena_len >= wish->arena_len);
	assert_true(layout.channel_len == layout.arena_off + layout.arena_len);
	assert_true(layout.channel_len <= SC_CHANNEL_LEN_MAX);
}

static void test_areas(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++)
		for (size_t j = 0; j < sizeof(pages) / sizeof(*pages); j++)
			check(&wishes[i], pages[j]);
}

static void test_too_long(void **state)
{
	struct sc_wish wish = { 2, 64, SC_BUFS_MAX, SC_BUF_LEN_MAX, 64, 1, false };
	struct sc_layout layout;

	(void)state;
	assert_int_equal(sc_layout_init(&wish, 4096, &layout), -EINVAL);
	wish.lane_cnt = 1;
	assert_int_equal(sc_layout_init(&wish, 4096, &layout), 0);
}

static void test_completion_queue(void **state)
{
	struct sc_wish wish = { 1, 4096, 1024, 4096, 1024, 4096, false };
	struct sc_layout layout;

	(void)state;
	assert_int_equal(sc_layout_init(&wish, 4096, &layout), 0);
	assert_int_equal(layout.cq_entries, 16384); // 1024 + 3 * 4096 + 1024 = 14336
	wish.conn_cnt = 1;
	assert_int_equal(sc_layout_init(&wish, 4096, &layout), 0);
	assert_int_equal(layout.cq_entries, 4096);
	wish.conn_cnt = SC_CONNS_MAX;
	wish.buf_cnt = SC_BUFS_MAX;
	assert_int_equal(sc_layout_init(&wish, 4096, &layout), 0);
	assert_int_equal(layout.cq_entries, SC_CQ_ENTRIES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_areas),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_completion_queue),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* What libapp accepts as a channel: a good one, and for every field a bad one that it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <sidecore/app.h>

#include "channel.h"

enum { LEN = 1 << 20 };

static void header_fill(struct sc_channel *header)
{
	*header = (struct sc_channel){
		.magic = SC_CHANNEL_MAGIC,
		.version = SC_ABI_VERSION,
		.lane_cnt = 1,
		.header_len = sizeof(*header),
		.channel_len = LEN,
		.base = 0x10000,
		.arena_off = LEN / 2,
		.arena_len = LEN / 2,
		.conn_cnt = 100,
	};
	header->lane[0] = (struct sc_lane){
		.sqes_off = 8192,
		.buf_ring_off = 16384,
		.bufs_off = 20480,
		.sq_head_off = 4096,
		.sq_tail_off = 4100,
		.sq_flags_off = 4104,
		.cq_head_off = 4108,
		.cq_tail_off = 4112,
		.cq_flags_off = 4116,
		.cqes_off = 4160,
		.sq_entries = 64,
		.cq_entries = 128,
		.buf_cnt = 16,
		.buf_len = 4096,
	};
}

static int map(const struct sc_channel *header, int seals)
{
	int memfd = memfd_create("channel", MFD_CLOEXEC | MFD_ALLOW_SEALING), err = 0;
	struct sc_channel copy;
	void *mem;

	assert_int_equal(ftruncate(memfd, LEN), 0);
	assert_int_equal(pwrite(memfd, header, sizeof(*header), 0), sizeof(*header));
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, seals), 0);
	mem = sc_channel_map(memfd, &copy, &err);
	if (mem) {
		assert_memory_equal(&copy, header, sizeof(copy));
		assert_int_equal(munmap(mem, LEN), 0);
	} else {
		assert_int_not_equal(err, 0);
		assert_true(strlen(sc_reason()) > 20);
	}
	(void)close(memfd);
	return err;
}

static void test_good(void **state)
{
	struct sc_channel header;

	(void)state;
	header_fill(&header);
	assert_int_equal(map(&header, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(map(&header, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
}

static void test_unsealed(void **state)
{
	struct sc_channel header;

	(void)state;
	header_fill(&header);
	assert_int_equal(map(&header, 0), -EBADMSG);
	assert_int_equal(map(&header, F_SEAL_GROW), -EBADMSG);
}

/* One bad field per case: where, how wide, what it becomes. */
static const struct {
	size_t off, len;
	uint64_t value;
	int err;
} bad[] = {
/* clang-format off */
#define BAD(field, val, error) { offsetof(struct sc_channel, field), sizeof(((struct sc_channel *)0)->field), val, error }
	BAD(magic, 0, -EPROTO), BAD(magic, 0x12345678, -EPROTO), BAD(version, 0, -EPROTO), BAD(version, SC_ABI_VERSION + 1, -EPROTO),
	BAD(lane_cnt, 0, -EBADMSG), BAD(lane_cnt, SC_LANES_MAX + 1, -EBADMSG), BAD(lane_cnt, 65535, -EBADMSG),
	BAD(lane_cnt, 2, -EBADMSG), BAD(header_len, 0, -EBADMSG), BAD(header_len, 64, -EBADMSG),
	BAD(features, 4, -EBADMSG), BAD(features, 1U << 31, -EBADMSG),
	BAD(channel_len, 0, -EBADMSG), BAD(channel_len, LEN + 4096, -EBADMSG), BAD(channel_len, UINT64_MAX, -EBADMSG),
	BAD(arena_off, 0, -EBADMSG), BAD(arena_off, LEN + 4096, -EBADMSG), BAD(arena_off, 4097, -EBADMSG),
	BAD(arena_len, LEN, -EBADMSG), BAD(arena_len, UINT64_MAX, -EBADMSG), BAD(conn_cnt, 0, -EBADMSG),
	BAD(conn_cnt, SC_CONNS_MAX + 1, -EBADMSG), BAD(lane[0].sqes_off, 0, -EBADMSG),
	BAD(lane[0].sqes_off, 8200, -EBADMSG), BAD(lane[0].sqes_off, LEN - 64, -EBADMSG),
	BAD(lane[0].sqes_off, UINT64_MAX - 63, -EBADMSG), BAD(lane[0].buf_ring_off, 16400, -EBADMSG),
	BAD(lane[0].buf_ring_off, LEN, -EBADMSG), BAD(lane[0].bufs_off, LEN - 4096, -EBADMSG),
	BAD(lane[0].sq_head_off, 4097, -EBADMSG), BAD(lane[0].sq_head_off, LEN, -EBADMSG),
	BAD(lane[0].sq_tail_off, LEN, -EBADMSG), BAD(lane[0].sq_tail_off, 0, -EBADMSG),
	BAD(lane[0].sq_flags_off, LEN - 2, -EBADMSG), BAD(lane[0].cq_head_off, UINT64_MAX - 3, -EBADMSG),
	BAD(lane[0].cq_tail_off, LEN, -EBADMSG), BAD(lane[0].cq_flags_off, LEN, -EBADMSG),
	BAD(lane[0].cqes_off, LEN - 16, -EBADMSG), BAD(lane[0].cqes_off, 4161, -EBADMSG),
	BAD(lane[0].sq_entries, 0, -EBADMSG), BAD(lane[0].sq_entries, 63, -EBADMSG),
	BAD(lane[0].sq_entries, 2 * SC_SQ_ENTRIES_MAX, -EBADMSG), BAD(lane[0].cq_entries, 0, -EBADMSG),
	BAD(lane[0].cq_entries, 3, -EBADMSG), BAD(lane[0].cq_entries, 1U << 31, -EBADMSG),
	BAD(lane[0].buf_cnt, 0, -EBADMSG), BAD(lane[0].buf_cnt, 15, -EBADMSG), BAD(lane[0].buf_cnt, 1U << 31, -EBADMSG),
	BAD(lane[0].buf_len, 0, -EBADMSG), BAD(lane[0].buf_len, 4097, -EBADMSG), BAD(lane[0].buf_len, 128, -EBADMSG),
	BAD(lane[0].buf_len, 1U << 31, -EBADMSG),
	/* clang-format on */
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct sc_channel header;
		int err;

		header_fill(&header);
		memcpy((char *)&header + bad[i].off, &bad[i].value, bad[i].len); /* little-endian */
		err = map(&header, F_SEAL_SHRINK | F_SEAL_GROW);
		if (err != bad[i].err)
			fail_msg("case %zu, field at %zu: %d, not %d", i, bad[i].off, err, bad[i].err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_unsealed),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
// Lays a channel out: header, lanes, arena.
#include "layout.h"

#include <errno.h>

enum {
	SQE_LEN = 64,
	CQE_LEN = 16,
	BUF_RING_ENTRY_LEN = 16,
	RINGS_HEAD_LEN = 4096, // struct io_rings before its CQEs: under 512 bytes in every kernel so far
};

static __u64 round_up(__u64 len, __u64 page)
{
	return (len + page - 1) / page * page;
}

// A receive, a send and an end per connection, each buffer once, and what the app has in its submission queue: a
// well-behaved app never overflows. Beyond SC_CQ_ENTRIES_MAX the kernel keeps the surplus (SC_CTL_KICK).
static __u32 cq_entries(const struct sc_wish *wish)
{
	__u32 need = wish->buf_cnt + 3 * wish->conn_cnt + wish->sq_entries, entries = 1;

	while (entries < need && entries < SC_CQ_ENTRIES_MAX)
		entries *= 2;
	return entries;
}

int sc_layout_init(const struct sc_wish *wish, __u64 page, struct sc_layout *ret_layout)
{
	struct sc_layout layout = { .cq_entries = cq_entries(wish), .arena_len = round_up(wish->arena_len, page) };
	__u64 end = 0;

	layout.ring_off = end;
	end += round_up(RINGS_HEAD_LEN + (__u64)layout.cq_entries * CQE_LEN, page);
	layout.sqes_off = end;
	end += round_up((__u64)wish->sq_entries * SQE_LEN, page);
	layout.buf_ring_off = end;
	end += round_up((__u64)wish->buf_cnt * BUF_RING_ENTRY_LEN, page);
	layout.bufs_off = end;
	end += round_up((__u64)wish->buf_cnt * wish->buf_len, page);

	layout.lane_len = end;
	layout.lanes_off = round_up(sizeof(struct sc_channel), page);
	layout.arena_off = layout.lanes_off + wish->lane_cnt * layout.lane_len;
	layout.channel_len = layout.arena_off + layout.arena_len;
	if (layout.channel_len > SC_CHANNEL_LEN_MAX)
		return -EINVAL;
	*ret_layout = layout;
	return 0;
}

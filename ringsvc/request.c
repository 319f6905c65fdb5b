// SPDX-License-Identifier: MIT
// Checks control messages of apps, which may hold anything.
#include "request.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
	CONNS_DEFAULT = 4096,
	BUFS_DEFAULT = 1024,
	BUF_LEN_DEFAULT = 4096,
	SQ_ENTRIES_DEFAULT = 1024,
	ARENA_LEN_DEFAULT = 16 << 20,
};

// What a message of this type may carry, all else zero.
static struct sc_ctl_msg used_fields(const struct sc_ctl_msg *msg)
{
	struct sc_ctl_msg used = { .magic = msg->magic, .version = msg->version, .type = msg->type };

	switch (msg->type) {
	case SC_CTL_HELLO:
		used.lane_cnt = msg->lane_cnt;
		used.conn_cnt = msg->conn_cnt;
		used.buf_cnt = msg->buf_cnt;
		used.buf_len = msg->buf_len;
		used.sq_entries = msg->sq_entries;
		used.flags = msg->flags;
		used.mem_len = msg->mem_len;
		break;
	case SC_CTL_FILE_ADD:
		used.lane = msg->lane;
		used.slot = msg->slot;
		break;
	case SC_CTL_KICK:
		used.lane = msg->lane;
		break;
	case SC_CTL_SEGMENT_ADD:
		used.slot = msg->slot;
		used.mem_len = msg->mem_len;
		break;
	case SC_CTL_SEGMENT_DEL:
	case SC_CTL_FILE_TAKE:
		used.slot = msg->slot;
		break;
	}
	return used;
}

int sc_request_check(const struct sc_ctl_msg *msg, unsigned int fd_cnt, enum sc_refusal *ret_reason)
{
	struct sc_ctl_msg used = used_fields(msg);

	*ret_reason = SC_REFUSED_MALFORMED;
	if (msg->magic != SC_CTL_MAGIC)
		return -EBADMSG;
	if (msg->version != SC_ABI_VERSION) {
		*ret_reason = SC_REFUSED_VERSION;
		return -EPROTO;
	}
	if (msg->type < SC_CTL_HELLO || msg->type > SC_CTL_FILE_TAKE)
		return -EBADMSG;
	if (memcmp(msg, &used, sizeof(used)) || fd_cnt != (msg->type == SC_CTL_FILE_ADD))
		return -EBADMSG;
	*ret_reason = SC_REFUSED_NONE;
	return 0;
}

static bool is_power_of_two(__u32 value)
{
	return value && !(value & (value - 1));
}

static bool within(__u32 value, __u32 min, __u32 max)
{
	return value >= min && value <= max;
}

int sc_request_wish(const struct sc_ctl_msg *hello, unsigned int lane_max, struct sc_wish *ret_wish)
{
	struct sc_wish wish = {
		.lane_cnt = hello->lane_cnt ?: lane_max,
		.conn_cnt = hello->conn_cnt ?: CONNS_DEFAULT,
		.buf_cnt = hello->buf_cnt ?: BUFS_DEFAULT,
		.buf_len = hello->buf_len ?: BUF_LEN_DEFAULT,
		.sq_entries = hello->sq_entries ?: SQ_ENTRIES_DEFAULT,
		.arena_len = hello->mem_len ?: ARENA_LEN_DEFAULT,
		.threads = hello->flags & SC_HELLO_THREADS,
	};

	if (hello->flags & ~(__u32)SC_HELLO_FLAGS_KNOWN || wish.lane_cnt > SC_LANES_MAX ||
	    wish.conn_cnt > SC_CONNS_MAX || wish.arena_len > SC_ARENA_LEN_MAX)
		return -EINVAL;
	if (!is_power_of_two(wish.buf_cnt) || wish.buf_cnt > SC_BUFS_MAX)
		return -EINVAL;
	if (!is_power_of_two(wish.buf_len) || !within(wish.buf_len, SC_BUF_LEN_MIN, SC_BUF_LEN_MAX))
		return -EINVAL;
	if (!is_power_of_two(wish.sq_entries) || !within(wish.sq_entries, SC_SQ_ENTRIES_MIN, SC_SQ_ENTRIES_MAX))
		return -EINVAL;
	if (wish.lane_cnt > lane_max && !wish.threads)
		wish.lane_cnt = lane_max;
	*ret_wish = wish;
	return 0;
}

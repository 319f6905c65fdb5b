/* SPDX-License-Identifier: MIT */
/* Every field that crosses a process or language border, for whoever compares layouts: FIELD(struct, field). */
/* clang-format off */
#define ABI_STRUCTS(X)                                                                                               \
	X(sc_lane) X(sc_channel) X(sc_ctl_msg) X(sc_steering) X(sc_constants) X(sc_service_key) X(sc_service) X(sc_service_count) \
	X(sc_sampling) X(sc_sample) X(sc_syn) X(sc_flood) X(sc_rate) X(sc_limit_row) X(sc_buckets) X(sc_source)

#define ABI_FIELDS(X)                                                                                                \
	X(sc_lane, sqes_off) X(sc_lane, buf_ring_off) X(sc_lane, bufs_off) X(sc_lane, sq_head_off)                   \
	X(sc_lane, sq_tail_off) X(sc_lane, sq_flags_off) X(sc_lane, cq_head_off) X(sc_lane, cq_tail_off)             \
	X(sc_lane, cq_flags_off) X(sc_lane, cqes_off) X(sc_lane, sq_entries) X(sc_lane, cq_entries)                  \
	X(sc_lane, buf_cnt) X(sc_lane, buf_len) X(sc_lane, cpu) X(sc_lane, ring) X(sc_lane, pad)                                      \
	X(sc_channel, magic) X(sc_channel, version) X(sc_channel, lane_cnt) X(sc_channel, header_len)                \
	X(sc_channel, features) X(sc_channel, channel_len) X(sc_channel, base) X(sc_channel, arena_off)              \
	X(sc_channel, arena_len) X(sc_channel, conn_cnt) X(sc_channel, pad) X(sc_channel, lane)                      \
	X(sc_ctl_msg, magic) X(sc_ctl_msg, version) X(sc_ctl_msg, type) X(sc_ctl_msg, status)                        \
	X(sc_ctl_msg, reason) X(sc_ctl_msg, lane) X(sc_ctl_msg, slot) X(sc_ctl_msg, lane_cnt)                        \
	X(sc_ctl_msg, conn_cnt) X(sc_ctl_msg, buf_cnt) X(sc_ctl_msg, buf_len) X(sc_ctl_msg, sq_entries)              \
	X(sc_ctl_msg, flags) X(sc_ctl_msg, mem_len) X(sc_ctl_msg, mem_base)                                             \
	X(sc_steering, schema) X(sc_steering, seed) X(sc_steering, list_set) X(sc_steering, cpus)                     \
	X(sc_constants, modules)                                                                                     \
	X(sc_service_key, family) X(sc_service_key, protocol) X(sc_service_key, port) X(sc_service_key, addr)        \
	X(sc_service, row)                                                                                           \
	X(sc_service_count, local) X(sc_service_count, steered) X(sc_service_count, arrived)                         \
	X(sc_service_count, arrived_bytes) X(sc_service_count, local_bytes) X(sc_service_count, opened)            \
	X(sc_service_count, closed)                                                                           \
	X(sc_sampling, until_ns) X(sc_sampling, lost) X(sc_sampling, below) X(sc_sampling, pad)                                               \
	X(sc_sample, time_ns) X(sc_sample, cpu) X(sc_sample, len) X(sc_sample, reason) X(sc_sample, verdict)         \
	X(sc_sample, family) X(sc_sample, protocol) X(sc_sample, tcp_flags) X(sc_sample, pad) X(sc_sample, from_port) \
	X(sc_sample, to_port) X(sc_sample, from_addr) X(sc_sample, to_addr) X(sc_sample, pad_end)                     \
	X(sc_syn, rate) X(sc_syn, mss_max) X(sc_syn, mac) X(sc_syn, flags)                                           \
	X(sc_flood, window_ns) X(sc_flood, until_ns) X(sc_flood, syns) X(sc_flood, on)                      \
	X(sc_rate, interval) X(sc_rate, room) X(sc_rate, cnt) X(sc_rate, period_s) X(sc_rate, burst) X(sc_rate, pad)                 \
	X(sc_limit_row, kinds) X(sc_limit_row, pad) X(sc_limit_row, rates) X(sc_buckets, full_at) X(sc_buckets, pad)                                         \
	X(sc_source, row) X(sc_source, kind) X(sc_source, family) X(sc_source, addr)
/* clang-format on */

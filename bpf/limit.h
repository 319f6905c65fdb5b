/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Rate limits: token buckets per source and per service, exact also where several CPUs draw from one. */
#ifndef SC_BPF_LIMIT_H
#define SC_BPF_LIMIT_H

#include "flow.h"

enum {
	CAS_TRIES_MAX = 8, /* that a packet loses against other CPUs; then it is dropped, and the limit kept */
	EEXIST = 17,
};

static __always_inline bool is_syn(const struct flow *flow)
{
	return (flow->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline __u64 clock_units(void)
{
	return bpf_ktime_get_ns() * SC_RATE_UNITS_PER_NS;
}

/* When the bucket is full again after one more packet; 0: there is no room for one. */
static __always_inline __u64 bucket_next(__u64 full_at, const struct sc_rate *rate, __u64 now)
{
	__u64 next = ((__s64)(full_at - now) > 0 ? full_at : now) + rate->interval;

	return next - now > rate->room ? 0 : next;
}

/* A bucket that this CPU has to itself. */
static __always_inline bool take_own(__u64 *full_at, const struct sc_rate *rate, __u64 now)
{
	__u64 next = bucket_next(*full_at, rate, now);

	if (next)
		*full_at = next;
	return next;
}

/*
 * A bucket that other CPUs draw from at the same time. Only packets that pass write, so the limit itself bounds how often the
 * line moves between them. One word, and nothing else is ordered by it.
 */
static __always_inline bool take_shared(__u64 *full_at, const struct sc_rate *rate, __u64 now)
{
	__u64 seen = *(volatile __u64 *)full_at, next, was;
	int i;

	for (i = 0; i < CAS_TRIES_MAX; i++) {
		next = bucket_next(seen, rate, now);
		if (!next)
			return false;
		was = __sync_val_compare_and_swap(full_at, seen, next);
		if (was == seen)
			return true;
		seen = was;
	}
	return false;
}

static __always_inline bool take_from_source(const struct flow *flow, __u32 row, __u32 kind, const struct sc_rate *rate,
					     __u64 now, bool shared)
{
	struct sc_source source = { .row = row, .kind = kind, .family = flow->to.family };
	__u64 *full_at, first = now + rate->interval;
	__u32 zero = 0;
	void *table;

	source.addr[0] = flow->from_addr[0];
	source.addr[1] = flow->to.family == SC_STEER_IPV6 ? flow->from_addr[1] : 0;
	table = bpf_map_lookup_elem(&sources, &zero);
	if (!table)
		return true;
	full_at = bpf_map_lookup_elem(table, &source);
	/* A bucket that is new is full; if another CPU was quicker to make it, it is as any. */
	if (!full_at && bpf_map_update_elem(table, &source, &first, BPF_NOEXIST) == -EEXIST)
		full_at = bpf_map_lookup_elem(table, &source);
	if (!full_at)
		return true;
	return shared ? take_shared(full_at, rate, now) : take_own(full_at, rate, now);
}

static __always_inline bool take_from_total(__u32 row, __u32 kind, const struct sc_rate *rate, __u64 now)
{
	struct sc_buckets *both = bpf_map_lookup_elem(&buckets, &row);

	return !both || take_shared(&both->full_at[!!(kind & SC_LIMIT_SYN)], rate, now);
}

/* The limits of one row: 0, or SC_REASON_OVER_SOURCE, SC_REASON_OVER_TOTAL. */
static __always_inline int row_reason(const struct flow *flow, __u32 row, __u64 now, bool shared)
{
	struct sc_limit_row *limit = bpf_map_lookup_elem(&limits, &row);
	__u32 kind;

	if (!limit || !limit->kinds)
		return 0;
#pragma unroll
	for (kind = 0; kind < SC_LIMIT_KINDS; kind++) {
		if (!(limit->kinds & 1U << kind) || (kind & SC_LIMIT_SYN && !is_syn(flow)))
			continue;
		if (kind & SC_LIMIT_TOTAL_BIT) {
			if (!take_from_total(row, kind, &limit->rates[kind], now))
				return SC_REASON_OVER_TOTAL;
		} else if (!take_from_source(flow, row, kind, &limit->rates[kind], now, shared)) {
			return SC_REASON_OVER_SOURCE;
		}
	}
	return 0;
}

/* shared: another CPU may have packets of this source at the same time. */
static __noinline int limit_reason(const struct flow *flow, __u32 row, bool shared)
{
	__u64 now = clock_units();

	return row_reason(flow, row, now, shared) ?: row_reason(flow, SC_LIMIT_ALL, now, shared);
}

static __always_inline bool row_is_by_source(__u32 row)
{
	struct sc_limit_row *limit = bpf_map_lookup_elem(&limits, &row);

	return limit && limit->kinds & (1U << SC_LIMIT_SOURCE | 1U << SC_LIMIT_SOURCE_SYN);
}

static __always_inline __u32 limit_slot(const struct flow *flow, __u32 row, __u32 seed)
{
	return row_is_by_source(row) || row_is_by_source(SC_LIMIT_ALL) ? source_slot(flow, seed) :
									 flow_slot(flow, seed);
}

#endif

/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Shows one packet in so many, with what became of it. */
#ifndef SC_BPF_SAMPLE_H
#define SC_BPF_SAMPLE_H

#include "flow.h"

static __always_inline void sample(struct xdp_md *ctx, const struct flow *flow, int verdict)
{
	struct sc_sampling *setting;
	struct sc_sample *sample;
	__u32 key = 0;
	__u64 now_ns;

	setting = bpf_map_lookup_elem(&sampling, &key);
	if (!setting || bpf_get_prandom_u32() > setting->below)
		return;
	now_ns = bpf_ktime_get_ns();
	if (now_ns > setting->until_ns)
		return;
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample) {
		/* Shared by all CPUs, as the ring's lock is that was just taken. */
		__sync_fetch_and_add(&setting->lost, 1);
		return;
	}
	__builtin_memset(sample, 0, sizeof(*sample));
	sample->time_ns = now_ns;
	sample->cpu = bpf_get_smp_processor_id();
	sample->len = bpf_xdp_get_buff_len(ctx);
	sample->reason = flow->reason;
	sample->verdict = verdict;
	sample->family = flow->to.family;
	sample->protocol = flow->to.protocol;
	sample->tcp_flags = flow->tcp_flags;
	sample->from_port = flow->from_port;
	sample->to_port = flow->to.port;
	__builtin_memcpy(sample->from_addr, flow->from_addr, sizeof(sample->from_addr));
	__builtin_memcpy(sample->to_addr, flow->to.addr, sizeof(sample->to_addr));
	bpf_ringbuf_submit(sample, 0);
}

#endif

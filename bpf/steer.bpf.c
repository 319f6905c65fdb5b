// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
// Sends packets of services to the dedicated CPU of their flow, and counts them where they arrive. Drops what modules refuse.
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <sidecore/steer.h>

#include "cookie.h"
#include "limit.h"
#include "lists.h"
#include "parse.h"
#include "sample.h"
#include "stats.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline int to_cpu(struct xdp_md *ctx, struct flow *flow, __u32 cpu, struct sc_service_count *service)
{
	int verdict;

	if (cpu == SC_STEER_NO_CPU)
		return pass(flow, SC_REASON_NO_CPU);
	if (cpu == bpf_get_smp_processor_id()) {
		/* A trip through the CPU map to where we are would only add a context switch. */
		service->local++;
		service->local_bytes += bpf_xdp_get_buff_len(ctx);
		account(service, flow);
		return pass(flow, SC_REASON_LOCAL);
	}
	verdict = bpf_redirect_map(&cpus, cpu, XDP_PASS);
	if (verdict != XDP_REDIRECT)
		return pass(flow, SC_REASON_NO_ENTRY);
	service->steered++;
	flow->reason = SC_REASON_STEERED;
	return verdict;
}

/* The word is asked for anew: kept from before it would multiply the states that the verifier has to look at. */
static __always_inline bool to_socket(struct xdp_md *ctx, const struct flow *flow)
{
	return flow_port_word(flow) & SC_PORT_SOCKET &&
	       bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS) == XDP_REDIRECT;
}

/* What is found before a packet is steered; drops of other reasons come later. */
static __always_inline bool is_drop(int reason)
{
	return reason >= SC_REASON_DENIED;
}

/* What the modules make of a reason of the parser. A packet that is not to be dropped is one that is steered. */
static __always_inline int screen(const struct flow *flow, __u32 list_set, __u32 word, int reason)
{
	if (constants.modules & SC_MODULE_OPTIONS && !is_drop(reason) && flow->is_martian)
		reason = SC_REASON_REFUSED_OPTION;
	if (constants.modules & SC_MODULE_FRAGMENTS && reason == SC_REASON_FRAGMENT)
		reason = SC_REASON_REFUSED_FRAGMENT;
	if (constants.modules & (SC_MODULE_HOSTS | SC_MODULE_LISTS) && flow->to.family && !is_drop(reason) &&
	    list_denies(flow, list_set))
		reason = SC_REASON_DENIED;
	return is_drop(reason) && word & SC_PORT_NEVER_DROP ? 0 : reason;
}

/*
 * The CPU that is to have the packet, after the limits that are taken here: in native mode a packet that goes on to another
 * CPU meets them there. ret_reason: 0, or why it is dropped.
 */
static __always_inline __u32 limited_cpu(const struct flow *flow, const struct sc_steering *table, __u32 service,
					 __u32 word, bool native, int *ret_reason)
{
	__u32 cpu = table->cpus[limit_slot(flow, service, table->seed)];
	bool stays = cpu == bpf_get_smp_processor_id();

	if (!(word & SC_PORT_NEVER_DROP) && (!native || stays || cpu == SC_STEER_NO_CPU))
		*ret_reason = limit_reason(flow, service, !(native && stays));
	return cpu;
}

/* native: false in skb mode, in which all verdicts are taken here. */
static __always_inline int decide(struct xdp_md *ctx, struct flow *flow, bool native)
{
	struct sc_service_count *service_row;
	struct sc_steering *table;
	__u32 key = 0, word, cpu;
	int reason, service, verdict;

	table = bpf_map_lookup_elem(&steering, &key);
	if (!table)
		return pass(flow, SC_REASON_NO_SERVICE);
	reason = parse_flow(ctx, flow, constants.modules & SC_MODULES_PARSER);
	word = flow->to.port ? flow_port_word(flow) : 0;
	if (constants.modules) {
		reason = screen(flow, table->list_set, word, reason);
		if (is_drop(reason))
			return drop(flow, reason);
	}
	if (reason)
		return pass(flow, reason);
	service = flow_service(flow, word);
	if (service < 0)
		return pass(flow, SC_REASON_NO_SERVICE);
	if (constants.modules & SC_MODULE_SOCKETS && to_socket(ctx, flow)) {
		flow->reason = SC_REASON_SOCKET;
		return XDP_REDIRECT;
	}
	if (constants.modules & SC_MODULE_COOKIES && flow->to.protocol == PROTO_TCP && !(word & SC_PORT_NEVER_DROP)) {
		verdict = cookie_act(ctx, flow);
		if (verdict != XDP_PASS)
			return verdict;
	}
	service_row = service_count(service);
	if (!service_row)
		return pass(flow, SC_REASON_NO_SERVICE);
	if (constants.modules & SC_MODULE_LIMITS)
		cpu = limited_cpu(flow, table, service, word, native, &reason);
	else
		cpu = table->cpus[flow_slot(flow, table->seed)];
	return reason ? drop(flow, reason) : to_cpu(ctx, flow, cpu, service_row);
}

static __always_inline int take_over(struct xdp_md *ctx, struct flow *flow, bool native)
{
	struct sc_service_count *service_row;
	int service, reason;
	__u32 word;

	if (parse_flow(ctx, flow, 0))
		return pass(flow, SC_REASON_STRAYED);
	word = flow_port_word(flow);
	service = flow_service(flow, word);
	if (service < 0)
		return pass(flow, SC_REASON_STRAYED);
	service_row = service_count(service);
	if (service_row) {
		service_row->arrived++;
		service_row->arrived_bytes += bpf_xdp_get_buff_len(ctx);
	}
	if (native && constants.modules & SC_MODULE_LIMITS && !(word & SC_PORT_NEVER_DROP)) {
		reason = limit_reason(flow, service, false);
		if (reason)
			return drop(flow, reason + SC_REASON_LATE_OVER_SOURCE - SC_REASON_OVER_SOURCE);
	}
	if (service_row)
		account(service_row, flow);
	return pass(flow, SC_REASON_ARRIVED);
}

static __always_inline int finish(struct xdp_md *ctx, const struct flow *flow, int verdict)
{
	count(flow->reason);
	if (constants.modules & SC_MODULE_SAMPLES)
		sample(ctx, flow, verdict);
	return verdict;
}

/* On the receiving CPU, bound to the device. */
SEC("xdp.frags")
int steer(struct xdp_md *ctx)
{
	struct flow flow = {};

	return finish(ctx, &flow, decide(ctx, &flow, true));
}

/* On the dedicated CPU, bound to its entry in the CPU map; the packet is not an skb yet. */
SEC("xdp.frags/cpumap")
int on_cpu(struct xdp_md *ctx)
{
	struct flow flow = {};

	return finish(ctx, &flow, take_over(ctx, &flow, true));
}

/*
 * The same for skb mode. There the kernel (6.18) copies packets for a program that takes frags, forgets mac_len, and the
 * CPU map then gives the stack packets with the Ethernet header still on. Without frags it makes them linear in place.
 */
SEC("xdp")
int steer_skb(struct xdp_md *ctx)
{
	struct flow flow = {};

	return finish(ctx, &flow, decide(ctx, &flow, false));
}

SEC("xdp/cpumap")
int on_cpu_skb(struct xdp_md *ctx)
{
	struct flow flow = {};

	return finish(ctx, &flow, take_over(ctx, &flow, false));
}

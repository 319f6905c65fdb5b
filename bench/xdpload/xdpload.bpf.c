// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
// A closed-loop HTTP client in XDP: acknowledges the server and answers each complete response with the next request.
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include "hist.h"
#include "wire.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct xdpload_config config;
struct xdpload_peer peer;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* user space sets the number of connections before load */
	__type(key, __u32);
	__type(value, struct xdpload_conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdpload_stats);
} stats SEC(".maps");

enum {
	/* Of a long response. A receiver with GRO acknowledges less often, but four segments may be all that the server's
	 * congestion window lets out. */
	ACK_EVERY = 4,
	QUICK_ACKS = 16, /* one by one: at the start and after a loss, when that window may be smaller still */
	SACK_LEN = 12,
};

enum verdict {
	VERDICT_DROP,
	VERDICT_ACK,
	VERDICT_NEXT, /* the first request, or the one after a complete response */
	VERDICT_LAST, /* the acknowledgement of a complete response after which none is asked for */
	VERDICT_AGAIN, /* the outstanding request once more */
	VERDICT_RESET,
};

struct segment {
	const __u8 *payload;
	const __u8 *end;
	__u32 seq;
	__u32 ack;
	__u16 len;
	__u8 flags;
};

struct reply {
	struct wire_segment segment;
	__be32 sack[SACK_LEN / 4]; /* sent if segment.options_len says so */
};

/* The index of the connection this packet belongs to, or -1 for what the stack shall have. */
static __always_inline int parse(struct xdp_md *ctx, struct segment *s)
{
	const __u8 *data = (const __u8 *)(long)ctx->data;
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	const struct wire *w = (const void *)data;
	__u32 idx, headers;

	if (data + sizeof(*w) > end)
		return -1;
	if (w->ethertype != bpf_htons(WIRE_IPV4) || w->version_ihl != 0x45 || w->protocol != WIRE_TCP)
		return -1;
	if (w->fragment & bpf_htons(0x3fff))
		return -1;
	if (w->src_ip != config.target_ip || w->src_port != config.target_port || w->dst_ip != config.local_ip)
		return -1;

	idx = (__u32)bpf_ntohs(w->dst_port) - config.port_base;
	if (idx >= config.conns_cnt) {
		if (!peer.learnt) {
			__builtin_memcpy(peer.local_mac, w->dst_mac, sizeof(peer.local_mac));
			__builtin_memcpy(peer.target_mac, w->src_mac, sizeof(peer.target_mac));
			peer.learnt = 1;
		}
		return -1;
	}

	headers = WIRE_IP_LEN + ((w->data_offset >> 4) << 2);
	s->seq = bpf_ntohl(w->seq);
	s->ack = bpf_ntohl(w->ack);
	s->flags = w->flags;
	s->len = bpf_ntohs(w->ip_len) - headers;
	if (bpf_ntohs(w->ip_len) < headers)
		return -1;
	s->payload = data + WIRE_ETH_LEN + headers;
	s->end = end;
	return (int)idx;
}

/* Compares as much of the status line as this segment holds; a server may send it in pieces. */
static __always_inline bool status_ok(const struct segment *s, __u32 received)
{
	for (__u32 i = 0; i < XDPLOAD_PREFIX_LEN; i++) {
		__u32 off = (i - received) & 15;

		if (i < received)
			continue;
		if (off >= s->len)
			break;
		if (s->payload + off + 1 > s->end || s->payload[off] != config.prefix[i])
			return false;
	}
	return true;
}

static __always_inline enum verdict lose(struct xdpload_conn *c, enum xdpload_state state, __u64 *counter)
{
	c->state = state;
	(*counter)++;
	return VERDICT_RESET;
}

static __always_inline enum verdict receive(struct xdpload_conn *c, const struct segment *s, __u64 *counter)
{
	__u32 len;

	if (c->state == XDPLOAD_STATE_IDLE)
		return lose(c, XDPLOAD_STATE_BROKEN, &counter[XDPLOAD_BAD_LENGTH]);
	if (c->received < XDPLOAD_PREFIX_LEN && !status_ok(s, c->received))
		return lose(c, XDPLOAD_STATE_BROKEN, &counter[XDPLOAD_BAD_STATUS]);
	len = s->len;
	if (c->hole_end != c->ahead_end && (__s32)(s->seq + len - c->hole_end) >= 0) {
		if ((__s32)(c->ahead_end - s->seq - len) > 0)
			len = c->ahead_end - s->seq;
		c->hole_end = c->ahead_end;
	}
	c->rcv_nxt += len;
	c->received += len;
	counter[XDPLOAD_BYTES] += len;
	if (c->received > config.response_len)
		return lose(c, XDPLOAD_STATE_BROKEN, &counter[XDPLOAD_BAD_LENGTH]);
	if (c->received == config.response_len) {
		c->received = 0;
		counter[XDPLOAD_RESPONSES]++;
		if (!config.stop)
			return VERDICT_NEXT;
		c->state = XDPLOAD_STATE_IDLE;
		return VERDICT_LAST;
	}
	/* A push ends a write of the server, and there is no timer here to acknowledge it later: without this the server's
	 * Nagle algorithm and we would wait for each other. */
	c->unacked++;
	if (s->flags & WIRE_TCP_PSH || c->unacked >= ACK_EVERY)
		return VERDICT_ACK;
	if (!c->quick)
		return VERDICT_DROP;
	c->quick--;
	return VERDICT_ACK;
}

/* Keeps one run of segments behind a hole: none of their bytes is needed, only that they came. */
static __always_inline void keep_ahead(struct xdpload_conn *c, const struct segment *s)
{
	__u32 end = s->seq + s->len;

	if (c->hole_end == c->ahead_end) {
		c->hole_end = s->seq;
		c->ahead_end = end;
	} else if (s->seq == c->ahead_end) {
		c->ahead_end = end;
	} else if (end == c->hole_end) {
		c->hole_end = s->seq;
	}
}

static __always_inline enum verdict established(struct xdpload_conn *c, const struct segment *s, __u64 *counter)
{
	bool fin = s->flags & WIRE_TCP_FIN;
	enum verdict verdict;

	/* A SYN-ACK once more: our first request, which carried the ACK, did not arrive. */
	if (s->flags & WIRE_TCP_SYN) {
		counter[XDPLOAD_RETRANSMITS]++;
		return c->snd_una != c->snd_nxt ? VERDICT_AGAIN : VERDICT_ACK;
	}
	if (s->flags & WIRE_TCP_ACK && s->ack - c->snd_una <= c->snd_nxt - c->snd_una)
		c->snd_una = s->ack;
	if ((__s32)(s->seq - c->rcv_nxt) > 0) {
		counter[XDPLOAD_OUT_OF_ORDER]++;
		c->quick = QUICK_ACKS;
		if (c->received + (s->seq - c->rcv_nxt) + s->len <= config.response_len)
			keep_ahead(c, s);
		return VERDICT_ACK;
	}
	if (s->seq != c->rcv_nxt) {
		if (!s->len && !fin)
			return VERDICT_ACK; /* a keep-alive probe */
		/* Sent again because our ACK was lost, and with it the request that carried it. */
		counter[XDPLOAD_RETRANSMITS]++;
		c->quick = QUICK_ACKS;
		return c->snd_una != c->snd_nxt ? VERDICT_AGAIN : VERDICT_ACK;
	}

	verdict = s->len ? receive(c, s, counter) : VERDICT_DROP;
	if (!fin || verdict == VERDICT_RESET)
		return verdict;
	return lose(c, XDPLOAD_STATE_CLOSED, &counter[XDPLOAD_CLOSED]);
}

static __always_inline bool reset_valid(const struct xdpload_conn *c, const struct segment *s)
{
	return c->state == XDPLOAD_STATE_SYN_SENT ? s->ack == c->snd_nxt : s->seq - c->rcv_nxt < XDPLOAD_WINDOW;
}

/* Moves the connection on. */
static __always_inline enum verdict advance(struct xdpload_conn *c, const struct segment *s, __u64 *counter)
{
	switch (c->state) {
	case XDPLOAD_STATE_SYN_SENT:
	case XDPLOAD_STATE_OPEN:
	case XDPLOAD_STATE_IDLE:
		break;
	case XDPLOAD_STATE_CLOSED:
	case XDPLOAD_STATE_BROKEN:
		return s->flags & WIRE_TCP_RST ? VERDICT_DROP : VERDICT_RESET;
	default:
		counter[XDPLOAD_UNEXPECTED]++;
		return VERDICT_DROP;
	}
	if (s->flags & WIRE_TCP_RST) {
		if (reset_valid(c, s)) {
			c->state = XDPLOAD_STATE_RESET;
			counter[XDPLOAD_RESETS]++;
		}
		return VERDICT_DROP;
	}
	if (c->state != XDPLOAD_STATE_SYN_SENT)
		return established(c, s, counter);
	if (s->ack != c->snd_nxt || !(s->flags & WIRE_TCP_SYN)) {
		/* The server still knows an earlier connection of this port: end that one, the SYN will be sent again. */
		counter[XDPLOAD_UNEXPECTED]++;
		return VERDICT_RESET;
	}
	c->rcv_nxt = s->seq + 1;
	c->snd_una = s->ack;
	c->quick = QUICK_ACKS;
	c->state = XDPLOAD_STATE_OPEN;
	return VERDICT_NEXT;
}

/* Decides what to answer, with which numbers. */
static __always_inline enum verdict decide(struct xdpload_conn *c, const struct segment *s, struct reply *reply,
					   __u64 *counter)
{
	struct wire_segment *r = &reply->segment;
	enum verdict verdict;

	r->flags = WIRE_TCP_ACK;
	verdict = advance(c, s, counter);
	r->seq = c->snd_nxt;
	r->ack = c->rcv_nxt;
	switch (verdict) {
	case VERDICT_NEXT:
		c->snd_nxt += config.request_len;
		break;
	case VERDICT_AGAIN:
		r->seq -= config.request_len;
		break;
	case VERDICT_RESET:
		r->flags |= WIRE_TCP_RST;
		r->seq = c->state == XDPLOAD_STATE_SYN_SENT ? s->ack : c->snd_nxt;
		break;
	case VERDICT_ACK:
		if (c->hole_end == c->ahead_end)
			break;
		r->options_len = SACK_LEN;
		reply->sack[0] = bpf_htonl(0x0101050a); /* two no-operations, SACK of one block */
		reply->sack[1] = bpf_htonl(c->hole_end);
		reply->sack[2] = bpf_htonl(c->ahead_end);
		break;
	default:
		break;
	}
	if (verdict != VERDICT_DROP)
		c->unacked = 0;
	return verdict;
}

/* Turns the received packet into the reply; XDP_ABORTED if it does not fit. Back out by redirect, not by XDP_TX: that one
 * wakes a veth peer only if it has an XDP program (veth_xdp_flush, 6.18), where GRO is enough for a redirect. */
static __always_inline int transmit(struct xdp_md *ctx, struct reply *reply)
{
	const struct wire_segment *r = &reply->segment;
	int have = (int)(ctx->data_end - ctx->data);
	int want = (int)sizeof(struct wire) + r->body_len;
	__u32 body_len = r->body_len;
	struct wire *w;

	/* Grow at the head: a small veth packet has no room behind it, but always 256 bytes before. */
	if (have > want ? bpf_xdp_adjust_tail(ctx, want - have) : bpf_xdp_adjust_head(ctx, have - want))
		return XDP_ABORTED;
	w = (void *)(long)ctx->data;
	if ((void *)(w + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	sc_wire_fill(w, &config, r);
	barrier_var(body_len); /* or the compiler drops the check the verifier wants */
	if (r->options_len) {
		if (bpf_xdp_store_bytes(ctx, sizeof(*w), reply->sack, SACK_LEN))
			return XDP_ABORTED;
	} else if (body_len && body_len <= XDPLOAD_REQUEST_MAX) {
		if (bpf_xdp_store_bytes(ctx, sizeof(*w), config.request, body_len))
			return XDP_ABORTED;
	}
	return (int)bpf_redirect(ctx->ingress_ifindex, 0);
}

static __always_inline void clock_request(struct xdpload_conn *c, struct xdpload_stats *st, bool sends_next)
{
	__u64 now_ns = bpf_ktime_get_ns();
	__u32 idx;

	if (c->sent_ns) {
		idx = sc_hist_index(now_ns - c->sent_ns);
		if (idx < XDPLOAD_HIST_BUCKETS)
			st->latency[idx]++;
	}
	c->sent_ns = sends_next ? now_ns : 0;
}

static __always_inline void with_sack(struct reply *reply)
{
	struct wire_segment *r = &reply->segment;

	r->body_len = r->options_len;
	r->body_sum = sc_wire_fold(sc_wire_sum(reply->sack, SACK_LEN)); /* zero if not sent */
}

static __always_inline void with_request(struct wire_segment *r)
{
	r->flags |= WIRE_TCP_PSH;
	r->body_len = config.request_len;
	r->body_sum = config.request_sum;
}

SEC("xdp")
int xdpload(struct xdp_md *ctx)
{
	struct reply reply = {};
	struct segment s = {};
	struct xdpload_stats *st;
	struct xdpload_conn *c;
	__u32 zero = 0, idx;
	int found;

	found = parse(ctx, &s);
	if (found < 0)
		return XDP_PASS;
	idx = (__u32)found;
	c = bpf_map_lookup_elem(&conns, &idx);
	st = bpf_map_lookup_elem(&stats, &zero);
	if (!c || !st)
		return XDP_PASS;

	st->counter[XDPLOAD_PACKETS]++;
	reply.segment.src_port = config.port_base + idx;
	switch (decide(c, &s, &reply, st->counter)) {
	case VERDICT_DROP:
		return XDP_DROP;
	case VERDICT_NEXT:
		st->counter[XDPLOAD_REQUESTS]++;
		clock_request(c, st, true);
		with_request(&reply.segment);
		break;
	case VERDICT_AGAIN:
		st->counter[XDPLOAD_RESENT]++;
		with_request(&reply.segment);
		break;
	case VERDICT_LAST:
		clock_request(c, st, false);
		break;
	case VERDICT_ACK:
		st->counter[XDPLOAD_ACKS]++;
		with_sack(&reply);
		break;
	case VERDICT_RESET:
		break;
	}
	if (transmit(ctx, &reply) == XDP_REDIRECT)
		return XDP_REDIRECT;
	st->counter[XDPLOAD_SEND_FAILED]++;
	return XDP_DROP;
}

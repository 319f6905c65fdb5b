/* SPDX-License-Identifier: MIT */
/* What the XDP program and its user space share: settings, one record per connection, counters. Layout only. */
#ifndef XDPLOAD_H
#define XDPLOAD_H

#include <linux/types.h>

#ifndef __cplusplus
#define XDPLOAD_ASSERT _Static_assert
#else
#define XDPLOAD_ASSERT static_assert
#endif

enum {
	XDPLOAD_CONNS_MAX = 16384,
	XDPLOAD_REQUEST_MAX = 192, /* a reply may outgrow the packet it replaces by the XDP headroom only */
	XDPLOAD_PREFIX_LEN = 12, /* "HTTP/1.1 200" */
	XDPLOAD_WINDOW_SHIFT = 7,
	XDPLOAD_WINDOW = 8192, /* 1 MiB after the shift */
	/* Latencies: 64 buckets per power of two, so a bucket is at most 1/64 (1.6 %) wide; capped at 2^36 ns = 68 s. */
	XDPLOAD_HIST_BITS = 6,
	XDPLOAD_HIST_TOP = 36,
	XDPLOAD_HIST_BUCKETS = (XDPLOAD_HIST_TOP - XDPLOAD_HIST_BITS + 1) << XDPLOAD_HIST_BITS,
};

/* Name in code, key in the report. All are per packet seen by the program, from attach to detach. */
#define XDPLOAD_COUNTERS(X)             \
	X(PACKETS, "packets")           \
	X(REQUESTS, "requests")         \
	X(RESPONSES, "responses")       \
	X(BYTES, "bytes")               \
	X(ACKS, "acks")                 \
	X(RESENT, "resent")             \
	X(RETRANSMITS, "retransmits")   \
	X(OUT_OF_ORDER, "out_of_order") \
	X(RESETS, "resets")             \
	X(CLOSED, "closed")             \
	X(BAD_STATUS, "bad_status")     \
	X(BAD_LENGTH, "bad_length")     \
	X(UNEXPECTED, "unexpected")     \
	X(SEND_FAILED, "send_failed")

enum xdpload_counter {
#define X(name, key) XDPLOAD_##name,
	XDPLOAD_COUNTERS(X)
#undef X
		XDPLOAD_COUNTERS_CNT,
};

enum xdpload_state {
	XDPLOAD_STATE_FREE, /* before the SYN */
	XDPLOAD_STATE_SYN_SENT,
	XDPLOAD_STATE_OPEN, /* a request is outstanding */
	XDPLOAD_STATE_IDLE, /* stopped: its last response is complete */
	XDPLOAD_STATE_RESET, /* from here on the connection is lost: reset by the server, */
	XDPLOAD_STATE_CLOSED, /* closed by the server, */
	XDPLOAD_STATE_BROKEN, /* or not answering what the probe was answered */
};

/* Written by user space: all but `stop` before the first SYN. With conns_cnt 0 the program passes everything. */
struct xdpload_config {
	__be32 local_ip;
	__be32 target_ip;
	__be16 target_port;
	__u16 port_base; /* host order: connection i has source port port_base + i */
	__u32 conns_cnt;
	__u32 response_len; /* status line, headers and body */
	__u16 request_len;
	__u16 request_sum; /* Internet checksum's sum of the request, memory order */
	__u32 stop; /* a complete response is acknowledged, no request follows */
	__u8 local_mac[6];
	__u8 target_mac[6];
	__u8 prefix[16]; /* XDPLOAD_PREFIX_LEN used */
	__u8 request[XDPLOAD_REQUEST_MAX];
};
XDPLOAD_ASSERT(sizeof(struct xdpload_config) == 248, "config layout");

/* Written by the program: the MAC addresses of the first packet from the target, a reply to the probe. */
struct xdpload_peer {
	__u8 local_mac[6];
	__u8 target_mac[6];
	__u32 learnt;
};
XDPLOAD_ASSERT(sizeof(struct xdpload_peer) == 16, "peer layout");

/*
 * Sequence numbers in host order. User space writes it before the SYN, afterwards the program alone, without a lock: the
 * interface has one receive queue, so one packet at a time. What user space reads may be torn; it acts only on what has
 * not changed for some time.
 */
struct xdpload_conn {
	__u32 state; /* enum xdpload_state */
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 rcv_nxt;
	__u32 received; /* bytes of the response in progress */
	__u16 unacked; /* segments received since our last ACK */
	__u16 quick; /* that many segments are acknowledged one by one */
	__u32 hole_end; /* [hole_end, ahead_end) came before what is missing at rcv_nxt; equal = nothing is missing */
	__u32 ahead_end;
	__u64 sent_ns; /* CLOCK_MONOTONIC when the outstanding request was first sent */
};
XDPLOAD_ASSERT(sizeof(struct xdpload_conn) == 40, "conn layout");

struct xdpload_stats {
	__u64 counter[XDPLOAD_COUNTERS_CNT];
	__u64 latency[XDPLOAD_HIST_BUCKETS];
};
XDPLOAD_ASSERT(sizeof(struct xdpload_stats) < 32768, "a per-CPU value is at most 32 KiB");

#endif

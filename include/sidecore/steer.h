/* SPDX-License-Identifier: MIT */
/*
 * The pinned maps of the XDP programs: what the loader, the service and the programs agree on.
 *
 * Layout only: constants, structs and asserts. Pins of one interface lie in
 * <bpffs>/sidecore/<inode of its network namespace>/<ifindex>/ under the names of the SC_STEER_PINS list. Whoever
 * changes a map holds flock(LOCK_EX) on <bpffs>/sidecore. A change of layout, and one more reason, bumps SC_STEER_SCHEMA.
 */
#ifndef SIDECORE_STEER_H
#define SIDECORE_STEER_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

enum sc_steer_limit {
	SC_STEER_SCHEMA = 7,
	SC_STEER_SCHEMA_OLDEST =
		4, /* from which on a map of the same shape means the same; a new one may begin empty */
	SC_STEER_SLOTS = 128, /* of the indirection table, a power of two */
	SC_STEER_SERVICES_MAX = 256, /* counter rows, one per service */
	SC_STEER_PORTS = 65536,
	SC_STEER_KEYS_MAX = 512, /* a service on any address takes one key per family */
	SC_STEER_LIST_MAX = 200000, /* single addresses on the deny and the allow list together, and as many prefixes */
	SC_STEER_LIST_SETS = 2, /* one in use, one to build the next in */
	SC_STEER_BLOCKS = 1 << 24, /* of 256 IPv4 addresses */
	SC_STEER_BLOCK_BITS = 2, /* that one takes in map `blocks` */
	SC_STEER_BLOCK_WORDS = SC_STEER_BLOCKS / (64 / SC_STEER_BLOCK_BITS),
	SC_STEER_SOURCES_MAX = 65536, /* sources with a bucket at a time; the one not heard of for longest goes first */
	SC_STEER_QUEUES_MAX = 64, /* of a device, that may have an AF_XDP socket */
	SC_STEER_SAMPLES_LEN = 1 << 18, /* bytes of the ring of samples; a sample takes 72 */
	SC_STEER_QUEUE_LEN = 2048, /* packets that may wait for one dedicated CPU; more are dropped */
	SC_STEER_VLANS_MAX = 2, /* tags looked behind */
	SC_STEER_EXT_HEADERS_MAX = 6, /* IPv6 extension headers looked behind */
};

/* In sc_steering.cpus: no CPU serves this slot, its packets pass. */
#define SC_STEER_NO_CPU 0xffffffffU

/*
 * Pins: name, what it is. `link` is made last and removed first, so a directory without it is an attach that did not
 * come to its end.
 */
#define SC_STEER_PINS(X)                                                              \
	X(steering, "ARRAY, 1 entry: struct sc_steering, may be mapped")              \
	X(cpus, "CPUMAP, CPU -> struct bpf_cpumap_val: the dedicated CPUs")           \
	X(services, "HASH, struct sc_service_key -> struct sc_service")               \
	X(ports, "ARRAY, port in host order -> struct sc_port, may be mapped")        \
	X(hosts, "ARRAY_OF_MAPS, 2 sets: HASH, struct sc_list_key -> __u32")          \
	X(lists, "ARRAY_OF_MAPS, 2 sets: LPM_TRIE, struct sc_list_key -> __u32")      \
	X(blocks, "ARRAY_OF_MAPS, 2 sets: ARRAY, word of SC_BLOCK -> __u64, mapped")  \
	X(syn, "ARRAY, 1 entry: struct sc_syn")                                       \
	X(floods, "PERCPU_ARRAY, 1 entry: struct sc_flood")                           \
	X(limits, "ARRAY, sc_service.row or SC_LIMIT_ALL -> struct sc_limit_row")     \
	X(buckets, "ARRAY, sc_service.row or SC_LIMIT_ALL -> struct sc_buckets")      \
	X(sources, "ARRAY_OF_MAPS, 1 entry: LRU_HASH, struct sc_source -> __u64")     \
	X(sockets, "XSKMAP, queue of the device -> AF_XDP socket, the application's") \
	X(sampling, "ARRAY, 1 entry: struct sc_sampling")                             \
	X(samples, "RINGBUF: struct sc_sample")                                       \
	X(service_counts, "PERCPU_ARRAY, sc_service.row -> struct sc_service_count")  \
	X(counters, "PERCPU_ARRAY, enum sc_reason -> __u64")

#define SC_STEER_PIN_STEER  "steer" /* program on the device */
#define SC_STEER_PIN_ON_CPU "on_cpu" /* program for new entries of `cpus` */
#define SC_STEER_PIN_LINK   "link"

/*
 * Map `steering`. The loader writes schema and seed once, before the programs run. The others may be changed at any
 * time by the lock's holder, a slot at a time or all at once: each word is read once per packet. Only CPUs that have an entry in `cpus`
 * receive; packets of other slots pass.
 */
struct sc_steering {
	__u32 schema; /* SC_STEER_SCHEMA */
	__u32 seed; /* of the flow hash, random: nobody outside can aim at one CPU */
	__u32 list_set; /* of `hosts` and `lists` in use, below SC_STEER_LIST_SETS */
	__u32 cpus[SC_STEER_SLOTS];
};

/*
 * Fixed in a program when it is loaded, in a frozen map of its own, SC_STEER_CONSTANTS: the verifier takes out what
 * they switch off. To change one, programs with others are loaded and put in the place of those that run.
 */
struct sc_constants {
	__u32 modules; /* enum sc_module: what else the programs do */
};

#define SC_STEER_CONSTANTS ".rodata.consts"

enum sc_module {
	SC_MODULE_VALIDITY = 1, /* drops packets that cannot be right */
	SC_MODULE_LISTS = 2, /* drops packets from sources on the deny list: looks for them in `lists` */
	SC_MODULE_COOKIES = 4, /* answers SYNs of a flood with the listener's SYN cookies */
	SC_MODULE_LIMITS = 8, /* drops packets over the rate limit of their source or service */
	SC_MODULE_HOSTS = 16, /* the same as SC_MODULE_LISTS, in `hosts` */
	SC_MODULE_SAMPLES = 32, /* shows some packets in `samples` */
	SC_MODULE_SOCKETS = 64, /* hands packets of some services to AF_XDP sockets */
	SC_MODULE_OPTIONS = 128, /* drops packets with IP options by which a sender routes or records their way */
	SC_MODULE_FRAGMENTS = 256, /* drops IP fragments */
};

/* Modules that look at a packet while it is parsed. */
#define SC_MODULES_PARSER (SC_MODULE_VALIDITY | SC_MODULE_OPTIONS)

/* Modules that concern the program `on_cpu` as well. */
#define SC_MODULES_ON_CPU (SC_MODULE_LIMITS | SC_MODULE_SAMPLES)

enum sc_steer_family {
	SC_STEER_IPV4 = 4,
	SC_STEER_IPV6 = 6,
};

/* Map `services`, key. Address and port as in the packet; IPv4 in addr[0]; all zero: any address of the family. */
struct sc_service_key {
	__u8 family; /* enum sc_steer_family */
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__be16 port;
	__be32 addr[4];
};

/* Map `services`, value. Keys of one service share a row. */
struct sc_service {
	__u32 row; /* in service_counts, below SC_STEER_SERVICES_MAX */
};

/*
 * Map `ports`: what the programs ask first, and mostly alone. An index over `services`: whoever changes a service writes
 * the word of its port anew, after adding a key and before removing one.
 */
enum sc_port_word {
	SC_PORT_ROW = 0x01ff, /* row + 1 of the service on any address, 0: none */
	SC_PORT_ADDRESSED = 0x0200, /* there are services on single addresses: look into `services` */
	SC_PORT_NEVER_DROP = 0x0400, /* no module drops its packets, as far as they show that they are for it */
	SC_PORT_SOCKET = 0x0800, /* its packets go to the AF_XDP socket of their queue, if there is one */
};

struct sc_port {
	__u16 words[4]; /* by SC_PORT_INDEX */
};

/* TCP over IPv4, UDP over IPv4, TCP over IPv6, UDP over IPv6. */
#define SC_PORT_INDEX(family, protocol) (((family) == SC_STEER_IPV6) * 2 + ((protocol) == 17))

/*
 * Maps `hosts` and `lists`: in the place of each set a hash of the single addresses on a list, and a trie of the
 * shorter prefixes; or nothing. The longest prefix that holds a packet's source decides, so what the hash says does: enum sc_list is the
 * value. Prefixes are changed one by one in the set in use, or all at once by another set.
 */
struct sc_list_key {
	__u32 prefix_len; /* SC_LIST_FAMILY_BITS + length of the prefix */
	__u32 family; /* enum sc_steer_family */
	__be32 addr[4]; /* IPv4 in addr[0], else zero */
};

#define SC_LIST_FAMILY_BITS 32

enum sc_list {
	SC_LIST_DENY = 1,
	SC_LIST_ALLOW = 2,
};

/*
 * Map `blocks`: in the place of each set a table of all blocks of 256 IPv4 addresses, the first in the lowest bits of the first word. It says
 * what is right for the whole block: nothing (0), enum sc_list, or SC_BLOCK_ASK, which always is. Asked before `hosts` and
 * `lists`. Exact when a set is built; whoever changes the set in use writes SC_BLOCK_ASK first.
 */
#define SC_BLOCK_ASK 3

/* The word of an IPv4 address in host order, and where in it its block stands. */
#define SC_BLOCK_WORD(host)  ((host) >> 13)
#define SC_BLOCK_SHIFT(host) (((host) >> 8 & 31) * SC_STEER_BLOCK_BITS)

/*
 * Map `syn`: how SC_MODULE_COOKIES works. May be changed at any time by the lock's holder. Only frames to `mac` are answered: on a
 * device that hears others' packets, a listener on any address would else answer for them.
 */
struct sc_syn {
	__u32 rate; /* SYNs per second on one CPU from which on there is a flood; 0: always */
	__u16 mss_max; /* the SYN-ACK offers the device's MTU less headers, and no more than this; 0: no such bound */
	__u8 mac[6]; /* of the device */
	__u32 flags; /* enum sc_syn_flag */
};

enum sc_syn_flag {
	SC_SYN_REDIRECT =
		1, /* answer by a redirect to the device: a veth forgets XDP_TX unless its peer has a program too */
};

/*
 * Map `floods`, one per CPU, written by the program there. A flood begins in the window in which more SYNs come than the rate
 * allows, and ends when for SC_FLOOD_HOLD_MS no window had more than half of that.
 */
struct sc_flood {
	__u64 window_ns; /* begin of the window, of the kernel's coarse monotonic clock as all times here */
	__u64 until_ns; /* end of the flood unless it goes on */
	__u32 syns; /* in this window */
	__u32 on; /* nonzero: a flood that is over only if until_ns is past */
};

enum sc_flood_time {
	SC_FLOOD_WINDOW_MS = 100,
	SC_FLOOD_HOLD_MS = 1000,
};

/* What a limit holds down: packets, or SYNs alone, of one source, or of all together. */
enum sc_limit_kind {
	SC_LIMIT_SOURCE,
	SC_LIMIT_TOTAL,
	SC_LIMIT_SOURCE_SYN,
	SC_LIMIT_TOTAL_SYN,
	SC_LIMIT_KINDS,
};

#define SC_LIMIT_SYN	   2 /* sc_limit_kind: SYNs alone */
#define SC_LIMIT_TOTAL_BIT 1 /* sc_limit_kind: not of one source */

/* Row of the limits that hold for all services together. */
#define SC_LIMIT_ALL SC_STEER_SERVICES_MAX

/*
 * A token bucket as one number, the time at which it is full again: a packet makes that later by `interval`, and is dropped
 * if it were then further ahead than `room`. Times are the kernel's monotonic clock in units of 1/16 ns, so that a
 * million packets per second are exact to a hundredth of a percent.
 */
struct sc_rate {
	__u64 interval; /* between two packets at this rate */
	__u64 room; /* burst * interval */
	__u32 cnt; /* as it was asked for: so many */
	__u32 period_s; /* in so many seconds */
	__u32 burst; /* packets that a full bucket lets through at once, not 0 */
	__u32 pad;
};

#define SC_RATE_UNITS_PER_NS 16

/*
 * Map `limits`. May be changed at any time by the lock's holder: a bucket that is there keeps its level. Where a source has a limit,
 * flows are steered by source alone, so that one CPU has its bucket to itself.
 */
struct sc_limit_row {
	__u32 kinds; /* bits, 1 << enum sc_limit_kind: those that are set */
	__u32 pad;
	struct sc_rate rates[SC_LIMIT_KINDS];
};

/* Map `buckets`: those of totals, of packets and of SYNs, written by all CPUs that receive or serve. A cache line each. */
struct sc_buckets {
	__u64 full_at[2];
	__u64 pad[6];
};

/* Map `sources`, key: an IPv4 address, or an IPv6 network of 64 bits, under one row and kind. */
struct sc_source {
	__u16 row;
	__u8 kind;
	__u8 family; /* enum sc_steer_family */
	__be32 addr[2]; /* IPv4 in addr[0] */
};

/*
 * Map `sampling`: how SC_MODULE_SAMPLES works. `lost` is the programs', the rest the monitor's, who makes `until_ns` later while he
 * lives: after one that was killed sampling ends by itself.
 */
struct sc_sampling {
	__u64 until_ns; /* CLOCK_MONOTONIC: no samples after it */
	__u64 lost; /* samples for which the ring had no room */
	__u32 below; /* a packet whose random number of 32 bits is not above is a sample */
	__u32 pad;
};

/*
 * Map `samples`: a packet at the end of `steer` or of `on_cpu`. What of addresses and ports is not known is zero. One
 * reader at a time: who holds flock(LOCK_EX) on the interface's directory of pins.
 */
struct sc_sample {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 cpu;
	__u32 len; /* from the Ethernet header on */
	__u8 reason; /* enum sc_reason */
	__u8 verdict; /* enum xdp_action */
	__u8 family; /* enum sc_steer_family, 0: neither */
	__u8 protocol; /* IPPROTO_... */
	__u8 tcp_flags;
	__u8 pad[3];
	__be16 from_port;
	__be16 to_port;
	__be32 from_addr[4]; /* IPv4 in [0] */
	__be32 to_addr[4];
	__u32 pad_end;
};

/* Map `service_counts`, one per CPU: the CPU that writes it is the CPU the packet was on. */
struct sc_service_count {
	__u64 local; /* packets that passed at once, on their dedicated CPU already */
	__u64 steered; /* packets sent to their dedicated CPU */
	__u64 arrived; /* steered packets on their dedicated CPU */
	__u64 arrived_bytes; /* from the Ethernet header on */
	__u64 local_bytes;
	/* On their dedicated CPU. What is sent again counts again; a reset by the service itself does not. */
	__u64 opened; /* SYN */
	__u64 closed; /* FIN or RST */
};

/*
 * Why a packet went where it went: constant, name, meaning. Each packet counts once in `steer`, and once more in
 * `on_cpu` if it was steered. Append only: the number is the key in map `counters`.
 */
#define SC_REASONS(X)                                                                                            \
	X(STEERED, steered, "sent to its dedicated CPU")                                                         \
	X(LOCAL, local, "passed: already on its dedicated CPU")                                                  \
	X(NO_SERVICE, no_service, "passed: not addressed to a service")                                          \
	X(NO_CPU, no_cpu, "passed: no dedicated CPU is active")                                                  \
	X(NO_ENTRY, no_entry, "passed: its CPU is not in the CPU map")                                           \
	X(FRAGMENT, fragment, "passed: IP fragment")                                                             \
	X(NOT_IP, not_ip, "passed: neither IPv4 nor IPv6")                                                       \
	X(NOT_TRANSPORT, not_transport, "passed: neither TCP nor UDP")                                           \
	X(DEEP_VLAN, deep_vlan, "passed: more than two VLAN tags")                                               \
	X(DEEP_IPV6, deep_ipv6, "passed: more than six IPv6 extension headers")                                  \
	X(TRUNCATED, truncated, "passed: ends within a header")                                                  \
	X(MALFORMED, malformed, "passed: a header contradicts itself")                                           \
	X(ARRIVED, arrived, "taken over on its dedicated CPU")                                                   \
	X(STRAYED, strayed, "on a dedicated CPU, but its service was removed meanwhile")                         \
	X(DENIED, denied, "dropped: its source is on the deny list")                                             \
	X(BAD_HEADER, bad_header, "dropped: a header contradicts itself or the packet's length")                 \
	X(BAD_CHECKSUM, bad_checksum, "dropped: wrong checksum of the IPv4 header")                              \
	X(BAD_FLAGS, bad_flags, "dropped: TCP flags that no stack sends")                                        \
	X(LAND, land, "dropped: from the very address and port it is sent to")                                   \
	X(COOKIE, cookie, "answered: a SYN, with the listener's SYN cookie")                                     \
	X(BAD_COOKIE, bad_cookie, "dropped: an ACK of no connection, without a valid SYN cookie")                \
	X(OVER_SOURCE, over_source, "dropped: over the rate limit of its source")                                \
	X(OVER_TOTAL, over_total, "dropped: over the rate limit of its service, or of all")                      \
	X(LATE_OVER_SOURCE, late_over_source, "dropped on its dedicated CPU: over the rate limit of its source") \
	X(LATE_OVER_TOTAL, late_over_total,                                                                      \
	  "dropped on its dedicated CPU: over the rate limit of its service, or of all")                         \
	X(SOCKET, socket, "handed to the AF_XDP socket of its queue")                                            \
	X(REFUSED_OPTION, refused_option, "dropped: an IP option that routes the packet or records its way")     \
	X(REFUSED_FRAGMENT, refused_fragment, "dropped: IP fragment")

enum sc_reason {
#define SC_REASON_ENUM(constant, name, help) SC_REASON_##constant,
	SC_REASONS(SC_REASON_ENUM)
#undef SC_REASON_ENUM
		SC_REASON_CNT
};

#ifdef __cplusplus
#define SC_STEER_ASSERT static_assert
#else
#define SC_STEER_ASSERT _Static_assert
#endif
SC_STEER_ASSERT(sizeof(struct sc_steering) == 524, "sc_steering");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_steering, seed) == 4, "sc_steering.seed");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_steering, list_set) == 8, "sc_steering.list_set");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_steering, cpus) == 12, "sc_steering.cpus");
SC_STEER_ASSERT(sizeof(struct sc_constants) == 4, "sc_constants");
SC_STEER_ASSERT(sizeof(struct sc_service_key) == 20, "sc_service_key");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_service_key, protocol) == 1, "sc_service_key.protocol");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_service_key, port) == 2, "sc_service_key.port");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_service_key, addr) == 4, "sc_service_key.addr");
SC_STEER_ASSERT(sizeof(struct sc_service) == 4, "sc_service");
SC_STEER_ASSERT(sizeof(struct sc_port) == 8, "sc_port");
SC_STEER_ASSERT(sizeof(struct sc_list_key) == 24, "sc_list_key");
SC_STEER_ASSERT((int)SC_STEER_SERVICES_MAX < (int)SC_PORT_ROW, "a row fits a word of sc_port");
SC_STEER_ASSERT(sizeof(struct sc_syn) == 16, "sc_syn");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_syn, mss_max) == 4, "sc_syn.mss_max");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_syn, mac) == 6, "sc_syn.mac");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_syn, flags) == 12, "sc_syn.flags");
SC_STEER_ASSERT(sizeof(struct sc_flood) == 24, "sc_flood");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_flood, until_ns) == 8, "sc_flood.until_ns");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_flood, syns) == 16, "sc_flood.syns");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_flood, on) == 20, "sc_flood.on");
SC_STEER_ASSERT(sizeof(struct sc_sampling) == 24, "sc_sampling");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_sampling, lost) == 8, "sc_sampling.lost");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_sampling, below) == 16, "sc_sampling.below");
SC_STEER_ASSERT(sizeof(struct sc_sample) == 64, "sc_sample");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_sample, reason) == 16, "sc_sample.reason");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_sample, from_port) == 24, "sc_sample.from_port");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_sample, from_addr) == 28, "sc_sample.from_addr");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_sample, to_addr) == 44, "sc_sample.to_addr");
SC_STEER_ASSERT(sizeof(struct sc_rate) == 32, "sc_rate");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_rate, cnt) == 16, "sc_rate.cnt");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_rate, burst) == 24, "sc_rate.burst");
SC_STEER_ASSERT(sizeof(struct sc_limit_row) == 136, "sc_limit_row");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_limit_row, rates) == 8, "sc_limit_row.rates");
SC_STEER_ASSERT(sizeof(struct sc_buckets) == 64, "sc_buckets");
SC_STEER_ASSERT(sizeof(struct sc_source) == 12, "sc_source");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_source, addr) == 4, "sc_source.addr");
SC_STEER_ASSERT(sizeof(struct sc_service_count) == 56, "sc_service_count");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_service_count, steered) == 8, "sc_service_count.steered");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_service_count, arrived) == 16, "sc_service_count.arrived");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_service_count, arrived_bytes) == 24, "sc_service_count.arrived_bytes");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_service_count, local_bytes) == 32, "sc_service_count.local_bytes");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_service_count, opened) == 40, "sc_service_count.opened");
SC_STEER_ASSERT(__builtin_offsetof(struct sc_service_count, closed) == 48, "sc_service_count.closed");
SC_STEER_ASSERT(SC_REASON_STEERED == 0 && SC_REASON_CNT == 28,
		"enum sc_reason: one more takes another SC_STEER_SCHEMA");
SC_STEER_ASSERT((SC_STEER_SLOTS & (SC_STEER_SLOTS - 1)) == 0, "SC_STEER_SLOTS is a power of two");

#endif

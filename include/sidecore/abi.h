/* SPDX-License-Identifier: MIT */
/*
 * What Sidecore's parts share: the channel's memory, the control messages and, through steer.h, the pinned XDP maps.
 *
 * Layout only: constants, structs and asserts; no functions, no atomics. Fixed-width fields, natural alignment,
 * named padding that must be zero. A change of layout bumps SC_ABI_VERSION. docs/abi.md tells the order of things.
 */
#ifndef SIDECORE_ABI_H
#define SIDECORE_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include <sidecore/steer.h>

enum sc_abi {
	SC_ABI_VERSION = 2,
	SC_CHANNEL_MAGIC = 0x4e484353, /* "SCHN" */
	SC_CTL_MAGIC = 0x4c544353, /* "SCTL" */
};

/* Every bound of a channel; both sides check against it. */
enum sc_limit {
	SC_LANES_MAX = 16,
	SC_CONNS_MAX = 16384, /* per lane */
	SC_BUFS_MAX = 32768, /* receive buffers per lane, a power of two */
	SC_BUF_LEN_MIN = 256, /* bytes, a power of two */
	SC_BUF_LEN_MAX = 65536,
	SC_SQ_ENTRIES_MIN = 64, /* a power of two */
	SC_SQ_ENTRIES_MAX = 4096,
	SC_CQ_ENTRIES_MAX = 65536,
	SC_SEGMENTS_MAX = 64, /* per session */
	SC_FILES_MAX = 64, /* per lane */
};
#define SC_ARENA_LEN_MAX    (1ULL << 30) /* of a segment, too */
#define SC_SEGMENTS_LEN_MAX (4ULL << 30) /* of all of a session */

/* The file table of a lane's ring. */
enum sc_slot {
	SC_SLOT_DOORBELL = 0, /* eventfd that wakes the poller, put there by the service */
	SC_SLOT_COMPLETION = 1, /* eventfd that wakes the app: a WRITE to it wakes when the queue is that far */
	SC_SLOT_LISTENERS = 2, /* first slot of listening sockets */
	SC_SLOT_FILES = 16, /* first slot of regular files, SC_FILES_MAX of them */
	/* first slot of connections, conn_cnt of them; as many again with SC_HELLO_THREADS */
	SC_SLOT_CONNS = SC_SLOT_FILES + SC_FILES_MAX,
};

#define SC_SLOTS_MAX (SC_SLOT_CONNS + 2 * SC_CONNS_MAX)

/* user_data of the request that the service itself leaves in each lane: multishot POLL_ADD on SC_SLOT_DOORBELL. */
#define SC_DOORBELL_TAG (~0ULL)

/* Buffer group of a lane's provided buffers. */
#define SC_BUF_GROUP 0

/* Set in sc_channel.features */
enum sc_channel_feature {
	SC_CHANNEL_RECV_LIM = 1U << 0, /* the kernel ends a multishot receive after a number of bytes */
	/*
	 * Sockets are descriptors of the engine, not slots of the lane's file table: before Linux 6.13 a slot's file is not
	 * released while any older request of the ring is pending.
	 */
	SC_CHANNEL_DESCRIPTORS = 1U << 1,
};
#define SC_CHANNEL_FEATURES_KNOWN (SC_CHANNEL_RECV_LIM | SC_CHANNEL_DESCRIPTORS)

/*
 * service -> app. One io_uring in the channel's memory. Written once, before the app sees the channel; offsets are in
 * bytes from the channel's start. The words that ring_off.. point to belong to the kernel's io_uring ABI.
 */
struct sc_lane {
	__u64 sqes_off; /* sq_entries x 64 bytes; app writes */
	__u64 buf_ring_off; /* struct io_uring_buf_ring of buf_cnt entries; app writes */
	__u64 bufs_off; /* buf_cnt x buf_len bytes; kernel writes */
	__u64 sq_head_off; /* __u32, kernel writes */
	__u64 sq_tail_off; /* __u32, app writes */
	__u64 sq_flags_off; /* __u32, kernel writes: IORING_SQ_NEED_WAKEUP, IORING_SQ_CQ_OVERFLOW */
	__u64 cq_head_off; /* __u32, app writes */
	__u64 cq_tail_off; /* __u32, kernel writes */
	__u64 cq_flags_off; /* __u32, app writes: IORING_CQ_EVENTFD_DISABLED */
	__u64 cqes_off; /* cq_entries x 16 bytes; kernel writes */
	__u32 sq_entries;
	__u32 cq_entries;
	__u32 buf_cnt;
	__u32 buf_len;
	__u32 cpu; /* dedicated core whose poller serves this lane */
	__u32 ring; /* what a MSG_RING of another lane of the channel calls this one */
	__u32 pad[2];
};

/* service -> app. First bytes of a channel. */
struct sc_channel {
	__u32 magic; /* SC_CHANNEL_MAGIC */
	__u16 version; /* SC_ABI_VERSION */
	__u16 lane_cnt;
	__u32 header_len; /* sizeof(struct sc_channel) */
	__u32 features; /* enum sc_channel_feature */
	__u64 channel_len; /* bytes, the memfd's size */
	__u64 base; /* what an SQE calls offset 0: the channel's address in the engine */
	__u64 arena_off;
	__u64 arena_len;
	__u32 conn_cnt; /* per lane */
	__u32 pad[3];
	struct sc_lane lane[SC_LANES_MAX];
};

/*
 * Control messages: one struct, one message per SOCK_SEQPACKET packet, request and reply in turn. Fields that a type
 * does not name are zero. An app that sends anything else loses its session.
 */
enum sc_ctl_type {
	/*
	 * app -> service, first. Uses lane_cnt (0: one per dedicated core), conn_cnt, buf_cnt, buf_len, sq_entries,
	 * flags (enum sc_hello_flag), mem_len (the arena's). Reply: status, mem_len (the channel's), lane_cnt, reason; if
	 * status is 0 the packet carries 1 + 2 * lane_cnt descriptors: memfd, then per lane its completion eventfd and its
	 * doorbell eventfd.
	 */
	SC_CTL_HELLO = 1,
	/*
	 * app -> service. Uses lane, slot (SC_SLOT_LISTENERS up to the last connection's), and carries one descriptor,
	 * a socket, or in the slots of files a regular file, that goes into the lane's file table. Reply: status, slot: the slot, or with SC_CHANNEL_DESCRIPTORS
	 * the engine's descriptor.
	 */
	SC_CTL_FILE_ADD = 2,
	/*
	 * app -> service. Uses lane. Wakes the poller and flushes completions the kernel held back
	 * (IORING_SQ_CQ_OVERFLOW), as io_uring_enter would. Reply: status.
	 */
	SC_CTL_KICK = 3,
	/*
	 * app -> service. Uses slot (a free one below SC_SEGMENTS_MAX) and mem_len (whole pages). Reply: status, reason,
	 * slot, mem_len, mem_base, and in lane_cnt in how many lanes it is a registered buffer of that index: all or
	 * none; if status is 0 the packet carries one descriptor, the segment's memfd.
	 */
	SC_CTL_SEGMENT_ADD = 4,
	/* app -> service. Uses slot, of a segment. Its memory means nothing any more. Reply: status, reason. */
	SC_CTL_SEGMENT_DEL = 5,
	/*
	 * app -> service. Uses slot: a socket's descriptor in the engine, put there by a FIXED_FD_INSTALL, or one of
	 * SC_CHANNEL_DESCRIPTORS. Reply: status; if it is 0 the packet carries the descriptor, which the engine closes in the first
	 * case and keeps in the second.
	 */
	SC_CTL_FILE_TAKE = 6,
	/* service -> app: the same type as the request, with SC_CTL_REPLY set */
	SC_CTL_REPLY = 0x8000,
};

/* Set in sc_ctl_msg.flags of a HELLO */
enum sc_hello_flag {
	/* As many lanes as asked for, sharing cores if need be. Their file tables have slots for what other lanes send them. */
	SC_HELLO_THREADS = 1U << 0,
};
#define SC_HELLO_FLAGS_KNOWN SC_HELLO_THREADS

/* Why the service said no, beside the errno in status: the half that an errno can't tell. */
enum sc_refusal {
	SC_REFUSED_NONE = 0,
	SC_REFUSED_VERSION, /* -EPROTO: the other side speaks another SC_ABI_VERSION, see version */
	SC_REFUSED_MALFORMED, /* -EBADMSG: not a message of the protocol */
	SC_REFUSED_LIMIT, /* -EINVAL: a wish out of the bounds of enum sc_limit */
	SC_REFUSED_ENGINES, /* -EAGAIN: this uid, or all together, have too many engines */
	SC_REFUSED_SESSIONS, /* -EAGAIN: this engine has too many sessions */
	SC_REFUSED_MEMLOCK, /* -ENOMEM: ring memory beyond RLIMIT_MEMLOCK of the uid */
	SC_REFUSED_MEMORY, /* -ENOMEM */
	SC_REFUSED_RING, /* the kernel refused the ring, errno in status */
	SC_REFUSED_CPU, /* -EINVAL: the dedicated core is offline or outside the service's cpuset */
	SC_REFUSED_IDENTITY, /* -EACCES: rootless service of another user, or the app's namespaces can't be read */
	SC_REFUSED_CNT,
};

struct sc_ctl_msg {
	__u32 magic; /* SC_CTL_MAGIC */
	__u16 version; /* SC_ABI_VERSION of the sender */
	__u16 type; /* enum sc_ctl_type */
	__s32 status; /* replies: 0 or -errno */
	__u32 reason; /* replies: enum sc_refusal */
	__u32 lane;
	__u32 slot;
	__u32 lane_cnt;
	__u32 conn_cnt;
	__u32 buf_cnt;
	__u32 buf_len;
	__u32 sq_entries;
	__u32 flags;
	__u64 mem_len; /* bytes of arena, channel or segment */
	__u64 mem_base; /* what an SQE calls the first of them */
};

#ifndef __VMLINUX_H__
#ifdef __cplusplus
#define SC_ABI_ASSERT static_assert
#else
#define SC_ABI_ASSERT _Static_assert
#endif
SC_ABI_ASSERT(sizeof(struct sc_lane) == 112, "sc_lane");
SC_ABI_ASSERT(sizeof(struct sc_channel) == 64 + SC_LANES_MAX * 112, "sc_channel");
SC_ABI_ASSERT(sizeof(struct sc_ctl_msg) == 64, "sc_ctl_msg");
SC_ABI_ASSERT(sizeof(struct sc_channel) <= 4096, "sc_channel fits the first page");
SC_ABI_ASSERT(SC_SLOTS_MAX <= 65536, "a lane's file table fits the RLIMIT_NOFILE of an engine");
#endif

#endif

/* SPDX-License-Identifier: MIT */
/* A lane: one io_uring with its receive buffers and connections, whoever consumes its queue. */
#ifndef LIBAPP_LANE_H
#define LIBAPP_LANE_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include <sidecore/abi.h>
#include <sidecore/app.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

enum {
	SEND_PIECES = 4,
	GATHER_PIECES = 16, /* of sends that go in one request */
	GATHER_LEN = 256 << 10, /* and bytes: the first of them is told of with the last */
	SEND_CHUNK = 64, /* sends taken from the heap at a time */
	ACCEPT_AHEAD = 64, /* accepts outstanding per listening socket */
	ACCEPT_RETRY_MS = 100,
};

/* What a connection can have asked of the kernel. In the order in which requests wanted together are submitted. */
enum conn_op {
	OP_ACCEPT = 1U << 0,
	OP_TIMEOUT = 1U << 1, /* of the connect; before it, so that it has been read when the connect ends */
	OP_CONNECT = 1U << 2,
	OP_RECV = 1U << 3,
	OP_SEND = 1U << 4,
	OP_READ = 1U << 5, /* of the file that is being sent */
	OP_SENDTO = 1U << 6, /* datagrams, each a request of its own */
	OP_SHUTDOWN = 1U << 7,
	OP_SHUTDOWN_RECV = 1U << 8,
	OP_CANCEL = 1U << 9, /* of the operations in sc_conn.cancel, one request each */
	OP_RESET = 1U << 10, /* after the cancels, before the close */
	OP_CLOSE = 1U << 11,
	OP_GIVE = 1U << 12,
};
enum { OPS_MAX = 16 };

/* user_data of what nobody waits for, of what tells that the consumer has all bulk, and that it has tried who was starved. */
#define SC_TAG_NOBODY (~1ULL)
#define SC_TAG_FENCE  (~2ULL)
#define SC_TAG_FED    (~3ULL) /* the least of them */

/*
 * user_data of a connection's request is a number in 16 bits, 0 but for datagrams, its entry in 16, its generation in 24, and
 * the operation's bit counted from 1 in 8. A request of a listener has 0 there; a zero-copy send TAG_ZEROCOPY and a number that its
 * notification brings back.
 */
enum { TAG_ZEROCOPY = 0x80, ZEROCOPY_LEN_MIN = 4096 /* unless it is asked for */ };

static inline uint32_t sc_tag_op(uint64_t tag)
{
	unsigned int nth = tag & 0xff;

	if (nth & TAG_ZEROCOPY)
		return OP_SEND;
	return nth && nth <= OPS_MAX ? 1U << (nth - 1) : 0;
}

static inline uint8_t sc_tag_zerocopy(uint64_t tag)
{
	return tag & (TAG_ZEROCOPY - 1);
}

static inline uint32_t sc_tag_gen(uint64_t tag)
{
	return tag >> 8 & 0xffffff;
}

static inline uint32_t sc_tag_idx(uint64_t tag)
{
	return tag >> 32 & 0xffff;
}

static inline uint32_t sc_tag_nr(uint64_t tag)
{
	return (uint32_t)(tag >> 48);
}

/* Whether zero copy pays, found out by trying: each time that the kernel had to copy after all it is longer until the next try. */
struct zerocopy_luck {
	uint16_t skip; /* sends to come that do not try */
	uint8_t level;
};

/* One sc_send on its way. */
struct send {
	struct send *next;
	struct sc_conn *conn;
	struct sc_job *job; /* who is told, instead of an event; NULL: an event with the tag */
	uint64_t tag;
	size_t len; /* of the whole */
	size_t left; /* not yet sent */
	size_t asked; /* of that by the request in flight */
	int result;
	/* Together, so that a new send's are written by one store */
	bool single; /* asked for in one piece */
	uint8_t piece_cnt;
	bool cancelled; /* by its job: what has gone out is all that does */
	bool zerocopy; /* the request in flight is one */
	uint8_t notices; /* of its zero-copy requests, outstanding: until then the kernel may read the memory */
	uint8_t segment_cnt;
	uint8_t zerocopy_nr; /* of its zero-copy requests */
	uint8_t segment[SEND_PIECES]; /* that pieces lie in, segment_cnt of them */
	struct sc_file *file; /* NULL: from memory */
	union {
		struct iovec piece[SEND_PIECES]; /* what is left, in the engine's addresses */
		uint64_t off; /* in the file */
	};
};

/* What a SENDMSG points to; lies in the channel, one per connection as one request of it to send is in flight at most. */
struct send_scratch {
	struct msghdr msg;
	struct iovec piece[GATHER_PIECES];
};

/* What requests of a lane point to, always the same. */
struct lane_words {
	uint64_t one; /* what a marker writes */
	uint64_t unspec[2]; /* an address of AF_UNSPEC */
};

struct sc_conn {
	struct lane *lane;
	union {
		struct sc_listener *listener; /* accepted by it */
		struct udp *udp; /* of a datagram socket, until it is closed */
		struct connect *connect; /* while connecting; NULL: there is nothing left to do for it */
	};
	void *data;
	struct sc_conn *next; /* of the free list, or of the lane's todo list */
	struct sc_conn *bulk_next; /* of the lane's bulk list */
	struct sc_conn *starved_prev, *starved_next; /* of the lane's starved list */
	struct parcel *parcel; /* is being given to another session, or was and has not told all it brought; or NULL */
	struct inbox *inbox; /* receives by jobs; NULL: by events */
	struct reader *reader; /* NULL: no file is being sent */
	struct send *send_head, *send_tail; /* the head is in flight, or about to be */
	struct send *held_tail; /* of those that ended while the kernel reads memory of one; its next is their head */
	int file; /* slot of the lane's file table, or descriptor; -1: none */
	uint32_t gen;
	uint32_t unreleased; /* receive buffers */
	uint16_t want; /* enum conn_op: to be submitted */
	uint16_t inflight; /* enum conn_op: submitted, last completion not seen */
	uint16_t cancel; /* enum conn_op: in flight, to be cancelled; OP_CANCEL is wanted then */
	struct zerocopy_luck zerocopy_luck;
	uint8_t zerocopy_nr; /* of the last send that tried */
	uint8_t notices; /* of all its sends */
	uint8_t gathered; /* sends behind the first that the request in flight is for, too: all of each */
	uint8_t zerocopy_mode : 2; /* enum sc_zerocopy */
	bool zerocopy_known : 1; /* zerocopy_luck is this connection's own, not yet to be asked of the lane */
	bool on_todo : 1;
	bool high : 1; /* SC_PRIORITY_HIGH */
	bool on_bulk : 1; /* its OP_SEND and OP_READ wait there; what else it wants does not */
	bool bulk_turn : 1; /* taken from there for its send */
	bool paused : 1; /* the window is full */
	bool starved : 1; /* on that list, which is all that it wants of OP_RECV */
	bool recv_limited : 1; /* the receive was asked for with recv_limit */
	bool recv_ended : 1; /* end of stream or error: no more receiving */
	bool send_ended : 1; /* sc_shutdown, or a send failed */
	bool send_broke : 1; /* a send failed or stopped short: the kernel has told us of a reset, maybe */
	bool broken : 1; /* counted as such */
	bool shut : 1; /* sc_shutdown */
	bool recv_shut : 1; /* sc_shutdown_recv */
	bool closing : 1; /* sc_close */
	bool close_now : 1; /* SC_CLOSE_NOW: a short send is not gone on with */
	bool close_asked : 1; /* CLOSE wanted, in flight or done */
	bool close_told : 1; /* SC_EVENT_CLOSED delivered */
	bool close_reset : 1; /* SC_CLOSE_RESET */
	bool datagram : 1; /* of sc_udp_open, for its life */
	bool accepted : 1; /* by `listener`, which counts it */
	bool untold : 1; /* the caller does not know of it: no SC_EVENT_CLOSED */
	bool ending : 1; /* shut down for a close that waits for memory */
	bool reset : 1; /* the same, reset */
	bool connecting : 1; /* sc_connect, and the outcome is not known: sends wait */
	bool timed_out : 1; /* the connect is cancelled for that */
	bool giving : 1; /* sc_conn_give, and SC_EVENT_GIVEN was not told */
	bool sealed : 1; /* the same, and no more can be sent */
	bool named : 1; /* by an event in the store; only known to rest.c, for a moment */
	bool given : 1; /* another session has it: the end of this entry tells SC_EVENT_GIVEN */
	int recv_result; /* with recv_ended: 0 in order, or -errno */
};

struct lane {
	struct io_uring ring;
	struct sc_session *session;
	unsigned int idx; /* in the session */
	unsigned int number; /* in the channel */
	int cpu;
	bool descriptors; /* sockets are the consumer's descriptors, not slots: see SC_CHANNEL_DESCRIPTORS */

	struct io_uring_buf_ring *buf_ring;
	char *bufs;
	uint64_t bufs_addr; /* as the engine calls them */
	unsigned int buf_cnt, buf_shift;
	unsigned int bufs_held; /* taken by the kernel and not yet given back */
	unsigned int bufs_added; /* given back and not yet published */
	struct kept *kept; /* buf_cnt notes; NULL: no connection ever received by jobs */
	unsigned int window; /* buffers a connection may hold */
	unsigned int recv_limit; /* bytes after which the kernel ends a multishot receive; 0: it can't */

	struct sc_conn *conns;
	unsigned int conn_cnt;
	unsigned int conns_fresh; /* conns[conns_fresh..] were never used: their memory is untouched */
	struct sc_conn *conn_free;
	struct sc_conn *conn_resting, *conn_resting_last; /* ended, see rest.c */
	struct sc_conn *todo_head, *todo_tail;
	struct sc_conn *starved_head, *starved_tail; /* their receives were refused for want of buffers */
	bool feeding; /* some of them have asked again, and SC_TAG_FED is under way */
	struct send_scratch *scratch; /* conn_cnt */
	struct zerocopy_luck zerocopy_luck; /* of connections that do not know yet */

	unsigned int high_cnt; /* connections with SC_PRIORITY_HIGH; without them nothing is bulk */
	struct sc_conn *bulk_head, *bulk_tail; /* sends wait until the consumer has what is before them */
	size_t bulk_len; /* of bulk in the queue */
	uint32_t bulk_end; /* the queue's tail behind it */
	bool fence; /* a request behind it is under way */

	struct send *send_free;
	struct send *done_head, *done_tail; /* ended without a completion of their own */
	struct send_chunk *chunks;
	unsigned int send_cnt, send_max;

	uint32_t take_seq; /* tells FILE_INSTALLs apart */
	struct lane_words *words; /* in the channel */

	struct parcel *parcels; /* to be gone on with */
	uint32_t tell; /* a bit per lane of the channel that has mail from here and was not told */

	/* direct engine */
	bool shared_queue; /* its consumer looks at the tail by itself: publish at once */
	uint32_t flushed_tail; /* SQ tail up to which the poller is known to be awake */
	uint32_t sq_head; /* the consumer's, when it was last looked at */
	bool short_of_room; /* something found none in the queue since the last fill: it waits for the next, not for a completion */
	bool marker_pending; /* a marker was queued, and no wake-up of this lane has been taken since */
	int event_fd, doorbell_fd;
	bool doorbell_armed;

	bool begun; /* atomic for others. Local engine: the ring belongs to the thread that used it first */
};

/* Where events go. */
struct sink {
	struct sc_event *events;
	unsigned int cnt, max;
};

/* There is room: a reap stops when there is none, and a completion makes at most one event. */
static inline struct sc_event *sc_event_add(struct sink *sink, enum sc_event_type type, struct sc_conn *conn)
{
	struct sc_event *event = &sink->events[sink->cnt++];

	*event = (struct sc_event){ .type = type, .conn = conn };
	return event;
}

/*
 * lane->ring, buf_ring, bufs, buf_cnt, buf_shift, window, scratch, conn_cnt and session are set by the engine. Gives all
 * buffers to the kernel. -ENOMEM.
 */
int sc_lane_init(struct lane *lane);
void sc_lane_exit(struct lane *lane);

/* Turns completions into events until either runs out. */
void sc_lane_reap(struct lane *lane, struct sink *sink);

/* Puts into the queue what is wanted, as far as there is room, and gives buffers back to the kernel. */
void sc_lane_fill(struct lane *lane);

/* true if sc_lane_reap would find something. */
bool sc_lane_ready(const struct lane *lane);

/* NULL when all are in use. One that is put back rests first. */
struct sc_conn *sc_lane_conn_get(struct lane *lane);
void sc_lane_conn_put(struct sc_conn *conn);

/* What the connection wants is submitted when there is room. It is not on the list yet. */
void sc_lane_todo_add(struct sc_conn *conn);
/* Submits what it wants, as far as there is room; it may be gone afterwards. It is not on the list. */
void sc_lane_todo_fill(struct sc_conn *conn);

/* NULL when there are too many. */
struct send *sc_lane_send_get(struct lane *lane);
void sc_lane_send_put(struct lane *lane, struct send *send);
/* The send ends: tells its job or makes an event, for which there is room. */
void sc_lane_send_tell(struct lane *lane, struct send *send, int result, struct sink *sink);
/* The same by the next reap. */
void sc_lane_send_done(struct lane *lane, struct send *send, int result);

/* Lets the kernel have what was put back. */
void sc_lane_bufs_publish(struct lane *lane);
/* data: a receive buffer, or a copy made of one. */
void sc_lane_buf_put(struct lane *lane, void *data);

/* Store-load order too. Not io_uring_smp_mb: gcc refuses its fence under -fsanitize=thread, which this lets through. */
static inline void sc_barrier_full(void)
{
	__sync_synchronize();
}

/*
 * The next entry of the submission queue, or NULL: it is full. The consumer's head shares a cache line with both tails, so it is
 * looked at only when the queue seems full.
 */
static inline struct io_uring_sqe *sc_lane_sqe(struct lane *lane)
{
	struct io_uring_sq *sq = &lane->ring.sq;
	struct io_uring_sqe *sqe;

	if (unlikely(sq->sqe_tail - lane->sq_head >= sq->ring_entries)) {
		lane->sq_head = io_uring_smp_load_acquire(sq->khead);
		if (sq->sqe_tail - lane->sq_head >= sq->ring_entries) {
			lane->short_of_room = true;
			return NULL;
		}
	}
	sqe = &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
	io_uring_initialize_sqe(sqe);
	return sqe;
}

/*
 * A, early: a poller that is awake begins while the caller goes on; waking it is left to submit. Not behind each request, because
 * the poller reads and writes the tail's cache line too, but behind the first of a batch, the second, the fourth: what waits for the
 * next has then waited no longer than the batch before it took.
 */
static inline void sc_lane_publish_early(const struct lane *lane)
{
	uint32_t fresh = lane->ring.sq.sqe_tail - lane->flushed_tail;

	if (lane->shared_queue && !(fresh & (fresh - 1)))
		io_uring_smp_store_release(lane->ring.sq.ktail, lane->ring.sq.sqe_tail);
}

static inline unsigned int sc_lane_bufs_free(const struct lane *lane)
{
	return lane->buf_cnt - lane->bufs_held;
}

/* Too few to leave them with those that keep what they received. */
static inline bool sc_lane_bufs_few(const struct lane *lane)
{
	return sc_lane_bufs_free(lane) < lane->buf_cnt / 8;
}

static inline void sc_lane_use_file(const struct lane *lane, struct io_uring_sqe *sqe)
{
	if (!lane->descriptors)
		sqe->flags |= IOSQE_FIXED_FILE;
}

static inline uint32_t sc_conn_idx(const struct sc_conn *conn)
{
	return (uint32_t)(conn - conn->lane->conns);
}

static inline uint64_t sc_conn_tag(const struct sc_conn *conn, enum conn_op op)
{
	uint64_t low = (unsigned int)__builtin_ctz(op) + 1;

	if (op == OP_SEND && conn->send_head && conn->send_head->zerocopy)
		low = TAG_ZEROCOPY | conn->send_head->zerocopy_nr;
	return (uint64_t)sc_conn_idx(conn) << 32 | (uint64_t)(conn->gen & 0xffffff) << 8 | low;
}

static inline unsigned int sc_conn_slot(const struct sc_conn *conn)
{
	return SC_SLOT_CONNS + sc_conn_idx(conn);
}

#endif

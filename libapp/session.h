/* SPDX-License-Identifier: MIT */
/* A session: lanes, listeners, the arena, and the engine behind them. */
#ifndef LIBAPP_SESSION_H
#define LIBAPP_SESSION_H

#include <errno.h>
#include <stdbool.h>

#include "arena.h"
#include "file.h"
#include "group.h"
#include "job.h"
#include "lane.h"
#include "store.h"

enum { LISTENERS_MAX = SC_SLOT_FILES - SC_SLOT_LISTENERS };

/* Checked options with every default filled in. */
struct settings {
	enum sc_engine engine;
	unsigned int lanes, conns, bufs, buf_len, window, spin_us;
	size_t arena_len;
	char socket_path[108];
	bool path_given;
	bool threads; /* sc_open_threads: a session has one lane, which may be handed connections */
};

/* Who consumes the queue. Functions return 0 or -errno and are called by the session's thread. */
struct engine_ops {
	enum sc_engine id;
	/*
	 * Fills lanes, lane_cnt, mem, mem_len, base, arena memory of all sessions of a group: of one with as many lanes as it gets,
	 * of several with a lane each. Leaves nothing behind when it fails, and sets a reason.
	 */
	int (*open)(struct sc_session *const *sessions, const struct settings *settings);
	/* Leaves the lanes' own memory. Of a stale session it gives back this process's copies only, as does end. */
	void (*close)(struct sc_session *session);
	void (*end)(struct group *group, bool stale); /* after the close of the group's last session */
	/*
	 * A copy of the descriptor goes into a slot of the lane's file table, or with lane->descriptors becomes one of the
	 * consumer's own. Returns what requests call it, or -errno.
	 */
	int (*file_add)(struct lane *lane, unsigned int slot, int fd);
	/*
	 * Maps a segment with slot and len, and fills base and registered. Under the lock of segments, as segment_del.
	 * 0, or -errno with a reason.
	 */
	int (*segment_add)(struct sc_session *session, struct sc_segment *segment, char **ret_mem);
	/* No request uses it any more: the engine forgets it. The mapping stays. 0, or -errno with a reason. */
	int (*segment_del)(struct sc_segment *segment);
	/*
	 * A descriptor of the consumer's becomes one of this process, the caller's to close. With lane->descriptors it stays
	 * there as well. -errno.
	 */
	int (*file_take)(struct lane *lane, int descriptor);
	/* Lets the consumer know of what lies in the queue. Does not block. -EOWNERDEAD: it is gone. */
	int (*submit)(struct sc_session *session);
	/* submit, then completions make sc_fd readable. 1: some are there already; 0; -EOWNERDEAD. */
	int (*arm)(struct sc_session *session);
	/* submit, then looks and sleeps for completions up to timeout_ms (< 0: for ever). 0, -EINTR, -EOWNERDEAD. */
	int (*wait)(struct sc_session *session, int timeout_ms);
};
extern const struct engine_ops sc_engine_local, sc_engine_direct;

/* One listening socket per lane. */
struct sc_listener {
	struct sc_session *session;
	bool used; /* this entry is taken */
	bool resting; /* it is not, but see rest.c */
	bool closing;
	uint16_t port;
	int64_t retry_ms; /* accept failed for want of resources: not before this time, 0 = no wait */
	struct {
		unsigned int accepts; /* outstanding */
		unsigned int conns; /* accepted and not closed */
		unsigned int limit; /* of both; 0: none */
		int file; /* as requests call it */
		bool close_wanted;
		bool open; /* the socket is in the lane's file table */
		bool full; /* not one accept is outstanding: every connection of the lane is in use */
	} lane[SC_LANES_MAX];
};

struct sc_session {
	const struct engine_ops *ops;
	struct group *group;
	struct lane *lanes;
	unsigned int lane_cnt;
	unsigned int handed; /* events told by the last sc_poll or sc_wait: the caller may be at them still */
	unsigned int next_lane; /* reaped first in the next poll, so that none starves */
	unsigned int next_conn_lane; /* of the next connection that is made here, not accepted */
	int lost; /* 0, or the -errno with which the engine went away; -ESTALE: it is a parent's, see fork.c */
	bool lost_told;
	bool resting; /* something of it does */
	unsigned int spin_us; /* what the caller allows */
	unsigned int spin_now_us; /* direct: what has paid lately, at most spin_us */
	struct sc_listener listeners[LISTENERS_MAX];
	struct sc_file *files[SC_FILES_MAX];
	unsigned int files_closing; /* of them; each needs requests */

	char *mem; /* what may be sent from: the group's */
	size_t mem_len;
	uint64_t base; /* mem as the engine calls it */
	void *arena_mem;
	size_t arena_len; /* scratch of all lanes at its end */
	struct arena arena;
	struct segment_uses *uses; /* in the group */
	unsigned int segments_seen; /* local: the version of the group's segments that the ring knows */

	int fd; /* what sc_fd hands out */
	int64_t quiet_ms; /* direct: since when there were no completions, 0: there were some */
	bool armed; /* direct: sc_arm has asked for wake-ups */
	struct store store; /* told next */
	struct job_pool jobs;
	struct sc_session *fork_next; /* of all sessions */
	struct sc_counters counters;
	char fallback_reason[160];
};

/* Bytes at the arena's end that the lanes' send_scratch and markers take. */
static inline size_t sc_session_scratch_len(unsigned int lane_cnt, unsigned int conn_cnt)
{
	return (lane_cnt * (conn_cnt * sizeof(struct send_scratch) + sizeof(struct lane_words)) + 4095) & ~(size_t)4095;
}

/*
 * Hands over what was asked for, sleeps up to timeout_ms for completions (< 0: for ever) unless there are some, and keeps what
 * they tell for the next sc_poll. 0, -EINTR, -ENOBUFS no more can be kept, or session->lost when nothing is left to tell.
 */
int sc_session_turn(struct sc_session *session, int timeout_ms);

/* true if there are completions, or a loss to tell. */
bool sc_session_ready(const struct sc_session *session);

/* The engine is gone, or the session a parent's: sets the reason, returns session->lost. */
int sc_session_refuse(const struct sc_session *session);

/* A parent's: its queues must not be touched. */
static inline bool sc_session_stale(const struct sc_session *session)
{
	return session->lost == -ESTALE;
}

/* false: a struct of `size` bytes has something in fields that this library, which knows the first ones, does not know. */
bool sc_options_known(const void *options, size_t size, size_t known);

/* Closes what the session has open, while others of its group go on. At most half a second. */
void sc_session_leave(struct sc_session *session);

/* For a connection that is not accepted, of the lanes in turn. NULL with a reason: all are in use. */
struct sc_conn *sc_session_conn_get(struct sc_session *session);

/* Milliseconds of a clock that does not jump. */
int64_t sc_session_now_ms(void);

/* An address of this process as the engine calls it. */
static inline uint64_t sc_session_addr(const struct sc_session *session, const void *mem)
{
	return session->base + (uint64_t)((const char *)mem - session->mem);
}

/* Ended: the place may be used again some time after. */
void sc_rest_conn(struct sc_conn *conn);
void sc_rest_listener(struct sc_listener *listener);
/* Those that rest do not any more, as far as nobody can take an event of theirs for their successor's. */
void sc_rest_over(struct sc_session *session);

/* The same, for nothing where nothing rests. */
static inline void sc_rest_turn(struct sc_session *session)
{
	if (unlikely(session->resting))
		sc_rest_over(session);
}

/* Accepts until as many are outstanding as should be. */
void sc_listener_fill(struct sc_listener *listener, struct lane *lane);
/* An accepted connection is closed. */
void sc_listener_left(struct sc_conn *conn);
/* A completion of the listener's own: of its close (what == LISTENER_CLOSE), or of a cancel that found nothing. */
enum listener_op {
	LISTENER_CLOSE = 0,
	LISTENER_CANCEL = 1,
	FILE_INSTALL = 2, /* of no listener: see option.c */
	MAIL_HERE = 4, /* of none either: see handover.c; 3 is FILE_CLOSE */
	MAIL_FAILED = 5,
};
void sc_listener_complete(struct sc_listener *listener, struct lane *lane, enum listener_op what);
/* An accept of this listener has ended; err: 0 or -errno. */
void sc_listener_accepted(struct sc_listener *listener, struct lane *lane, int err);

/* Submits what the connection wants; false: the queue is full. */
bool sc_conn_fill(struct sc_conn *conn);
/* Lets the entry be used again if nothing of the connection is left; it may be gone afterwards. */
void sc_conn_recycle(struct sc_conn *conn);
/* Wants an operation, submitting it at once if there is room. */
void sc_conn_want(struct sc_conn *conn, enum conn_op op);
/* Has an operation cancelled that is in flight. A cancel that succeeds is told by the end of its victim. */
void sc_conn_cancel(struct sc_conn *conn, enum conn_op victim);
/* What of it has not been submitted is not. */
void sc_conn_cancel_not(struct sc_conn *conn, enum conn_op victim);
/* A completion of op; adds at most one event. */
void sc_conn_complete(struct sc_conn *conn, enum conn_op op, const struct io_uring_cqe *cqe, struct sink *sink);
/* An error has ended a direction of the connection, and not because this side asked for it. */
void sc_conn_broke(struct sc_conn *conn);
/* A send has ended: goes on with a close that waited for the last. */
void sc_conn_close_step(struct sc_conn *conn);

/* A FILE_INSTALL that nobody waited for until its end. */
void sc_file_unwanted(struct lane *lane, int res);

void sc_connect_prep(struct sc_conn *conn, struct io_uring_sqe *sqe);
void sc_connect_timeout_prep(struct sc_conn *conn, struct io_uring_sqe *sqe);
void sc_connect_complete(struct sc_conn *conn, int res, struct sink *sink);
void sc_connect_timeout_complete(struct sc_conn *conn, int res, struct sink *sink);
/* The connection closes: an attempt under way is given up. */
void sc_connect_abort(struct sc_conn *conn);

/* sc_sendv, told to the job if there is one. */
int sc_send_ask(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, uint64_t tag, struct sc_job *job);
/* Ends soon: with -ECANCELED, with what had gone out already, or whole. */
void sc_send_cancel(struct sc_conn *conn, struct send *send);
/* Begins the connection's first send, or goes on with it. */
void sc_send_begin(struct sc_conn *conn);
/* 0, or why the connection takes no send. */
int sc_send_allowed(const struct sc_conn *conn);
/* A send of len bytes from nowhere yet; NULL with a reason. */
struct send *sc_send_get(struct sc_conn *conn, size_t len, uint64_t tag);
/* Queues it. */
void sc_send_add(struct sc_conn *conn, struct send *send);
/* The request for the connection's first send, or the rest of it. */
void sc_send_prep(struct sc_conn *conn, struct io_uring_sqe *sqe);
void sc_send_complete(struct sc_conn *conn, int res, struct sink *sink);
/* Sends not in flight end with err, told by the next reap. */
void sc_sends_end(struct sc_conn *conn, int err);
/* The first ends with err as well, for a reason of ours. */
void sc_send_fail(struct sc_conn *conn, int err);

/* The event tells what a job would ask for. */
bool sc_mode_received(const struct sc_event *event, const struct sc_conn *conn);
/* It receives by jobs: what its inbox has becomes events. 0, -EBUSY, -ENOBUFS with a reason. */
int sc_mode_to_events(struct sc_conn *conn);

/* May the connection's send go into the queue? If not it does later, by sc_bulk_fill. Only with high_cnt. */
bool sc_bulk_admit(struct sc_conn *conn);
void sc_bulk_fill(struct lane *lane);
/* The consumer has all bulk that was in the queue. */
void sc_bulk_fenced(struct lane *lane);
/* How much of len one request may ask for. */
size_t sc_bulk_len(const struct sc_conn *conn, size_t len);

/* The request for the connection's first send, if it is worth one without a copy: true. */
bool sc_zerocopy_prep(struct sc_conn *conn, struct io_uring_sqe *sqe);
/* Will that be tried for this one, if its turn is now? */
bool sc_zerocopy_due(struct sc_conn *conn, const struct send *send);
/* The first send's request, without a copy, has a completion. true: the kernel can't do it without a copy, it is asked for again. Else its result. */
bool sc_zerocopy_complete(struct sc_conn *conn, const struct io_uring_cqe *cqe, int *ret_res);
/* The kernel has stopped reading a send's memory. */
void sc_zerocopy_notice(struct sc_conn *conn, const struct io_uring_cqe *cqe, struct sink *sink);
/* Before its close: ends the stream while the kernel still reads memory of it. */
void sc_zerocopy_end(struct sc_conn *conn);
/* The send, no longer in the queue, has ended; told when its turn and the memory's has come. */
void sc_send_hold(struct sc_conn *conn, struct send *send, int result);

/* A send of pieces that are of this session, on no list yet. -errno with a reason. */
int sc_send_new(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, uint64_t tag, struct send **ret_send);

void sc_recv_prep(struct sc_conn *conn, struct io_uring_sqe *sqe);
/* Asks for more unless there is a reason not to. */
void sc_recv_next(struct sc_conn *conn);
/* Has what was asked for cancelled. */
void sc_recv_stop(struct sc_conn *conn);
/* Some of those that were starved ask again; sc_recv_may_feed said so. */
void sc_recv_feed(struct lane *lane);

static inline bool sc_recv_may_feed(const struct lane *lane)
{
	return lane->starved_head && !lane->feeding && sc_lane_bufs_free(lane);
}

/* A copy in the arena, the buffer is given back; or the data itself. */
void *sc_recv_copy(struct lane *lane, void *data, size_t len);
/* Few buffers left: the data moves to the arena, so that a connection nobody reads from does not keep them all. */
static inline void *sc_recv_keep(struct lane *lane, void *data, size_t len)
{
	return unlikely(sc_lane_bufs_few(lane)) ? sc_recv_copy(lane, data, len) : data;
}

/* An unreleased buffer, or copy, is none any more. */
void sc_recv_give_back(struct sc_conn *conn, void *data);
void sc_recv_complete(struct sc_conn *conn, const struct io_uring_cqe *cqe, struct sink *sink);

#endif

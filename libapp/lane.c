// SPDX-License-Identifier: MIT
/* A lane: one io_uring with its receive buffers and connections, whoever consumes its queue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handover.h"
#include "inbox.h"
#include "session.h"
#include "udp.h"

struct send_chunk {
	struct send_chunk *next;
	struct send sends[SEND_CHUNK];
};

/* What the kernel reads a buffer's address from, published with bufs_added by io_uring_buf_ring_advance. */
static void buf_add(struct lane *lane, unsigned int bid)
{
	uint64_t addr = lane->bufs_addr + ((uint64_t)bid << lane->buf_shift);

	io_uring_buf_ring_add(lane->buf_ring, (void *)(uintptr_t)addr, 1U << lane->buf_shift, (unsigned short)bid,
			      (int)lane->buf_cnt - 1, (int)lane->bufs_added);
	lane->bufs_added++;
}

void sc_lane_bufs_publish(struct lane *lane)
{
	if (!lane->bufs_added)
		return;
	io_uring_buf_ring_advance(lane->buf_ring, (int)lane->bufs_added);
	lane->bufs_added = 0;
}

int sc_lane_init(struct lane *lane)
{
	lane->conns = calloc(lane->conn_cnt, sizeof(*lane->conns));
	if (!lane->conns)
		return -ENOMEM;
	lane->send_max = lane->conn_cnt * 4 + 1024;
	lane->bufs_addr = sc_session_addr(lane->session, lane->bufs);
	for (unsigned int bid = 0; bid < lane->buf_cnt; bid++)
		buf_add(lane, bid);
	sc_lane_bufs_publish(lane);
	return 0;
}

void sc_lane_exit(struct lane *lane)
{
	while (lane->chunks) {
		struct send_chunk *chunk = lane->chunks;

		lane->chunks = chunk->next;
		free(chunk);
	}
	sc_handover_exit(lane);
	sc_inbox_exit(lane);
	for (unsigned int i = 0; i < lane->conns_fresh; i++)
		if (lane->conns[i].datagram && lane->conns[i].udp)
			sc_udp_free(&lane->conns[i]);
	for (unsigned int i = 0; i < lane->conns_fresh; i++)
		free(lane->conns[i].reader);
	free(lane->conns);
	lane->conns = NULL;
}

struct sc_conn *sc_lane_conn_get(struct lane *lane)
{
	struct sc_conn *conn = lane->conn_free;
	uint32_t gen;

	if (conn)
		lane->conn_free = conn->next;
	else if (lane->conns_fresh < lane->conn_cnt)
		conn = &lane->conns[lane->conns_fresh++];
	else
		return NULL;
	gen = conn->gen;
	*conn = (struct sc_conn){ .lane = lane, .file = -1, .gen = gen };
	return conn;
}

void sc_lane_conn_put(struct sc_conn *conn)
{
	conn->lane->high_cnt -= conn->high;
	conn->gen++;
	sc_rest_conn(conn);
}

static int sends_grow(struct lane *lane)
{
	struct send_chunk *chunk;

	if (lane->send_cnt >= lane->send_max)
		return -ENOMEM;
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	chunk->next = lane->chunks;
	lane->chunks = chunk;
	lane->send_cnt += SEND_CHUNK;
	for (unsigned int i = 0; i < SEND_CHUNK; i++)
		sc_lane_send_put(lane, &chunk->sends[i]);
	return 0;
}

struct send *sc_lane_send_get(struct lane *lane)
{
	struct send *send;

	if (!lane->send_free && sends_grow(lane)) {
		lane->session->counters.sends_full++;
		return NULL;
	}
	send = lane->send_free;
	lane->send_free = send->next;
	return send;
}

static __attribute__((noinline)) void send_memory_put(struct lane *lane, struct send *send)
{
	if (send->file)
		sc_file_send_put(send);
	while (send->segment_cnt)
		sc_segment_put(lane->session, send->segment[--send->segment_cnt]);
}

void sc_lane_send_put(struct lane *lane, struct send *send)
{
	if (unlikely(send->file || send->segment_cnt))
		send_memory_put(lane, send);
	send->next = lane->send_free;
	lane->send_free = send;
}

void sc_lane_send_done(struct lane *lane, struct send *send, int result)
{
	send->result = result;
	send->next = NULL;
	if (lane->done_head)
		lane->done_tail->next = send;
	else
		lane->done_head = send;
	lane->done_tail = send;
}

void sc_lane_buf_put(struct lane *lane, void *data)
{
	size_t off = (size_t)((char *)data - lane->bufs);

	if (unlikely(off >= (size_t)lane->buf_cnt << lane->buf_shift)) {
		sc_arena_free(&lane->session->arena, data);
		return;
	}
	buf_add(lane, (unsigned int)(off >> lane->buf_shift));
	lane->bufs_held--;
}

void sc_lane_send_tell(struct lane *lane, struct send *send, int result, struct sink *sink)
{
	struct sc_event *event;

	if (unlikely(send->job)) {
		sc_job_end(send->job, result);
	} else {
		event = sc_event_add(sink, SC_EVENT_SENT, send->conn);
		event->tag = send->tag;
		event->result = result;
	}
	sc_lane_send_put(lane, send);
	lane->session->counters.send_events++;
}

static __attribute__((noinline)) void reap_done(struct lane *lane, struct sink *sink)
{
	while (lane->done_head && sink->cnt < sink->max) {
		struct send *send = lane->done_head;

		lane->done_head = send->next;
		sc_lane_send_tell(lane, send, send->result, sink);
	}
}

/* What is no connection's, or nobody's. */
static __attribute__((noinline)) void dispatch_own(struct lane *lane, const struct io_uring_cqe *cqe)
{
	uint32_t gen = sc_tag_gen(cqe->user_data), idx = sc_tag_idx(cqe->user_data);

	if (cqe->user_data == SC_TAG_FENCE)
		sc_bulk_fenced(lane);
	else if (cqe->user_data == SC_TAG_FED)
		lane->feeding = false;
	else if (cqe->user_data == SC_DOORBELL_TAG)
		lane->doorbell_armed = cqe->flags & IORING_CQE_F_MORE;
	else if (sc_tag_op(cqe->user_data))
		return;
	else if (gen == MAIL_HERE)
		sc_handover_mail(lane);
	else if (gen == MAIL_FAILED)
		sc_handover_untold(lane, idx, cqe->res);
	else if (gen == FILE_INSTALL)
		sc_file_unwanted(lane, cqe->res);
	else if (gen == FILE_CLOSE)
		sc_file_closed(lane, idx);
	else if (idx < LISTENERS_MAX)
		sc_listener_complete(&lane->session->listeners[idx], lane, gen);
}

/* user_data is what the kernel hands back of an SQE of ours; it is checked all the same: it comes by shared memory. */
static inline void dispatch(struct lane *lane, const struct io_uring_cqe *cqe, struct sink *sink)
{
	uint64_t data = cqe->user_data;
	uint32_t op = sc_tag_op(data), idx = sc_tag_idx(data);

	if (unlikely(!op || data >= SC_TAG_FED))
		dispatch_own(lane, cqe);
	else if (likely(idx < lane->conns_fresh && (lane->conns[idx].gen & 0xffffff) == sc_tag_gen(data)))
		sc_conn_complete(&lane->conns[idx], op, cqe, sink);
}

void sc_lane_reap(struct lane *lane, struct sink *sink)
{
	struct io_uring_cqe *shared;
	unsigned int head, seen = 0;

	if (unlikely(lane->done_head))
		reap_done(lane, sink);
	io_uring_for_each_cqe(&lane->ring, head, shared) {
		struct io_uring_cqe cqe = { .user_data = shared->user_data,
					    .res = shared->res,
					    .flags = shared->flags };

		if (sink->cnt == sink->max)
			break;
		seen++;
		dispatch(lane, &cqe, sink);
		if (unlikely(lane->done_head))
			reap_done(lane, sink); /* before the completion of a close that was asked for in dispatch */
	}
	if (!seen)
		return;
	io_uring_cq_advance(&lane->ring, seen);
	lane->session->quiet_ms = 0;
}

bool sc_lane_ready(const struct lane *lane)
{
	return lane->done_head || io_uring_cq_ready(&lane->ring);
}

void sc_lane_todo_add(struct sc_conn *conn)
{
	struct lane *lane = conn->lane;

	conn->on_todo = true;
	conn->next = conn->high ? lane->todo_head : NULL;
	if (conn->high) {
		lane->todo_head = conn;
		if (!conn->next)
			lane->todo_tail = conn;
		return;
	}
	if (lane->todo_head)
		lane->todo_tail->next = conn;
	else
		lane->todo_head = conn;
	lane->todo_tail = conn;
}

void sc_lane_todo_fill(struct sc_conn *conn)
{
	if (!sc_conn_fill(conn)) {
		sc_lane_todo_add(conn);
		return;
	}
	conn->bulk_turn = false; /* of a send that was cancelled meanwhile */
	sc_conn_recycle(conn);
}

static void todo_fill(struct lane *lane)
{
	struct sc_conn *conn = lane->todo_head;

	lane->todo_head = NULL;
	lane->todo_tail = NULL;
	while (conn) {
		struct sc_conn *next = conn->next;

		conn->on_todo = false;
		sc_lane_todo_fill(conn);
		conn = next;
	}
}

void sc_lane_fill(struct lane *lane)
{
	lane->short_of_room = false;
	sc_lane_bufs_publish(lane);
	if (unlikely(sc_recv_may_feed(lane)))
		sc_recv_feed(lane);
	if (lane->todo_head)
		todo_fill(lane);
	if (lane->bulk_head)
		sc_bulk_fill(lane);
	if (lane->session->files_closing)
		sc_files_fill(lane);
	if (lane->tell)
		sc_handover_fill(lane);
	for (unsigned int i = 0; i < LISTENERS_MAX; i++)
		if (lane->session->listeners[i].used)
			sc_listener_fill(&lane->session->listeners[i], lane);
}

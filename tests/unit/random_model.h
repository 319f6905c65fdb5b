/* SPDX-License-Identifier: MIT */
/* What libapp must do, as far as the random test can tell from outside: connections as pairs of byte streams. */
#ifndef TESTS_RANDOM_MODEL_H
#define TESTS_RANDOM_MODEL_H

#include <sidecore/app.h>

#include "random_peer.h"

enum { MODEL_SEGMENTS = 3, MODEL_SESSIONS = 3 };

/* A send asked for and not yet told of. */
struct order {
	struct order *next;
	uint64_t tag;
	struct sc_job *job; /* that tells its end, or NULL: an event does */
	bool cancelled; /* the job */
	size_t len;
	void *mem; /* of the arena of a session, or NULL */
	unsigned int mem_session;
	struct sc_segment **segment; /* that it is sent from, or NULL */
	struct held *held; /* what it echoes, or NULL */
};

/* A received buffer not yet released. */
struct held {
	struct link *link;
	struct sc_conn *conn; /* that it was told of; given away meanwhile, it is still the one to release it */
	char *data;
	size_t len;
	uint64_t pos; /* in the peer's stream */
	unsigned int sending; /* orders that point to it */
	unsigned int idx; /* in model.held */
};

/* What one session has of a connection. */
struct hand {
	struct hand *next;
	struct sc_conn *conn;
	unsigned int session;
	unsigned int refused; /* times that it was not given, still to be told of; but for the last */
	struct order *first, *last;
};

/* One connection, accepted or made; its books outlive it. */
struct link {
	struct hand *here; /* NULL: on its way, or closed */
	struct hand *past; /* of sessions that were not told yet that it has gone */
	bool giving; /* from here */
	bool coming; /* gone, and not told of by the session that took it */
	bool moved; /* once at least */
	bool retell; /* how its stream ended, to the session that took it */
	unsigned int to; /* the session that it goes to */
	uint32_t id; /* its place in the model + 1 */
	uint32_t peer_id; /* the stream's first bytes */
	uint64_t received, asked, sent;
	bool by_jobs; /* it receives so */
	struct sc_job *recv_job; /* that waits, or has ended unasked; NULL: none */
	char *recv_buf;
	size_t recv_len;
	bool recv_all, recv_cancelled, read_last;
	bool made, connecting; /* made here; its outcome not told */
	bool marked; /* by a socket option */
	bool shut, closing, close_now;
	bool closed, ended, broken, send_failed;
	bool doomed; /* a send was refused for an earlier one whose failure is still to be told */
	bool cut; /* in the middle of a send, by the cancelling of its job */
	unsigned int closing_batch; /* events of this one may still come after sc_close */
	unsigned int live_idx;
};

struct model {
	struct sc_session *sessions[MODEL_SESSIONS]; /* of one group, if there are several */
	unsigned int session_cnt;
	struct rng rng;
	struct link **links; /* all of the round */
	unsigned int link_cnt, link_room;
	unsigned int *live, live_cnt, live_room; /* indices of those not closed, or not told of everywhere */
	struct held **held;
	unsigned int held_cnt, held_room;
	unsigned int order_cnt, segment_orders[MODEL_SEGMENTS], connect_cnt;
	struct sc_segment *segments[MODEL_SEGMENTS];
	unsigned int batch, now; /* now: the session whose events these are */
	uint64_t next_tag;
	struct sc_counters counters; /* what sc_info must say, as far as events tell */
};

/* Says what went wrong, ends the service and the program. */
void random_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define EXPECT(condition, ...)                    \
	do {                                      \
		if (!(condition))                 \
			random_fail(__VA_ARGS__); \
	} while (0)

/* Before the events of one sc_poll or sc_wait of a session. */
void model_batch(struct model *model, unsigned int session);
void model_event(struct model *model, const struct sc_event *event);

/* Asks after all jobs. */
void model_settle(struct model *model);
/* A receive of the connection's by a job, or a synchronous one, has ended so. */
void model_read(struct model *model, struct link *link, const char *data, ssize_t result);

/* sc_connect has made this connection. */
void model_connecting(struct model *model, unsigned int session, struct sc_conn *conn);

/* sc_conn_give has taken it. */
void model_giving(struct link *link, unsigned int to);
/* Sends of it are under way, be it where it was. */
bool model_sending(const struct link *link);

void model_ordered(struct model *model, struct link *link, struct order *order);
void model_release(struct model *model, struct held *held);

/* All has come to an end and been given back; the crowd has been joined. The counters of all sessions go to *ret_sum. */
void model_check(const struct model *model, const struct crowd *crowd, struct sc_counters *ret_sum);
void model_free(struct model *model);

#endif

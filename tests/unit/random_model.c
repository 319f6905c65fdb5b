// SPDX-License-Identifier: MIT
/* What libapp must do, as far as the random test can tell from outside: connections as pairs of byte streams. */
#include "random_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *grown(void *array, unsigned int cnt, unsigned int *room, size_t size)
{
	if (cnt < *room)
		return array;
	*room = *room ? *room * 2 : 64;
	array = realloc(array, *room * size);
	EXPECT(array, "out of memory");
	return array;
}

void model_batch(struct model *model, unsigned int session)
{
	model->batch++;
	model->now = session;
}

static struct hand *hand_new(unsigned int session, struct sc_conn *conn)
{
	struct hand *hand = calloc(1, sizeof(*hand));

	EXPECT(hand, "out of memory");
	*hand = (struct hand){ .session = session, .conn = conn };
	return hand;
}

static struct link *link_add(struct model *model, unsigned int session, struct sc_conn *conn)
{
	struct link *link = calloc(1, sizeof(*link));

	EXPECT(link, "out of memory");
	EXPECT(!sc_conn_data(conn), "a connection begins with another's data");
	model->links = grown(model->links, model->link_cnt, &model->link_room, sizeof(*model->links));
	model->live = grown(model->live, model->live_cnt, &model->live_room, sizeof(*model->live));
	link->here = hand_new(session, conn);
	link->id = model->link_cnt + 1;
	link->live_idx = model->live_cnt;
	model->live[model->live_cnt++] = model->link_cnt;
	model->links[model->link_cnt++] = link;
	sc_conn_set_data(conn, link);
	return link;
}

void model_connecting(struct model *model, unsigned int session, struct sc_conn *conn)
{
	struct link *link = link_add(model, session, conn);

	link->made = true;
	link->connecting = true;
	model->connect_cnt++;
}

/* A connection that failed is one whose sends fail and that never receives. */
static void connected(struct model *model, struct link *link, int result)
{
	EXPECT(link->connecting, "connection %u: connected (%d), but not being so", link->id, result);
	EXPECT(!link->closing || link->closing_batch == model->batch, "connection %u: connected after sc_close",
	       link->id);
	EXPECT(!result || result == -ECONNREFUSED || result == -ETIMEDOUT || result == -ECONNRESET,
	       "connection %u: connecting failed: %s", link->id, strerror(-result));
	link->connecting = false;
	if (result < 0)
		link->send_failed = link->broken = true;
	else
		model->counters.connected++;
}

static void hold(struct model *model, struct link *link, const struct sc_event *event)
{
	struct held *held = malloc(sizeof(*held));

	EXPECT(held, "out of memory");
	model->held = grown(model->held, model->held_cnt, &model->held_room, sizeof(*model->held));
	*held = (struct held){ link, event->conn, event->data, event->len, link->received, 0, model->held_cnt };
	model->held[model->held_cnt++] = held;
}

static void bytes_check(struct model *model, struct link *link, const char *data, size_t len)
{
	for (size_t i = 0; i < len && link->received + i < WIRE_ID_LEN; i++)
		memcpy((char *)&link->peer_id + link->received + i, data + i, 1);
	EXPECT(wire_is(data, len, link->peer_id, link->received),
	       "connection %u: received other bytes than its peer sent, within %zu from position %llu", link->id, len,
	       (unsigned long long)link->received);
	model->counters.received += len;
}

static void received(struct model *model, struct link *link, const struct sc_event *event)
{
	EXPECT(!link->by_jobs, "connection %u: an event of what it receives by jobs", link->id);
	EXPECT(!link->connecting, "connection %u: received before it was connected", link->id);
	EXPECT((!link->ended && !link->broken) || (link->retell && link->ended && !event->len),
	       "connection %u: received after the end of its stream", link->id);
	EXPECT(!link->giving, "connection %u: received where it is given away", link->id);
	EXPECT(!link->closing || link->closing_batch == model->batch, "connection %u: received after sc_close",
	       link->id);
	if (!event->len) {
		link->ended = true;
		link->retell = false;
		return;
	}
	bytes_check(model, link, event->data, event->len);
	hold(model, link, event);
	link->received += event->len;
	model->counters.recv_events++;
}

void model_read(struct model *model, struct link *link, const char *data, ssize_t result)
{
	if (result > 0) {
		EXPECT(!link->ended && !link->broken && !link->read_last,
		       "connection %u: a job read on after the end of its stream", link->id);
		bytes_check(model, link, data, (size_t)result);
		link->received += (size_t)result;
	} else if (!result) {
		link->ended = true;
	} else {
		EXPECT(result == -ECONNRESET || result == -EPIPE || result == -ECONNREFUSED || result == -ETIMEDOUT,
		       "connection %u: a job read %s", link->id, strerror((int)-result));
		link->broken = true;
	}
}

/* A send has ended: by an event, or as its job says. */
static void order_end(struct model *model, struct link *link, struct hand *hand, ssize_t result)
{
	struct order *order = hand->first;
	bool withdrawn = order->cancelled && result == -ECANCELED;

	EXPECT(result < 0 || (size_t)result == order->len || (order->cancelled && (size_t)result < order->len),
	       "connection %u: %zd of %zu bytes sent", link->id, result, order->len);
	EXPECT(result < 0 || !link->send_failed || hand != link->here || link->past,
	       "connection %u: a send succeeded after one that failed", link->id);
	EXPECT(result != -EINTR, "connection %u: a send was interrupted", link->id);
	EXPECT(result != -ECANCELED || link->close_now || link->cut || withdrawn,
	       "connection %u: a send was cancelled unasked", link->id);
	if (result >= 0) {
		link->sent += (size_t)result;
		model->counters.sent += (size_t)result;
		link->cut |= (size_t)result < order->len;
	}
	link->send_failed |= link->cut || (result < 0 && !withdrawn);
	if (withdrawn && !link->close_now)
		link->asked -= order->len; /* not a byte of it goes out */
	model->counters.send_events++;
	hand->first = order->next;
	model->order_cnt--;
	sc_free(model->sessions[order->mem_session], order->mem);
	if (order->segment)
		model->segment_orders[order->segment - model->segments]--;
	if (order->held)
		order->held->sending--;
	free(order);
}

static bool job_ended(struct sc_job *job, ssize_t *ret_result)
{
	int ret = sc_job_done(job, ret_result);

	EXPECT(ret >= 0 || ret == -EINTR, "sc_job_done: %s", strerror(-ret));
	return ret == 1;
}

/* In order: those behind one that has not ended are not asked after. */
static void sends_settle(struct model *model, struct link *link, struct hand *hand)
{
	ssize_t result;

	while (hand->first && hand->first->job && job_ended(hand->first->job, &result))
		order_end(model, link, hand, result);
}

static void receive_settle(struct model *model, struct link *link)
{
	ssize_t result;

	if (!link->recv_job || !job_ended(link->recv_job, &result))
		return;
	EXPECT(result <= (ssize_t)link->recv_len, "connection %u: a job read %zd bytes into %zu", link->id, result,
	       link->recv_len);
	if (result == -ECANCELED) {
		EXPECT(link->recv_cancelled || link->closing, "connection %u: a receive was cancelled unasked",
		       link->id);
	} else {
		model_read(model, link, link->recv_buf, result);
		/* only the end of the stream makes it less than all */
		link->read_last = link->recv_all && result > 0 && result < (ssize_t)link->recv_len &&
				  !link->recv_cancelled;
	}
	free(link->recv_buf);
	link->recv_job = NULL;
}

void model_settle(struct model *model)
{
	for (unsigned int i = 0; i < model->live_cnt; i++) {
		struct link *link = model->links[model->live[i]];

		for (struct hand *hand = link->past; hand; hand = hand->next)
			sends_settle(model, link, hand);
		if (link->here)
			sends_settle(model, link, link->here);
		receive_settle(model, link);
	}
}

bool model_sending(const struct link *link)
{
	for (const struct hand *hand = link->past; hand; hand = hand->next)
		if (hand->first)
			return true;
	return link->here && link->here->first;
}

static void sent(struct model *model, struct link *link, struct hand *hand, const struct sc_event *event)
{
	struct order *order;

	sends_settle(model, link, hand);
	order = hand->first;
	EXPECT(order, "connection %u: a send completed (%d) but none is under way", link->id, event->result);
	EXPECT(!order->job && order->tag == event->tag,
	       "connection %u: send %llu completed (%d), the next in order is %llu", link->id,
	       (unsigned long long)event->tag, event->result, (unsigned long long)order->tag);
	order_end(model, link, hand, event->result);
}

/* Nothing more is told of it anywhere. */
static void link_rest(struct model *model, struct link *link)
{
	unsigned int last;

	if (!link->closed || link->past)
		return;
	last = model->live[--model->live_cnt];
	model->live[link->live_idx] = last;
	model->links[last]->live_idx = link->live_idx;
}

static void hand_end(struct model *model, struct link *link, struct hand *hand)
{
	sends_settle(model, link, hand);
	EXPECT(!hand->first, "connection %u: closed or given, but not told of its send %llu", link->id,
	       (unsigned long long)hand->first->tag);
	free(hand);
}

static void closed(struct model *model, struct link *link)
{
	receive_settle(model, link);
	EXPECT(link->closing, "connection %u: closed unasked", link->id);
	EXPECT(!link->giving, "connection %u: closed where it is given away", link->id);
	EXPECT(!link->recv_job, "connection %u: closed, but its receive has not ended", link->id);
	hand_end(model, link, link->here);
	link->here = NULL;
	link->closed = true;
	model->counters.closed++;
	link_rest(model, link);
}

static void broken(struct model *model, struct link *link, int result)
{
	EXPECT(!link->by_jobs, "connection %u: an event of what it receives by jobs", link->id);
	EXPECT((!link->ended && !link->broken) || (link->retell && link->broken), "connection %u: broken after its end",
	       link->id);
	EXPECT(!link->giving, "connection %u: broken where it is given away", link->id);
	EXPECT(result == -ECONNRESET || result == -EPIPE ||
		       (link->retell && (result == -ECONNREFUSED || result == -ETIMEDOUT)),
	       "connection %u: broken by %s", link->id, strerror(-result));
	EXPECT(!link->closing || link->closing_batch == model->batch, "connection %u: error after sc_close", link->id);
	link->broken = true;
	link->retell = false;
}

/* --- handing over --- */

void model_giving(struct link *link, unsigned int to)
{
	link->here->refused += link->giving; /* or it could not be asked again */
	link->giving = true;
	link->to = to;
}

/* It goes: a close that was asked for meanwhile is not done. */
static void gone(struct link *link)
{
	link->giving = false;
	link->closing = false;
	link->close_now = false;
}

static void given(struct model *model, struct link *link, struct hand *hand, int result)
{
	if (result && hand->refused) { /* that giving; it was asked for again */
		hand->refused--;
		return;
	}
	EXPECT(hand != link->here || link->giving, "connection %u: given (%d), but not being so", link->id, result);
	EXPECT(hand == link->here || !result, "connection %u: taken, but given with %s", link->id, strerror(-result));
	if (result) {
		EXPECT(result == -ENFILE || result == -ENOMEM || (result == -ECANCELED && link->closing),
		       "connection %u: not given: %s", link->id, strerror(-result));
		link->giving = false;
		return;
	}
	model->counters.given++;
	if (hand == link->here) {
		link->here = NULL;
		link->coming = true;
		gone(link);
	} else {
		struct hand **at = &link->past;

		while (*at != hand)
			at = &(*at)->next;
		*at = hand->next;
	}
	hand_end(model, link, hand);
	link_rest(model, link);
}

static void taken(struct model *model, struct sc_conn *conn)
{
	struct link *link = sc_conn_data(conn);

	EXPECT(link && !link->closed && (link->giving || link->coming), "taken, but never given");
	EXPECT(link->to == model->now, "connection %u: taken by another session", link->id);
	if (link->here) {
		link->here->next = link->past;
		link->past = link->here;
		gone(link);
	}
	link->here = hand_new(model->now, conn);
	link->coming = false;
	link->by_jobs = false;
	link->moved = true;
	link->retell = link->ended || link->broken;
	model->counters.taken++;
}

/* --- events --- */

static struct hand *hand_of(const struct link *link, const struct sc_conn *conn)
{
	struct hand *hand = link->past;

	if (link->here && link->here->conn == conn)
		return link->here;
	while (hand && hand->conn != conn)
		hand = hand->next;
	return hand;
}

void model_event(struct model *model, const struct sc_event *event)
{
	struct link *link = event->conn && event->type != SC_EVENT_ACCEPT ? sc_conn_data(event->conn) : NULL;
	struct hand *hand;

	if (event->type == SC_EVENT_ACCEPT) {
		(void)link_add(model, model->now, event->conn);
		model->counters.accepted++;
		return;
	}
	if (event->type == SC_EVENT_TAKEN) {
		taken(model, event->conn);
		return;
	}
	EXPECT(event->type != SC_EVENT_LOST, "the engine was lost: %s", strerror(-event->result));
	EXPECT(link, "event %d of a connection that never began", event->type);
	hand = hand_of(link, event->conn);
	EXPECT(hand && hand->session == model->now, "connection %u: event %d (%d) after its end", link->id, event->type,
	       event->result);
	EXPECT(hand == link->here || event->type == SC_EVENT_SENT || event->type == SC_EVENT_GIVEN,
	       "connection %u: event %d (%d) where it has gone from", link->id, event->type, event->result);
	switch (event->type) {
	case SC_EVENT_RECV:
		received(model, link, event);
		break;
	case SC_EVENT_SENT:
		sent(model, link, hand, event);
		break;
	case SC_EVENT_CONNECT:
		connected(model, link, event->result);
		break;
	case SC_EVENT_ERROR:
		broken(model, link, event->result);
		break;
	case SC_EVENT_GIVEN:
		given(model, link, hand, event->result);
		break;
	default:
		closed(model, link);
		break;
	}
}

void model_ordered(struct model *model, struct link *link, struct order *order)
{
	struct hand *hand = link->here;

	order->next = NULL;
	if (hand->first)
		hand->last->next = order;
	else
		hand->first = order;
	hand->last = order;
	link->asked += order->len;
	model->order_cnt++;
	if (order->segment)
		model->segment_orders[order->segment - model->segments]++;
	if (order->held)
		order->held->sending++;
}

/* Its bytes must be there still: nobody else may have been given the memory. */
void model_release(struct model *model, struct held *held)
{
	struct held *last = model->held[--model->held_cnt];

	EXPECT(wire_is(held->data, held->len, held->link->peer_id, held->pos),
	       "connection %u: a received buffer changed before its release", held->link->id);
	model->held[held->idx] = last;
	last->idx = held->idx;
	sc_release(held->conn, held->data);
	free(held);
}

/* --- the end of a round --- */

static void link_check(const struct link *link, const struct crowd *crowd)
{
	const struct remote *remote;

	EXPECT(link->closed && !link->past, "connection %u: never came to its end", link->id);
	EXPECT(!link->doomed || link->send_failed, "connection %u: a send was refused, but none failed", link->id);
	if (link->received < WIRE_ID_LEN)
		return;
	EXPECT(link->peer_id && link->peer_id <= crowd->cnt, "connection %u: of no peer", link->id);
	remote = &crowd->remotes[link->peer_id - 1];
	EXPECT(link->received <= remote->sent, "connection %u: received more than was sent", link->id);
	EXPECT(!link->ended || link->received == remote->sent,
	       "connection %u: %llu bytes until the end, %llu were sent", link->id, (unsigned long long)link->received,
	       (unsigned long long)remote->sent);
	EXPECT(!link->broken || remote->left, "connection %u: broken, but its peer was there", link->id);
	EXPECT(remote->received <= link->asked, "connection %u: its peer received more than was sent", link->id);
	EXPECT(!remote->app_id || remote->app_id == link->id, "connection %u: its peer received another's bytes",
	       link->id);
	EXPECT(!remote->ended || remote->received >= link->sent, "connection %u: its peer received %llu bytes of %llu",
	       link->id, (unsigned long long)remote->received, (unsigned long long)link->sent);
	EXPECT(!remote->ended || link->close_now || link->cut || remote->received == link->asked,
	       "connection %u: a send failed, but its peer was there until the end", link->id);
	EXPECT(!remote->reset || link->closing, "connection %u: reset, but never closed", link->id);
}

static void counter_check(const char *name, uint64_t told, uint64_t want)
{
	EXPECT(told == want, "sc_info: %s is %llu, events told of %llu", name, (unsigned long long)told,
	       (unsigned long long)want);
}

static void counter_check_least(const char *name, uint64_t told, uint64_t want)
{
	EXPECT(told >= want, "sc_info: %s is %llu, events told of %llu", name, (unsigned long long)told,
	       (unsigned long long)want);
}

/* Counters are words, all of them. */
static void counters_sum(const struct model *model, struct sc_counters *ret_sum)
{
	uint64_t *sum = (uint64_t *)ret_sum;

	for (unsigned int i = 0; i < model->session_cnt; i++) {
		struct sc_info info = { .size = sizeof(info) };

		EXPECT(!sc_info(model->sessions[i], &info), "sc_info failed");
		for (unsigned int j = 0; j < sizeof(*ret_sum) / sizeof(*sum); j++)
			sum[j] += ((const uint64_t *)&info.counters)[j];
	}
}

void model_check(const struct model *model, const struct crowd *crowd, struct sc_counters *ret_sum)
{
	const struct sc_counters *want = &model->counters;

	for (unsigned int i = 0; i < model->link_cnt; i++)
		link_check(model->links[i], crowd);
	*ret_sum = (struct sc_counters){ 0 };
	counters_sum(model, ret_sum);
	counter_check("accepted", ret_sum->accepted, want->accepted);
	counter_check("closed", ret_sum->closed, want->closed);
	/* what jobs read has no event, and what was kept for them and nobody read is gone */
	counter_check_least("received", ret_sum->received, want->received);
	counter_check_least("recv_events", ret_sum->recv_events, want->recv_events);
	counter_check("sent", ret_sum->sent, want->sent);
	counter_check("send_events", ret_sum->send_events, want->send_events);
	counter_check("given", ret_sum->given, want->given);
	counter_check("taken", ret_sum->taken, want->taken);
	counter_check("given", ret_sum->given, ret_sum->taken);
	EXPECT(ret_sum->accepted + model->connect_cnt == ret_sum->closed,
	       "sc_info: %llu were closed, but %llu accepted and %u made", (unsigned long long)ret_sum->closed,
	       (unsigned long long)ret_sum->accepted, model->connect_cnt);
	/* one that was closed meanwhile is not told of */
	EXPECT(ret_sum->connected >= want->connected && ret_sum->connected <= model->connect_cnt,
	       "sc_info: connected is %llu, events told of %llu", (unsigned long long)ret_sum->connected,
	       (unsigned long long)want->connected);
}

void model_free(struct model *model)
{
	for (unsigned int i = 0; i < model->link_cnt; i++)
		free(model->links[i]);
	free(model->links);
	free(model->live);
	free(model->held);
}

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

void model_batch(struct model *model)
{
	model->batch++;
}

static struct link *link_add(struct model *model, struct sc_conn *conn)
{
	struct link *link = calloc(1, sizeof(*link));

	EXPECT(link, "out of memory");
	EXPECT(!sc_conn_data(conn), "a connection begins with another's data");
	model->links = grown(model->links, model->link_cnt, &model->link_room, sizeof(*model->links));
	model->live = grown(model->live, model->live_cnt, &model->live_room, sizeof(*model->live));
	link->conn = conn;
	link->id = model->link_cnt + 1;
	link->live_idx = model->live_cnt;
	model->live[model->live_cnt++] = model->link_cnt;
	model->links[model->link_cnt++] = link;
	sc_conn_set_data(conn, link);
	return link;
}

void model_connecting(struct model *model, struct sc_conn *conn)
{
	struct link *link = link_add(model, conn);

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
	*held = (struct held){ link, event->data, event->len, link->received, 0, model->held_cnt };
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
	EXPECT(!link->ended && !link->broken, "connection %u: received after the end of its stream", link->id);
	EXPECT(!link->closing || link->closing_batch == model->batch, "connection %u: received after sc_close",
	       link->id);
	if (!event->len) {
		link->ended = true;
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
static void order_end(struct model *model, struct link *link, struct order *order, ssize_t result)
{
	bool withdrawn = order->cancelled && result == -ECANCELED;

	EXPECT(result < 0 || (size_t)result == order->len || (order->cancelled && (size_t)result < order->len),
	       "connection %u: %zd of %zu bytes sent", link->id, result, order->len);
	EXPECT(result < 0 || !link->send_failed, "connection %u: a send succeeded after one that failed", link->id);
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
	link->first = order->next;
	model->order_cnt--;
	sc_free(model->session, order->mem);
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
static void sends_settle(struct model *model, struct link *link)
{
	ssize_t result;

	while (link->first && link->first->job && job_ended(link->first->job, &result))
		order_end(model, link, link->first, result);
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
		sends_settle(model, model->links[model->live[i]]);
		receive_settle(model, model->links[model->live[i]]);
	}
}

static void sent(struct model *model, struct link *link, const struct sc_event *event)
{
	struct order *order;

	sends_settle(model, link);
	order = link->first;
	EXPECT(order, "connection %u: a send completed (%d) but none is under way", link->id, event->result);
	EXPECT(!order->job && order->tag == event->tag,
	       "connection %u: send %llu completed (%d), the next in order is %llu", link->id,
	       (unsigned long long)event->tag, event->result, (unsigned long long)order->tag);
	order_end(model, link, order, event->result);
}

static void closed(struct model *model, struct link *link)
{
	unsigned int last = model->live[--model->live_cnt];

	sends_settle(model, link);
	receive_settle(model, link);
	EXPECT(link->closing, "connection %u: closed unasked", link->id);
	EXPECT(!link->recv_job, "connection %u: closed, but its receive has not ended", link->id);
	EXPECT(!link->first, "connection %u: closed, but not told of its send %llu", link->id,
	       (unsigned long long)link->first->tag);
	link->closed = true;
	model->live[link->live_idx] = last;
	model->links[last]->live_idx = link->live_idx;
	model->counters.closed++;
}

void model_event(struct model *model, const struct sc_event *event)
{
	struct link *link = event->conn && event->type != SC_EVENT_ACCEPT ? sc_conn_data(event->conn) : NULL;

	if (event->type == SC_EVENT_ACCEPT) {
		(void)link_add(model, event->conn);
		model->counters.accepted++;
		return;
	}
	EXPECT(event->type != SC_EVENT_LOST, "the engine was lost: %s", strerror(-event->result));
	EXPECT(link, "event %d of a connection that never began", event->type);
	EXPECT(!link->closed, "connection %u: event %d (%d) after its end", link->id, event->type, event->result);
	switch (event->type) {
	case SC_EVENT_RECV:
		received(model, link, event);
		break;
	case SC_EVENT_SENT:
		sent(model, link, event);
		break;
	case SC_EVENT_CONNECT:
		connected(model, link, event->result);
		break;
	case SC_EVENT_ERROR:
		EXPECT(!link->by_jobs, "connection %u: an event of what it receives by jobs", link->id);
		EXPECT(!link->ended && !link->broken, "connection %u: broken after its end", link->id);
		EXPECT(event->result == -ECONNRESET || event->result == -EPIPE, "connection %u: broken by %s", link->id,
		       strerror(-event->result));
		EXPECT(!link->closing || link->closing_batch == model->batch, "connection %u: error after sc_close",
		       link->id);
		link->broken = true;
		break;
	default:
		closed(model, link);
		break;
	}
}

void model_ordered(struct model *model, struct link *link, struct order *order)
{
	order->next = NULL;
	if (link->first)
		link->last->next = order;
	else
		link->first = order;
	link->last = order;
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
	sc_release(held->link->conn, held->data);
	free(held);
}

/* --- the end of a round --- */

static void link_check(const struct link *link, const struct crowd *crowd)
{
	const struct remote *remote;

	EXPECT(link->closed && !link->first, "connection %u: never came to its end", link->id);
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

void model_check(const struct model *model, const struct crowd *crowd)
{
	struct sc_info info = { .size = sizeof(info) };

	for (unsigned int i = 0; i < model->link_cnt; i++)
		link_check(model->links[i], crowd);
	EXPECT(!sc_info(model->session, &info), "sc_info failed");
	counter_check("accepted", info.counters.accepted, model->counters.accepted);
	counter_check("closed", info.counters.closed, model->counters.closed);
	/* what jobs read has no event, and what was kept for them and nobody read is gone */
	counter_check_least("received", info.counters.received, model->counters.received);
	counter_check_least("recv_events", info.counters.recv_events, model->counters.recv_events);
	counter_check("sent", info.counters.sent, model->counters.sent);
	counter_check("send_events", info.counters.send_events, model->counters.send_events);
	EXPECT(info.counters.accepted + model->connect_cnt == info.counters.closed,
	       "sc_info: %llu were closed, but %llu accepted and %u made", (unsigned long long)info.counters.closed,
	       (unsigned long long)info.counters.accepted, model->connect_cnt);
	/* one that was closed meanwhile is not told of */
	EXPECT(info.counters.connected >= model->counters.connected && info.counters.connected <= model->connect_cnt,
	       "sc_info: connected is %llu, events told of %llu", (unsigned long long)info.counters.connected,
	       (unsigned long long)model->counters.connected);
}

void model_free(struct model *model)
{
	for (unsigned int i = 0; i < model->link_cnt; i++)
		free(model->links[i]);
	free(model->links);
	free(model->live);
	free(model->held);
}

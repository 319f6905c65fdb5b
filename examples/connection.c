// SPDX-License-Identifier: MIT
/*
 * One batch of responses per connection is on its way at a time. What is received meanwhile stays where it is, not
 * released: so a client that sends requests without reading answers is slowed down by libapp's window, and costs a
 * block and a window, no more.
 */
#include <stdlib.h>

#include "connection.h"
#include "input.h"

enum state {
	OPEN,
	LINGERING, /* our last word is said; what comes is dropped until the peer ends too */
	CLOSED, /* sc_close was called, its event is to come */
};

struct sc_connection {
	struct sc_connection *next;
	struct sc_connection **link; /* what points to this one */
	struct sc_conn *conn;
	void *block; /* of the batch on its way; NULL: none */
	struct sc_input_queue inputs;
	struct sc_linger_node linger;
	enum state state;
	bool peer_ended;
	struct sc_http http;
};

void sc_connections_init(struct sc_connections *all, struct sc_handler *handler, struct sc_session *session)
{
	all->handler = handler;
	all->first = NULL;
	sc_pool_init(&all->blocks, session, SC_CONNECTION_BLOCK_LEN);
	sc_linger_init(&all->linger);
}

static void drop_inputs(struct sc_connection *connection)
{
	void *data;

	while ((data = sc_input_pop(&connection->inputs)))
		sc_release(connection->conn, data);
}

static void close_connection(struct sc_connection *connection, unsigned int flags)
{
	if (connection->state == CLOSED)
		return;
	connection->state = CLOSED;
	sc_linger_remove(&connection->linger);
	drop_inputs(connection);
	sc_close(connection->conn, flags);
}

/* Nothing more is said on it, but what is on its way arrives. */
static void end(struct sc_connections *all, struct sc_connection *connection, size_t unread)
{
	if (connection->peer_ended || !sc_handler_must_linger(&connection->http, unread) ||
	    sc_shutdown(connection->conn)) {
		close_connection(connection, 0);
		return;
	}
	connection->state = LINGERING;
	if (!connection->block) /* else its time begins when that is out */
		sc_linger_add(&all->linger, &connection->linger);
	drop_inputs(connection);
}

static int send_batch(struct sc_connection *connection, const struct sc_batch *batch)
{
	if (batch->cnt == 1)
		return sc_send(connection->conn, batch->pieces[0].iov_base, batch->pieces[0].iov_len, 0);
	return sc_sendv(connection->conn, batch->pieces, batch->cnt, 0);
}

/* Answers what it can of data, returns how much of it that took. No batch may be on its way. */
static size_t answer(struct sc_connections *all, struct sc_connection *connection, const char *data, size_t len)
{
	void *block = sc_pool_get(&all->blocks);
	struct sc_batch batch;
	size_t used;

	if (!block) {
		close_connection(connection, SC_CLOSE_NOW);
		return len;
	}
	sc_batch_init(&batch, block, SC_CONNECTION_BLOCK_LEN);
	used = sc_handler_run(all->handler, &connection->http, data, len, &batch);
	if (batch.cnt && !send_batch(connection, &batch)) {
		connection->block = block;
	} else {
		sc_pool_put(&all->blocks, block);
		if (batch.cnt)
			close_connection(connection, SC_CLOSE_NOW);
	}
	if (batch.close && connection->state == OPEN)
		end(all, connection, len - used);
	return used;
}

static void resume(struct sc_connections *all, struct sc_connection *connection)
{
	struct sc_input *input;

	while (connection->state == OPEN && !connection->block && (input = connection->inputs.first)) {
		size_t used = answer(all, connection, (char *)input->data + input->done, input->len - input->done);

		if (connection->state != OPEN) /* the queue is gone */
			return;
		input->done += used;
		if (input->done == input->len)
			sc_release(connection->conn, sc_input_pop(&connection->inputs));
	}
	if (connection->state == OPEN && connection->peer_ended && !connection->block)
		close_connection(connection, 0);
}

static void receive(struct sc_connections *all, struct sc_connection *connection, void *data, size_t len)
{
	size_t used = 0;

	if (!connection->block && !connection->inputs.first && connection->state == OPEN)
		used = answer(all, connection, data, len);
	if (used == len || connection->state != OPEN) {
		sc_release(connection->conn, data);
	} else if (!sc_input_push(&connection->inputs, data, len, used)) {
		sc_release(connection->conn, data);
		close_connection(connection, SC_CLOSE_NOW);
	}
}

static void peer_ended(struct sc_connections *all, struct sc_connection *connection)
{
	connection->peer_ended = true;
	if (connection->state == LINGERING)
		close_connection(connection, 0);
	else
		resume(all, connection);
}

static void sent(struct sc_connections *all, struct sc_connection *connection, int result)
{
	sc_pool_put(&all->blocks, connection->block);
	connection->block = NULL;
	if (result < 0)
		close_connection(connection, SC_CLOSE_NOW);
	else if (connection->state == LINGERING)
		sc_linger_add(&all->linger, &connection->linger);
	else
		resume(all, connection);
}

static void accepted(struct sc_connections *all, struct sc_conn *conn)
{
	struct sc_connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		sc_close(conn, SC_CLOSE_NOW);
		return;
	}
	connection->next = all->first;
	connection->link = &all->first;
	if (connection->next)
		connection->next->link = &connection->next;
	all->first = connection;
	connection->conn = conn;
	sc_http_init(&connection->http);
	sc_conn_set_data(conn, connection);
}

static void free_connection(struct sc_connection *connection)
{
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	free(connection);
}

void sc_connections_event(struct sc_connections *all, const struct sc_event *event)
{
	struct sc_connection *connection = sc_conn_data(event->conn);

	if (event->type == SC_EVENT_ACCEPT) {
		accepted(all, event->conn);
		return;
	}
	if (!connection) { /* no memory for it when it came */
		if (event->type == SC_EVENT_RECV && event->len)
			sc_release(event->conn, event->data);
		return;
	}
	switch (event->type) {
	case SC_EVENT_RECV:
		if (event->len)
			receive(all, connection, event->data, event->len);
		else
			peer_ended(all, connection);
		break;
	case SC_EVENT_SENT:
		sent(all, connection, event->result);
		break;
	case SC_EVENT_ERROR:
		close_connection(connection, SC_CLOSE_NOW);
		break;
	case SC_EVENT_CLOSED:
		free_connection(connection);
		break;
	default:
		break;
	}
}

void sc_connections_tick(struct sc_connections *all)
{
	struct sc_linger_node *node;

	while ((node = sc_linger_take_due(&all->linger)))
		close_connection((struct sc_connection *)((char *)node - offsetof(struct sc_connection, linger)), 0);
}

void sc_connections_exit(struct sc_connections *all)
{
	while (all->first) {
		close_connection(all->first, SC_CLOSE_NOW);
		free_connection(all->first);
	}
	sc_pool_exit(&all->blocks);
}

// SPDX-License-Identifier: MIT
/*
 * The other baseline: the handler of examples/httpd on an inline io_uring, without libapp. Like examples/connection.c
 * it has one batch of responses per connection on its way; requests received meanwhile are copied, up to a window.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "input.h"
#include "linger.h"
#include "signals.h"
#include "uring.h"

enum {
	BLOCK_LEN = 8192,
	WINDOW = 65536, /* bytes received and not parsed, before receiving pauses */
};

struct output {
	struct output *next; /* in the free list */
	struct msghdr message;
	struct sc_batch batch;
	char block[BLOCK_LEN];
};

struct client {
	unsigned int slot;
	unsigned int pending; /* requests that will complete */
	bool receiving;
	bool paused;
	bool peer_ended;
	bool ending; /* our last batch is on its way */
	bool lingering; /* it is out; what comes is dropped until the peer ends too */
	bool dead; /* freed when nothing is pending */
	struct output *output; /* on its way */
	struct sc_input_queue inputs;
	size_t queued;
	size_t unread; /* when ending */
	struct sc_linger_node linger;
	struct sc_http http;
};

struct server {
	struct sc_handler *handler;
	struct sc_uring uring;
	struct sc_linger linger;
	struct output *free_outputs;
	struct client **clients; /* by slot */
	int listener;
	bool accepting;
	bool stopping;
};

static struct output *get_output(struct server *server)
{
	struct output *output = server->free_outputs;

	if (!output)
		return malloc(sizeof(*output));
	server->free_outputs = output->next;
	return output;
}

static void put_output(struct server *server, struct output *output)
{
	output->next = server->free_outputs;
	server->free_outputs = output;
}

static void drop_inputs(struct client *client)
{
	void *data;

	while ((data = sc_input_pop(&client->inputs)))
		free(data);
	client->queued = 0;
}

static void receive(struct server *server, struct client *client)
{
	if (client->receiving || client->paused || client->peer_ended || client->dead)
		return;
	sc_uring_recv(&server->uring, client->slot);
	client->receiving = true;
	client->pending++;
}

/* The slot is free for others once the close is done, which is before any accept can name it. */
static void reap(struct server *server, struct client *client)
{
	if (!client->dead || client->pending)
		return;
	sc_uring_close(&server->uring, client->slot);
	server->clients[client->slot] = NULL;
	free(client);
	if (!server->accepting) {
		sc_uring_accept(&server->uring, server->listener);
		server->accepting = true;
	}
}

/* The caller of an event's function reaps. */
static void destroy(struct server *server, struct client *client)
{
	if (client->dead)
		return;
	client->dead = true;
	sc_linger_remove(&client->linger);
	drop_inputs(client);
	if (client->pending)
		sc_uring_cancel_all(&server->uring, client->slot);
}

/* The last word is out: go at once, or when the peer has stopped sending. */
static void end(struct server *server, struct client *client)
{
	if (client->peer_ended || !sc_handler_must_linger(&client->http, client->unread)) {
		destroy(server, client);
		return;
	}
	client->lingering = true;
	client->paused = false;
	sc_uring_shutdown(&server->uring, client->slot);
	client->pending++;
	sc_linger_add(&server->linger, &client->linger);
	receive(server, client);
}

/* Answers what it can of data, returns how much of it that took. No batch may be on its way. */
static size_t answer(struct server *server, struct client *client, const char *data, size_t len)
{
	struct output *output = get_output(server);
	size_t used;

	if (!output) {
		destroy(server, client);
		return len;
	}
	sc_batch_init(&output->batch, output->block, BLOCK_LEN);
	used = sc_handler_run(server->handler, &client->http, data, len, &output->batch);
	client->ending = output->batch.close;
	client->unread = len - used;
	if (output->batch.cnt) {
		output->message = (struct msghdr){
			.msg_iov = output->batch.pieces,
			.msg_iovlen = output->batch.cnt,
		};
		sc_uring_send(&server->uring, client->slot, &output->message);
		client->output = output;
		client->pending++;
	} else {
		put_output(server, output);
		if (client->ending)
			end(server, client);
	}
	return used;
}

static void resume(struct server *server, struct client *client)
{
	struct sc_input *input;

	while (!client->dead && !client->ending && !client->output && (input = client->inputs.first)) {
		size_t used = answer(server, client, (char *)input->data + input->done, input->len - input->done);

		if (client->dead)
			return;
		input->done += used;
		client->queued -= used;
		if (input->done == input->len)
			free(sc_input_pop(&client->inputs));
	}
	if (client->dead || client->ending || client->output)
		return;
	if (client->peer_ended)
		destroy(server, client);
	client->paused = false;
	receive(server, client);
}

static void queue(struct server *server, struct client *client, const char *data, size_t len)
{
	char *copy = malloc(len);

	if (!copy || !sc_input_push(&client->inputs, memcpy(copy, data, len), len, 0)) {
		free(copy);
		destroy(server, client);
		return;
	}
	client->queued += len;
	if (client->queued > WINDOW && !client->paused) {
		client->paused = true;
		if (client->receiving)
			sc_uring_cancel_recv(&server->uring, client->slot);
	}
}

static void on_data(struct server *server, struct client *client, const char *data, size_t len)
{
	size_t used = 0;

	if (client->dead || client->lingering)
		return;
	if (client->ending) {
		client->unread += len;
		return;
	}
	if (!client->output && !client->inputs.first)
		used = answer(server, client, data, len);
	if (used < len && !client->dead && !client->ending)
		queue(server, client, data + used, len - used);
}

static void on_recv(struct server *server, struct client *client, const struct io_uring_cqe *cqe)
{
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		client->receiving = false;
		client->pending--;
	}
	if (cqe->res > 0) {
		on_data(server, client, sc_uring_data(&server->uring, cqe), (size_t)cqe->res);
	} else if (!cqe->res) {
		client->peer_ended = true;
		if (client->lingering)
			destroy(server, client);
		else
			resume(server, client);
	} else if (cqe->res != -ENOBUFS && cqe->res != -ECANCELED) {
		destroy(server, client);
	}
	if (cqe->flags & IORING_CQE_F_BUFFER)
		sc_uring_recycle(&server->uring, cqe);
	receive(server, client);
}

static void on_sent(struct server *server, struct client *client, int result)
{
	size_t total = client->output->batch.total;

	put_output(server, client->output);
	client->output = NULL;
	client->pending--;
	if (result < 0 || (size_t)result < total)
		destroy(server, client);
	else if (client->ending)
		end(server, client);
	else
		resume(server, client);
}

static void on_accept(struct server *server, const struct io_uring_cqe *cqe)
{
	unsigned int slot = (unsigned int)cqe->res;
	struct client *client;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		server->accepting = false;
	if (cqe->res < 0 && cqe->res != -ENFILE && !server->accepting) { /* else when a slot is free again */
		sc_uring_accept(&server->uring, server->listener);
		server->accepting = true;
	}
	if (cqe->res < 0)
		return;
	client = calloc(1, sizeof(*client));
	if (!client) {
		sc_uring_close(&server->uring, slot);
		return;
	}
	client->slot = slot;
	server->clients[slot] = client;
	sc_http_init(&client->http);
	receive(server, client);
	if (!server->accepting) {
		sc_uring_accept(&server->uring, server->listener);
		server->accepting = true;
	}
}

static void on_completion(struct server *server, const struct io_uring_cqe *cqe)
{
	struct client *client = server->clients[sc_uring_slot(cqe)];

	switch (sc_uring_op(cqe)) {
	case SC_URING_ACCEPT:
		on_accept(server, cqe);
		return;
	case SC_URING_SIGNAL:
		server->stopping = true;
		return;
	case SC_URING_IGNORE:
		return;
	case SC_URING_RECV:
		on_recv(server, client, cqe);
		break;
	case SC_URING_SEND:
		on_sent(server, client, cqe->res);
		break;
	case SC_URING_SHUTDOWN:
		client->pending--;
		break;
	}
	reap(server, client);
}

/* Sends what was asked for and waits. False when there is nothing more to wait for. */
static bool wait_for_completions(struct server *server)
{
	int timeout_ms = sc_linger_timeout_ms(&server->linger);
	struct __kernel_timespec timeout = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000LL };
	struct io_uring_cqe *cqe;
	int err = timeout_ms < 0 ? io_uring_submit_and_wait(&server->uring.ring, 1) :
				   io_uring_submit_and_wait_timeout(&server->uring.ring, &cqe, 1, &timeout, NULL);

	if (err >= 0 || err == -ETIME || err == -EINTR || err == -EAGAIN || err == -EBUSY)
		return true;
	warnx("io_uring: %s: start again", strerror(-err));
	return false;
}

static bool turn(struct server *server)
{
	struct sc_linger_node *due;
	struct io_uring_cqe *cqe;
	unsigned int head, cnt = 0;

	if (!wait_for_completions(server))
		return false;
	sc_date_refresh(&server->handler->date);
	io_uring_for_each_cqe(&server->uring.ring, head, cqe) {
		on_completion(server, cqe);
		cnt++;
	}
	io_uring_cq_advance(&server->uring.ring, cnt);
	while ((due = sc_linger_take_due(&server->linger))) {
		struct client *client = (struct client *)((char *)due - offsetof(struct client, linger));

		destroy(server, client);
		reap(server, client);
	}
	return true;
}

static void free_all(struct server *server)
{
	for (unsigned int slot = 0; slot < server->uring.slots; slot++) {
		struct client *client = server->clients[slot];

		if (!client)
			continue;
		drop_inputs(client);
		free(client->output);
		free(client);
	}
	while (server->free_outputs)
		free(get_output(server));
	free(server->clients);
}

static bool serve(struct sc_handler *handler, const struct sc_worker *worker)
{
	struct server server = { .handler = handler, .listener = worker->listener, .accepting = true };
	int signals = sc_signals_fd();
	bool ok = true;

	if (sc_uring_init(&server.uring))
		return false;
	server.clients = calloc(server.uring.slots, sizeof(struct client *));
	if (!server.clients || signals < 0) {
		warnx("%u slots for connections: no memory: lower the limit on open files (ulimit -n)",
		      server.uring.slots);
		sc_uring_exit(&server.uring);
		return false;
	}
	sc_linger_init(&server.linger);
	sc_uring_accept(&server.uring, server.listener);
	sc_uring_watch(&server.uring, signals);
	sc_worker_ready(worker);
	while (ok && !server.stopping)
		ok = turn(&server);
	sc_uring_exit(&server.uring);
	free_all(&server);
	return ok;
}

int main(int argc, char **argv)
{
	return sc_baseline_main(argc, argv, "uring", serve);
}

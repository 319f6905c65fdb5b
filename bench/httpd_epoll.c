// SPDX-License-Identifier: MIT
/* The baseline: the handler of examples/httpd on epoll, level-triggered, without a system call that could be spared. */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backlog.h"
#include "baseline.h"
#include "linger.h"
#include "signals.h"

enum {
	EVENTS_MAX = 128,
	ACCEPTS_MAX = 16, /* per turn, so that a flood of new ones does not starve the old */
	INPUT_LEN = 16384,
	BLOCK_LEN = 16384,
};

struct client {
	struct client *next;
	struct client **link; /* what points to this one */
	int fd;
	bool lingering;
	struct sc_backlog *backlog; /* NULL: all is sent, we wait for input */
	struct sc_linger_node linger;
	struct sc_http http;
};

struct server {
	struct sc_handler *handler;
	struct sc_linger linger;
	struct client *clients;
	int epoll;
	int listener;
	int signals;
	bool accepting;
	char input[INPUT_LEN];
	char block[BLOCK_LEN];
};

static bool watch(struct server *server, int op, int fd, uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };

	return !epoll_ctl(server->epoll, op, fd, &event);
}

static void destroy(struct server *server, struct client *client)
{
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	sc_linger_remove(&client->linger);
	close(client->fd);
	free(client->backlog);
	free(client);
	if (!server->accepting)
		server->accepting = watch(server, EPOLL_CTL_ADD, server->listener, EPOLLIN, &server->listener);
}

/* After a backlog: the client has taken all and may ask again. False: the client is gone. */
static bool listen_again(struct server *server, struct client *client)
{
	free(client->backlog);
	client->backlog = NULL;
	if (watch(server, EPOLL_CTL_MOD, client->fd, EPOLLIN, client))
		return true;
	destroy(server, client);
	return false;
}

/* The last word is said: go at once, or when the peer has stopped sending. */
static void end(struct server *server, struct client *client, size_t unread)
{
	if (!sc_handler_must_linger(&client->http, unread) || shutdown(client->fd, SHUT_WR)) {
		destroy(server, client);
		return;
	}
	client->lingering = true;
	sc_linger_add(&server->linger, &client->linger);
	if (client->backlog)
		(void)listen_again(server, client);
}

/* From now on the client is listened to only after it has taken what it asked for. */
static void stall(struct server *server, struct client *client, struct sc_backlog *backlog)
{
	bool stalled = client->backlog;

	free(client->backlog);
	client->backlog = backlog;
	if (!backlog || (!stalled && !watch(server, EPOLL_CTL_MOD, client->fd, EPOLLOUT, client)))
		destroy(server, client);
}

/* Answers all of data. False: not all is answered, others have seen to the rest. */
static bool answer(struct server *server, struct client *client, const char *data, size_t len)
{
	while (len) {
		struct sc_batch batch;
		ssize_t sent = 0;
		size_t used;

		sc_batch_init(&batch, server->block, BLOCK_LEN);
		used = sc_handler_run(server->handler, &client->http, data, len, &batch);
		data += used;
		len -= used;
		if (batch.cnt)
			sent = sc_backlog_transmit(client->fd, batch.pieces, batch.cnt);
		if (sent < 0) {
			destroy(server, client);
			return false;
		}
		if ((size_t)sent < batch.total) {
			stall(server, client, sc_backlog_keep(&batch, (size_t)sent, data, len));
			return false;
		}
		if (batch.close) {
			end(server, client, len);
			return false;
		}
	}
	return true;
}

static void on_writable(struct server *server, struct client *client)
{
	struct sc_backlog *backlog = client->backlog;
	int sent = sc_backlog_send(backlog, client->fd);

	if (sent < 0)
		destroy(server, client);
	else if (sent && backlog->close)
		end(server, client, backlog->input_len);
	else if (sent && answer(server, client, backlog->input, backlog->input_len))
		(void)listen_again(server, client);
}

static void on_readable(struct server *server, struct client *client)
{
	ssize_t got = recv(client->fd, server->input, INPUT_LEN, 0);

	if (got > 0) {
		if (!client->lingering)
			(void)answer(server, client, server->input, (size_t)got);
	} else if (!got || (errno != EAGAIN && errno != EINTR)) {
		destroy(server, client);
	}
}

static bool add_client(struct server *server, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client || !watch(server, EPOLL_CTL_ADD, fd, EPOLLIN, client)) {
		free(client);
		close(fd);
		return false;
	}
	client->fd = fd;
	client->next = server->clients;
	client->link = &server->clients;
	if (client->next)
		client->next->link = &client->next;
	server->clients = client;
	sc_http_init(&client->http);
	return true;
}

static void on_connection(struct server *server)
{
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			/* Out of descriptors: the queue stays full, so do not look at it until somebody leaves. */
			if ((errno == EMFILE || errno == ENFILE) && server->clients)
				server->accepting = !watch(server, EPOLL_CTL_DEL, server->listener, 0, NULL);
			return;
		}
		if (!add_client(server, fd))
			return;
	}
}

/* False when a signal says stop. */
static bool turn(struct server *server)
{
	struct epoll_event events[EVENTS_MAX];
	struct sc_linger_node *due;
	int cnt = epoll_wait(server->epoll, events, EVENTS_MAX, sc_linger_timeout_ms(&server->linger));

	sc_date_refresh(&server->handler->date);
	for (int i = 0; i < cnt; i++) {
		void *what = events[i].data.ptr;
		struct client *client = what;

		if (what == &server->signals)
			return false;
		if (what == &server->listener)
			on_connection(server);
		else if (client->backlog)
			on_writable(server, client);
		else
			on_readable(server, client);
	}
	while ((due = sc_linger_take_due(&server->linger)))
		destroy(server, (struct client *)((char *)due - offsetof(struct client, linger)));
	return true;
}

static bool serve(struct sc_handler *handler, const struct sc_worker *worker)
{
	struct server server = { .handler = handler, .listener = worker->listener, .accepting = true };

	server.signals = sc_signals_fd();
	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server.signals < 0 || server.epoll < 0 ||
	    !watch(&server, EPOLL_CTL_ADD, server.listener, EPOLLIN, &server.listener) ||
	    !watch(&server, EPOLL_CTL_ADD, server.signals, EPOLLIN, &server.signals)) {
		warn("epoll: raise the limit on open files (ulimit -n)");
		return false;
	}
	sc_linger_init(&server.linger);
	sc_worker_ready(worker);
	while (turn(&server))
		;
	while (server.clients)
		destroy(&server, server.clients);
	return true;
}

int main(int argc, char **argv)
{
	return sc_baseline_main(argc, argv, "epoll", serve);
}

// SPDX-License-Identifier: MIT
/* Single operations on epoll, level-triggered: sends back, sends, receives, or accepts and closes. */
#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listen.h"
#include "ops.h"
#include "options.h"
#include "report.h"
#include "signals.h"
#include "usage.h"

enum { EVENTS_MAX = 128, ACCEPTS_MAX = 16, INPUT_LEN = 65536, PATIENCE_MS = 250 };

struct options {
	struct sc_listen_options listen;
	bool accept_only;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &options->listen;
	state->child_inputs[1] = &options->accept_only;
	return 0;
}

static const struct argp_child children[] = { { .argp = &sc_listen_argp }, { .argp = &sc_ops_argp }, { 0 } };
static const struct argp argp = {
	.parser = parse,
	.children = children,
	.doc = "Does what its client's first message asks for, on epoll: what ops_libapp is measured against.",
};

struct client {
	int fd;
	struct sc_ops_hello hello; /* kind 0: it is to come */
	char *rest; /* to be sent back when the client takes it, before more is read; NULL: none */
	size_t rest_off, rest_len;
	size_t message_left; /* SC_OPS_SEND: of the message begun */
};

struct server {
	int epoll, listener;
	bool accept_only;
	char input[INPUT_LEN];
	char message[SC_OPS_LEN_MAX];
};

static void destroy(struct client *client)
{
	close(client->fd);
	free(client->rest);
	free(client);
}

/* False: the client is gone. */
static bool watch(struct server *server, struct client *client, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = client };

	if (!epoll_ctl(server->epoll, EPOLL_CTL_MOD, client->fd, &event))
		return true;
	destroy(client);
	return false;
}

/* What the socket does not take at once is kept, and the client is not read from until it has. */
static void send_back(struct server *server, struct client *client, const char *data, size_t len)
{
	ssize_t sent = send(client->fd, data, len, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN) {
		destroy(client);
		return;
	}
	if (sent < 0)
		sent = 0;
	if ((size_t)sent == len)
		return;
	client->rest_off = 0;
	client->rest_len = len - (size_t)sent;
	client->rest = malloc(client->rest_len);
	if (!client->rest) {
		destroy(client);
		return;
	}
	memcpy(client->rest, data + sent, client->rest_len);
	(void)watch(server, client, EPOLLOUT);
}

static void begin(struct server *server, struct client *client, size_t len)
{
	if (!sc_ops_hello_read(&client->hello, server->input, len) ||
	    send(client->fd, server->input, len, MSG_NOSIGNAL) != (ssize_t)len) {
		destroy(client);
		return;
	}
	client->message_left = client->hello.len;
	if (client->hello.kind == SC_OPS_SEND)
		(void)watch(server, client, EPOLLIN | EPOLLOUT);
}

static void on_readable(struct server *server, struct client *client)
{
	ssize_t got = recv(client->fd, server->input, INPUT_LEN, 0);

	if (!got || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		destroy(client);
		return;
	}
	if (got < 0)
		return;
	if (!client->hello.kind)
		begin(server, client, (size_t)got);
	else if (client->hello.kind == SC_OPS_ECHO)
		send_back(server, client, server->input, (size_t)got);
}

static void send_rest(struct server *server, struct client *client)
{
	ssize_t sent = send(client->fd, client->rest + client->rest_off, client->rest_len, MSG_NOSIGNAL);

	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			destroy(client);
		return;
	}
	client->rest_off += (size_t)sent;
	client->rest_len -= (size_t)sent;
	if (client->rest_len)
		return;
	free(client->rest);
	client->rest = NULL;
	(void)watch(server, client, EPOLLIN);
}

/* As many messages in one turn as libapp may have on their way. */
static void send_messages(struct server *server, struct client *client)
{
	for (unsigned int i = 0; i < sc_ops_ahead(client->hello.len); i++) {
		ssize_t sent = send(client->fd, server->message, client->message_left, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno != EAGAIN && errno != EINTR)
				destroy(client);
			return;
		}
		client->message_left -= (size_t)sent;
		if (client->message_left)
			return;
		client->message_left = client->hello.len;
	}
}

static void on_connection(struct server *server)
{
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event event = { .events = EPOLLIN };
		struct client *client;

		if (fd < 0)
			return;
		if (server->accept_only) {
			close(fd);
			continue;
		}
		client = calloc(1, sizeof(*client));
		event.data.ptr = client;
		if (!client || epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event)) {
			free(client);
			close(fd);
			continue;
		}
		client->fd = fd;
	}
}

static void on_event(struct server *server, const struct epoll_event *event)
{
	struct client *client = event->data.ptr;

	if (!client)
		on_connection(server);
	else if (event->events & ~(uint32_t)EPOLLOUT)
		on_readable(server, client); /* of the end, too; what can be sent is told of again */
	else if (client->rest)
		send_rest(server, client);
	else
		send_messages(server, client);
}

static bool serve(struct server *server)
{
	struct epoll_event events[EVENTS_MAX], event = { .events = EPOLLIN };

	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server->epoll < 0 || epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener, &event)) {
		warn("epoll");
		return false;
	}
	while (!sc_signals_caught()) {
		int cnt = epoll_wait(server->epoll, events, EVENTS_MAX, PATIENCE_MS);

		for (int i = 0; i < cnt; i++)
			on_event(server, &events[i]);
	}
	return true; /* what is open ends with the process */
}

int main(int argc, char **argv)
{
	static struct server server;
	struct options options = { .listen = SC_LISTEN_OPTIONS_INIT };
	uint16_t port;

	sc_usage_parse(&argp, 0, argc, argv, &options);
	server.accept_only = options.accept_only;
	sc_signals_catch();
	sc_listen_raise_files();
	if (!sc_listen_pin(&options.listen))
		return EXIT_FAILURE;
	server.listener = sc_listen_open(&options.listen, false, &port);
	if (server.listener < 0)
		return EXIT_FAILURE;
	sc_report_ready(&options.listen, port, "epoll");
	return serve(&server) ? EXIT_SUCCESS : EXIT_FAILURE;
}

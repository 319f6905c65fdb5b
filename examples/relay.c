// SPDX-License-Identifier: MIT
/* A client and its connection to a server, each byte sent on from the buffer it was received into. */
#include <err.h>
#include <stdbool.h>
#include <stdlib.h>

#include "relay.h"

/* Each connection's own word points to it. */
struct sc_relay {
	struct sc_conn *client, *server;
	bool client_closed, server_closed; /* told: it is not to be closed again */
	bool half_ended; /* one of them has finished sending */
};

static uint64_t ended;

static struct sc_conn *other(const struct sc_relay *relay, const struct sc_conn *conn)
{
	return conn == relay->client ? relay->server : relay->client;
}

static void close_both(struct sc_relay *relay, unsigned int flags)
{
	if (!relay->client_closed)
		sc_close(relay->client, flags);
	if (!relay->server_closed)
		sc_close(relay->server, flags);
}

/* Once: with a server that is down every client would bring a line. */
static void tell_unreachable(const char *reason)
{
	static bool told;

	if (!told)
		warnx("clients are turned away: %s", reason);
	told = true;
}

void sc_relay_start(struct sc_session *session, struct sc_conn *client, const struct sc_connect_options *to)
{
	struct sc_relay *relay = calloc(1, sizeof(*relay));

	if (!relay || sc_connect(session, to, &relay->server)) {
		tell_unreachable(relay ? sc_reason() : "out of memory");
		free(relay);
		sc_close(client, SC_CLOSE_RESET);
		return;
	}
	relay->client = client;
	sc_conn_set_data(relay->client, relay);
	sc_conn_set_data(relay->server, relay);
}

/*
 * Bytes go on from where they are. They stay unreleased until the other side has taken them, so one that does not read pauses the
 * one that sends. The server need not be connected yet.
 */
static void received(struct sc_relay *relay, const struct sc_event *event)
{
	struct sc_conn *to = other(relay, event->conn);

	if (!event->data) {
		(void)sc_shutdown(to); /* it may have failed before, which is told by itself */
		if (relay->half_ended)
			close_both(relay, 0);
		relay->half_ended = true;
	} else if (sc_send(to, event->data, event->len, (uintptr_t)event->data)) {
		sc_release(event->conn, event->data);
		close_both(relay, SC_CLOSE_RESET);
	}
}

static void closed(struct sc_relay *relay, const struct sc_conn *conn)
{
	relay->client_closed |= conn == relay->client;
	relay->server_closed |= conn == relay->server;
	if (!relay->client_closed || !relay->server_closed)
		return;
	ended++;
	free(relay);
}

/* A side that fails is reset at the other. */
void sc_relay_handle(const struct sc_event *event)
{
	struct sc_relay *relay = sc_conn_data(event->conn);

	if (!relay) /* a client that was turned away */
		return;
	switch (event->type) {
	case SC_EVENT_RECV:
		received(relay, event);
		break;
	case SC_EVENT_SENT:
		sc_release(other(relay, event->conn), (void *)(uintptr_t)event->tag);
		if (event->result < 0)
			close_both(relay, SC_CLOSE_RESET);
		break;
	case SC_EVENT_CONNECT:
		if (event->result < 0)
			tell_unreachable(sc_strerror(event->result));
		/* fall through */
	case SC_EVENT_ERROR:
		if (event->result < 0)
			close_both(relay, SC_CLOSE_RESET);
		break;
	case SC_EVENT_CLOSED:
		closed(relay, event->conn);
		break;
	default:
		break;
	}
}

uint64_t sc_relay_ended(void)
{
	return ended;
}

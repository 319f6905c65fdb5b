// SPDX-License-Identifier: MIT
// Sends 16 MiB (argv: engine, ringsvc's socket, address, port) and prints how many sends tried to do without a copy.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sidecore/app.h>

enum { LEN = 64 << 10, SENDS = 256, FLYING = 4 };

static int complain(void)
{
	fprintf(stderr, "%s\n", sc_reason());
	return 1;
}

// 0 when all has gone out and the peer has ended the connection.
static int run(struct sc_session *session, struct sc_conn *conn, const char *mem)
{
	struct sc_event event;
	int asked = 0, sent = 0;

	for (;;) {
		for (; asked < SENDS && asked < sent + FLYING; asked++)
			if (sc_send(conn, mem, LEN, 0) || (asked == SENDS - 1 && sc_shutdown(conn)))
				return complain();
		if (sc_wait(session, &event, 1, -1) != 1)
			continue;
		sent += event.type == SC_EVENT_SENT;
		if (event.type == SC_EVENT_RECV)
			return sent != SENDS;
		if (event.result < 0) {
			fprintf(stderr, "event %d: %s\n", event.type, sc_strerror(event.result));
			return 1;
		}
	}
}

int main(int argc, char **argv)
{
	struct sc_connect_options to = SC_CONNECT_OPTIONS_INIT;
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_info info = { .size = sizeof(info) };
	struct sc_session *session;
	struct sc_conn *conn;
	const char *mem;
	int ret;

	if (argc != 5)
		return 2;
	options.engine = strcmp(argv[1], "direct") ? SC_ENGINE_LOCAL : SC_ENGINE_DIRECT;
	options.socket_path = argv[2];
	to.address = argv[3];
	to.port = (uint16_t)atoi(argv[4]);
	if (sc_open(&options, &session) || sc_connect(session, &to, &conn))
		return complain();
	mem = sc_alloc(session, LEN);
	ret = mem ? run(session, conn, mem) : complain();
	if (!ret && !(ret = sc_info(session, &info)))
		printf("%" PRIu64 " tries, %" PRIu64 " copied, %" PRIu64 " refused\n", info.counters.zerocopy_sends,
		       info.counters.zerocopy_copied, info.counters.zerocopy_refused);
	sc_close_session(session);
	return ret;
}

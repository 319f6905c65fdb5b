// SPDX-License-Identifier: MIT
// Serves a port on all lanes (argv: ringsvc's socket, address, port) and prints the core of each connection's lane.
#include <stdio.h>
#include <stdlib.h>

#include <sidecore/app.h>

static int serve(struct sc_session *session)
{
	struct sc_info info = { .size = sizeof(info) };
	struct sc_event events[64];
	int cnt, i;

	if (sc_info(session, &info))
		return 1;
	printf("ready on %u lanes\n", info.lanes);
	for (;;) {
		fflush(stdout);
		cnt = sc_wait(session, events, 64, -1);
		for (i = 0; i < cnt; i++) {
			if (events[i].type == SC_EVENT_LOST)
				return 1;
			if (events[i].type == SC_EVENT_ACCEPT)
				printf("%d\n", info.cpus[sc_conn_lane(events[i].conn)]);
			else if (events[i].type == SC_EVENT_RECV && events[i].data)
				sc_release(events[i].conn, events[i].data);
			else if (events[i].type == SC_EVENT_RECV || events[i].type == SC_EVENT_ERROR)
				sc_close(events[i].conn, SC_CLOSE_NOW);
		}
	}
}

int main(int argc, char **argv)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_listener *listener;
	struct sc_session *session;

	if (argc != 4)
		return 2;
	options.engine = SC_ENGINE_DIRECT;
	options.socket_path = argv[1];
	if (sc_open(&options, &session) || sc_listen(session, argv[2], atoi(argv[3]), 0, &listener)) {
		fprintf(stderr, "%s\n", sc_reason());
		return 1;
	}
	return serve(session);
}

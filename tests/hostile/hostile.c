// SPDX-License-Identifier: MIT
/* An application that does all it can to break sidecore-ringsvc, for a bounded time, in an order a seed repeats. */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "attack.h"

enum { SESSIONS = 4 };

static long now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	struct session sessions[SESSIONS];
	unsigned long opened = 0, attacks = 0;
	struct chance chance;
	long end;

	if (argc != 4)
		errx(2, "usage: hostile SOCKET SEED MILLISECONDS");
	chance.state = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15 + 1;
	end = now_ms() + strtol(argv[3], NULL, 10);
	(void)signal(SIGCHLD, SIG_IGN);
	for (unsigned int i = 0; i < SESSIONS; i++)
		sessions[i] = (struct session){ .ctl = -1 };
	while (now_ms() < end && !attack_succeeded()) {
		struct session *session = &sessions[chance_below(&chance, SESSIONS)];

		if (session->ctl >= 0) {
			attack(session, &chance);
			attacks++;
		} else {
			opened += session_connect(session, argv[1]);
		}
		if (!chance_below(&chance, 64))
			session_close(session);
	}
	printf("%lu sessions, %lu attacks\n", opened, attacks);
	if (attack_succeeded())
		errx(1, "seed %s: %s was let through", argv[2], attack_succeeded());
	return 0;
}

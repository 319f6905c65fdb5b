/* SPDX-License-Identifier: MIT */
/* A plain socket client in a thread of its own, as the far end of a session under test. */
#ifndef TESTS_APP_PEER_H
#define TESTS_APP_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer {
	uint16_t port;
	int (*run)(struct peer *peer); /* 0, or the line that failed */
	void *arg;
	int result;
	bool done; /* atomic */
	pthread_t thread;
};

void peer_start(struct peer *peer, uint16_t port, int (*run)(struct peer *), void *arg);
bool peer_done(struct peer *peer);
/* The line that failed, 0 if none. */
int peer_join(struct peer *peer);

/* A connected blocking socket whose calls time out after 10 s, or -errno. */
int peer_connect(uint16_t port);
/* All len bytes or false. */
bool peer_send(int fd, const void *data, size_t len);
bool peer_recv(int fd, void *data, size_t len);
/* true when the stream ends here: end 0 = orderly, else the errno expected */
bool peer_ends(int fd, int err);
/* A byte stream that tells where a byte belongs: seeded, position-dependent. */
void peer_pattern(void *data, size_t len, uint64_t seed, uint64_t pos);

#define PEER_CHECK(expr)                 \
	do {                             \
		if (!(expr))             \
			return __LINE__; \
	} while (0)

#endif

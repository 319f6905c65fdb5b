/* SPDX-License-Identifier: MIT */
/* An io_uring for one thread that serves connections: fixed files, receive buffers, requests tagged by slot and kind. */
#ifndef BENCH_URING_H
#define BENCH_URING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <liburing.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sc_uring_op {
	SC_URING_IGNORE, /* tells only of failures that change nothing */
	SC_URING_ACCEPT,
	SC_URING_SIGNAL,
	SC_URING_RECV,
	SC_URING_SEND,
	SC_URING_SHUTDOWN,
};

struct sc_uring {
	struct io_uring ring;
	struct io_uring_buf_ring *bufs;
	char *memory; /* of the buffers */
	unsigned int slots;
};

/* -errno after a message. */
int sc_uring_init(struct sc_uring *uring);
void sc_uring_exit(struct sc_uring *uring);

/* What a completion belongs to. */
static inline enum sc_uring_op sc_uring_op(const struct io_uring_cqe *cqe)
{
	return (enum sc_uring_op)(cqe->user_data & 0xff);
}

static inline unsigned int sc_uring_slot(const struct io_uring_cqe *cqe)
{
	return (unsigned int)(cqe->user_data >> 8);
}

/* Multishot: accept until told otherwise, into the slot its result names. */
void sc_uring_accept(struct sc_uring *uring, int listener);
void sc_uring_watch(struct sc_uring *uring, int fd);
void sc_uring_recv(struct sc_uring *uring, unsigned int slot);

/* The message lives until the completion. All of it goes out, or none of what follows will. */
void sc_uring_send(struct sc_uring *uring, unsigned int slot, const struct msghdr *message);
void sc_uring_shutdown(struct sc_uring *uring, unsigned int slot);

/* Ends the receiving, or whatever is under way on the slot. Each ends with a completion of its own. */
void sc_uring_cancel_recv(struct sc_uring *uring, unsigned int slot);
void sc_uring_cancel_all(struct sc_uring *uring, unsigned int slot);
void sc_uring_close(struct sc_uring *uring, unsigned int slot);

/* The bytes of a completed receive, until sc_uring_recycle. */
void *sc_uring_data(struct sc_uring *uring, const struct io_uring_cqe *cqe);
void sc_uring_recycle(struct sc_uring *uring, const struct io_uring_cqe *cqe);

#ifdef __cplusplus
}
#endif
#endif

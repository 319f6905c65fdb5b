/* SPDX-License-Identifier: MIT */
/* Received bytes that wait for their turn, in order. */
#ifndef EXAMPLES_INPUT_H
#define EXAMPLES_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sc_input {
	struct sc_input *next;
	void *data; /* as received: what is given back later */
	size_t len;
	size_t done; /* bytes of it parsed already */
};

struct sc_input_queue {
	struct sc_input *first;
	struct sc_input *last;
};

/* False without memory: the data stays the caller's. */
bool sc_input_push(struct sc_input_queue *queue, void *data, size_t len, size_t done);

/* Forgets the first one; returns its data, or NULL if the queue is empty. */
void *sc_input_pop(struct sc_input_queue *queue);

#ifdef __cplusplus
}
#endif
#endif

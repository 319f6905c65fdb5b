// SPDX-License-Identifier: MIT
/* A singly linked queue. Only a client that sends faster than it reads gets here: plain malloc will do. */
#include <stdlib.h>

#include "input.h"

bool sc_input_push(struct sc_input_queue *queue, void *data, size_t len, size_t done)
{
	struct sc_input *input = malloc(sizeof(*input));

	if (!input)
		return false;
	*input = (struct sc_input){ .data = data, .len = len, .done = done };
	if (queue->first)
		queue->last->next = input;
	else
		queue->first = input;
	queue->last = input;
	return true;
}

void *sc_input_pop(struct sc_input_queue *queue)
{
	struct sc_input *input = queue->first;
	void *data;

	if (!input)
		return NULL;
	queue->first = input->next;
	data = input->data;
	free(input);
	return data;
}

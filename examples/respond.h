/* SPDX-License-Identifier: MIT */
/* Responses, one after the other, as pieces ready to be sent: text in a block of memory, large bodies where they lie. */
#ifndef EXAMPLES_RESPOND_H
#define EXAMPLES_RESPOND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "date.h"
#include "files.h"
#include "http.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sc_batch_limit {
	SC_BATCH_PIECES = 4,
	SC_BATCH_TEXT_MAX = 2048, /* a response up to this size is copied whole, one piece less to send */
	SC_BATCH_BLOCK_MIN = SC_BATCH_TEXT_MAX,
};

/* What goes out together. Pieces next to each other in the block are one. */
struct sc_batch {
	char *block;
	size_t block_len; /* at least SC_BATCH_BLOCK_MIN */
	size_t used;
	size_t total; /* bytes in all pieces */
	unsigned int cnt;
	unsigned int responses;
	struct iovec pieces[SC_BATCH_PIECES];
	bool close; /* nothing may follow */
};

/* The block is the caller's, until what was sent from it has been sent. */
void sc_batch_init(struct sc_batch *batch, char *block, size_t block_len);

/* Whether any one response would still fit. */
bool sc_batch_has_room(const struct sc_batch *batch);

/* Adds the answer to request; the batch must have room. Sets close if the connection ends with it. */
void sc_batch_respond(struct sc_batch *batch, const struct sc_http_request *request, const struct sc_files *files,
		      const struct sc_date *date);

#ifdef __cplusplus
}
#endif
#endif

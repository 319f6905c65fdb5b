/* SPDX-License-Identifier: MIT */
/* What the server does with a connection's bytes, the same for every way of moving them. */
#ifndef EXAMPLES_HANDLER_H
#define EXAMPLES_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "date.h"
#include "files.h"
#include "http.h"
#include "respond.h"
#include "work.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sc_handler {
	struct sc_files *files;
	struct sc_work work;
	struct sc_date date;
	uint64_t requests;
};

/*
 * Answers the requests found in data into batch, which has room, until either is used up; returns how many bytes of
 * data that took. Call it again with the rest when the batch is out. After batch->close nothing more is parsed.
 */
size_t sc_handler_run(struct sc_handler *handler, struct sc_http *http, const char *data, size_t len,
		      struct sc_batch *batch);

/*
 * After batch->close: whether the peer may still be sending what nobody will read (unread: bytes that are here
 * already). Closing at once would reset the connection and could take the last response with it; the server ends its
 * own direction and waits for the peer to end, see linger.h.
 */
bool sc_handler_must_linger(const struct sc_http *http, size_t unread);

#ifdef __cplusplus
}
#endif
#endif

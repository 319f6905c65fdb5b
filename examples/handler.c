// SPDX-License-Identifier: MIT
/* Request by request: parse, compute, respond. */
#include "handler.h"

size_t sc_handler_run(struct sc_handler *handler, struct sc_http *http, const char *data, size_t len,
		      struct sc_batch *batch)
{
	size_t done = 0;

	while (done < len && sc_batch_has_room(batch)) {
		struct sc_http_request request;
		size_t used;

		switch (sc_http_next(http, data + done, len - done, &used, &request)) {
		case SC_HTTP_MORE:
			return len;
		case SC_HTTP_STOP:
			batch->close = true;
			return len;
		case SC_HTTP_REQUEST:
			break;
		}
		done += used;
		handler->requests++;
		sc_work_do(&handler->work);
		sc_batch_respond(batch, &request, handler->files, &handler->date);
	}
	return done;
}

bool sc_handler_must_linger(const struct sc_http *http, size_t unread)
{
	return unread || http->broken || http->in_body;
}

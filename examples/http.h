/* SPDX-License-Identifier: MIT */
/* The request side of HTTP/1.0 and 1.1: bytes in, requests out, at whatever bytes the stream is split. No I/O, no memory. */
#ifndef EXAMPLES_HTTP_H
#define EXAMPLES_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#include "target.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sc_http_limit {
	SC_HTTP_HEADER_MAX = 8192, /* bytes of one request's line and header fields */
};

/* What one request asks for. */
struct sc_http_request {
	uint16_t status; /* 0: answer it; else the error to answer with */
	bool head; /* no body wanted */
	bool old; /* HTTP/1.0 */
	bool keep_alive;
	uint16_t path_len;
	const char *path; /* decoded; valid until the next call of sc_http_next */
};

/* One connection's parser. */
struct sc_http {
	llhttp_t parser;
	uint16_t header_len; /* of the request being read, so far */
	uint16_t field_len;
	uint16_t hosts; /* Host fields seen */
	bool field_is_host; /* as far as field_len */
	bool in_header; /* a request has begun and its header is not complete */
	bool in_body; /* its header is complete, it is not */
	bool ready; /* a request is complete as far as its header goes, and not yet given out */
	bool broken; /* nothing after this can be understood */
	struct sc_target target;
};

enum sc_http_result {
	SC_HTTP_MORE, /* all bytes used, no request complete */
	SC_HTTP_REQUEST, /* *ret_request is set; its body, if any, is skipped by later calls */
	SC_HTTP_STOP, /* the stream broke inside a body, after its request was given: close without a word */
};

void sc_http_init(struct sc_http *http);

/*
 * Reads up to the next complete header and stores how many bytes that took. After a request whose keep_alive is false,
 * and after SC_HTTP_STOP, the parser is not called again.
 */
enum sc_http_result sc_http_next(struct sc_http *http, const char *data, size_t len, size_t *ret_used,
				 struct sc_http_request *ret_request);

#ifdef __cplusplus
}
#endif
#endif

// SPDX-License-Identifier: MIT
/* Turns llhttp's callbacks into one request per call, and adds the rules llhttp leaves to its user. */
#include <string.h>
#include <strings.h>

#include "http.h"

static int on_message_begin(llhttp_t *parser)
{
	struct sc_http *http = parser->data;

	http->in_header = true;
	http->hosts = 0;
	sc_target_reset(&http->target);
	/* llhttp keeps the last request's until it has read this one's: an error in between must not see them. */
	parser->method = HTTP_GET;
	parser->http_major = 0;
	return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
	struct sc_http *http = parser->data;

	sc_target_add(&http->target, at, len);
	return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
	static const char name[] = "host";
	struct sc_http *http = parser->data;

	if (http->field_len + len > strlen(name))
		http->field_is_host = false;
	else
		http->field_is_host &= !strncasecmp(name + http->field_len, at, len);
	http->field_len += (uint16_t)len; /* no bound in trailers: it may wrap there, where nobody looks at it */
	return 0;
}

static int on_header_field_complete(llhttp_t *parser)
{
	struct sc_http *http = parser->data;

	http->hosts += http->field_is_host && http->field_len == strlen("host");
	http->field_len = 0;
	http->field_is_host = true;
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	struct sc_http *http = parser->data;

	http->in_header = false;
	http->ready = true;
	http->in_body = parser->content_length || parser->flags & F_TRANSFER_ENCODING;
	parser->upgrade = 0; /* we never change protocols: what follows is HTTP, or refused */
	return http->in_body ? HPE_PAUSED : 0;
}

/* The pause keeps the bytes of this message and of the next one's header apart. */
static int on_message_complete(llhttp_t *parser)
{
	struct sc_http *http = parser->data;

	http->in_body = false;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_field_complete = on_header_field_complete,
	.on_headers_complete = on_headers_complete,
	.on_message_complete = on_message_complete,
};

void sc_http_init(struct sc_http *http)
{
	memset(http, 0, offsetof(struct sc_http, target));
	sc_target_reset(&http->target);
	llhttp_init(&http->parser, HTTP_REQUEST, &settings);
	http->parser.data = http;
	http->field_is_host = true;
}

/* The header is well formed: what do we think of what it says? */
static uint16_t judge(struct sc_http *http)
{
	const llhttp_t *parser = &http->parser;
	bool is_path = sc_target_finish(&http->target);

	if (parser->http_major != 1)
		return HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED;
	if (http->hosts > 1 || (!http->hosts && parser->http_minor))
		return HTTP_STATUS_BAD_REQUEST; /* RFC 9112, 3.2 */
	if (parser->flags & F_TRANSFER_ENCODING && !(parser->flags & F_CHUNKED))
		return HTTP_STATUS_BAD_REQUEST; /* where it ends nobody can tell: RFC 9112, 6.3 */
	if (parser->method != HTTP_GET && parser->method != HTTP_HEAD)
		return HTTP_STATUS_METHOD_NOT_ALLOWED;
	if (!is_path)
		return HTTP_STATUS_BAD_REQUEST;
	return http->target.too_long ? HTTP_STATUS_NOT_FOUND : 0;
}

static void complete(struct sc_http *http, struct sc_http_request *ret_request)
{
	const llhttp_t *parser = &http->parser;
	uint16_t status = judge(http);
	bool old = !parser->http_minor;

	http->ready = false;
	http->broken = status == HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED || status == HTTP_STATUS_BAD_REQUEST;
	*ret_request = (struct sc_http_request){
		.status = status,
		.head = parser->method == HTTP_HEAD,
		.old = old,
		/* A chunked request of HTTP/1.0 may have passed somebody who saw another end of it: RFC 9112, 6.1. */
		.keep_alive = !http->broken && llhttp_should_keep_alive(parser) &&
			      !(old && parser->flags & F_TRANSFER_ENCODING),
		.path = http->target.path,
		.path_len = http->target.path_len,
	};
}

static uint16_t error_status(const struct sc_http *http, llhttp_errno_t err)
{
	const llhttp_t *parser = &http->parser;
	bool known = parser->http_major == 1 && parser->http_minor <= 1;

	if (err == HPE_USER) /* the header goes on and on: is it the request line? */
		return parser->http_major ? HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE : HTTP_STATUS_URI_TOO_LONG;
	if (err == HPE_PAUSED_H2_UPGRADE || (err == HPE_INVALID_VERSION && !known))
		return HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED;
	return HTTP_STATUS_BAD_REQUEST;
}

static enum sc_http_result fail(struct sc_http *http, llhttp_errno_t err, struct sc_http_request *ret_request)
{
	http->broken = true;
	if (http->in_body)
		return SC_HTTP_STOP;
	*ret_request = (struct sc_http_request){
		.status = error_status(http, err),
		.head = http->parser.method == HTTP_HEAD,
		.path = http->target.path,
	};
	return SC_HTTP_REQUEST;
}

/* Takes what llhttp likes, but no more than the header may still have: its bound holds to the byte. */
static llhttp_errno_t take(struct sc_http *http, const char *data, size_t len, size_t *ret_used)
{
	size_t room = SC_HTTP_HEADER_MAX - http->header_len;
	size_t used = len < room ? len : room;
	llhttp_errno_t err = llhttp_execute(&http->parser, data, used);

	if (err == HPE_PAUSED) {
		used = (size_t)(llhttp_get_error_pos(&http->parser) - data);
		llhttp_resume(&http->parser);
	}
	http->header_len = http->in_header ? (uint16_t)(http->header_len + used) : 0;
	*ret_used = used;
	return err == HPE_OK && http->header_len == SC_HTTP_HEADER_MAX ? HPE_USER : err;
}

enum sc_http_result sc_http_next(struct sc_http *http, const char *data, size_t len, size_t *ret_used,
				 struct sc_http_request *ret_request)
{
	size_t used = 0;

	while (used < len) {
		size_t piece;
		llhttp_errno_t err = take(http, data + used, len - used, &piece);

		used += piece;
		*ret_used = used;
		if (err && err != HPE_PAUSED)
			return fail(http, err, ret_request);
		if (http->ready) {
			complete(http, ret_request);
			return SC_HTTP_REQUEST;
		}
	}
	*ret_used = used;
	return SC_HTTP_MORE;
}

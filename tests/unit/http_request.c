// SPDX-License-Identifier: MIT
/* What the request parser makes of each stream, whole and split at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http.h"

#define HOST "Host: h\r\n"

/*
 * A request is written as STATUS PATH FLAGS: H for HEAD, O for HTTP/1.0, K for keep-alive. Behind an error the parser
 * cannot get over there is nothing; "stop" is a body that broke.
 */
static const struct stream {
	const char *name;
	const char *bytes;
	const char *expected;
} streams[] = {
	{ "get", "GET / HTTP/1.1\r\n" HOST "\r\n", "0 / K" },
	{ "head", "HEAD /a HTTP/1.1\r\n" HOST "\r\n", "0 /a HK" },
	{ "nothing", "", "" },
	{ "half a line", "GET / HT", "" },
	{ "half a header", "GET / HTTP/1.1\r\nHos", "" },
	{ "empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "0 / K" },
	{ "pipelined",
	  "GET /1 HTTP/1.1\r\n" HOST "\r\nHEAD /2 HTTP/1.1\r\n" HOST
	  "\r\nGET /3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	  "0 /1 K;0 /2 HK;0 /3 OK" },
	{ "1.0 ends", "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", "0 / O" },
	{ "1.0 keeps alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "0 / OK" },
	{ "1.1 ends when told", "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
	  "0 / " },
	{ "1.1 ends when told among others", "GET / HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n", "0 / " },

	{ "query", "GET /a?b=/c%zz HTTP/1.1\r\n" HOST "\r\n", "0 /a K" },
	{ "escapes", "GET /%61%2Fb%20%C3%a4 HTTP/1.1\r\n" HOST "\r\n", "0 /a/b \xc3\xa4 K" },
	{ "dots stay", "GET /../%2e%2e/x HTTP/1.1\r\n" HOST "\r\n", "0 /../../x K" },
	{ "absolute form", "GET http://h:80/a?b HTTP/1.1\r\n" HOST "\r\n", "0 /a K" },
	{ "absolute form, no path", "GET http://h HTTP/1.1\r\n" HOST "\r\n", "0 / K" },
	{ "absolute form, only a query", "GET http://h?x HTTP/1.1\r\n" HOST "\r\n", "0 / K" },
	{ "escape of zero", "GET /a%00b HTTP/1.1\r\n" HOST "\r\n", "400 " },
	{ "escape of no digit", "GET /%g0 HTTP/1.1\r\n" HOST "\r\n", "400 " },
	{ "escape cut off", "GET /%4 HTTP/1.1\r\n" HOST "\r\n", "400 " },
	{ "escape without digits", "GET /% HTTP/1.1\r\n" HOST "\r\n", "400 " },
	{ "get of *", "GET * HTTP/1.1\r\n" HOST "\r\n", "400 " },

	{ "post", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n" HOST "\r\n",
	  "405 /a K;0 /b K" },
	{ "options *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "405  K" },
	{ "connect", "CONNECT h:1 HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n", "405  K;0 /b K" },
	{ "upgrade is passed over",
	  "GET /a HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /b HTTP/1.1\r\n" HOST "\r\n",
	  "0 /a K;0 /b K" },
	{ "body of a get", "GET /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nGETGET /b HTTP/1.1\r\n" HOST "\r\n",
	  "0 /a K;0 /b K" },
	{ "chunks",
	  "POST /a HTTP/1.1\r\n" HOST
	  "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nHost: t\r\n\r\n"
	  "GET /b HTTP/1.1\r\n" HOST "\r\n",
	  "405 /a K;0 /b K" },
	{ "bad chunk", "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "405 /a K;stop" },
	{ "chunks in 1.0", "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
	  "405 /a O" },
	{ "unknown coding", "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", "400 " },
	{ "length and chunks", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
	  "400 " },
	{ "two lengths", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", "400 " },
	{ "bad length", "POST /a HTTP/1.1\r\n" HOST "Content-Length: -3\r\n\r\n", "400 " },
	{ "huge length", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", "400 " },

	{ "no host", "GET / HTTP/1.1\r\n\r\n", "400 " },
	{ "no host, but a hostess", "GET / HTTP/1.1\r\nHostess: x\r\nHos: t\r\n\r\n", "400 " },
	{ "two hosts", "GET / HTTP/1.1\r\n" HOST "hOST: x\r\n\r\n", "400 " },
	{ "host is per request", "GET / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n\r\n", "0 / K;400 " },
	{ "1.0 needs no host", "GET / HTTP/1.0\r\n\r\n", "0 / O" },

	{ "no method we know", "FETCH / HTTP/1.1\r\n" HOST "\r\n", "400 " },
	{ "lower case", "get / HTTP/1.1\r\n" HOST "\r\n", "400 " },
	{ "error is not the last request's", "HEAD / HTTP/1.1\r\n" HOST "\r\nFETCH / HTTP/1.1\r\n" HOST "\r\n",
	  "0 / HK;400 " },
	{ "garbage", "\x16\x03\x01\x02", "400 " },
	{ "control byte in target", "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", "400 " },
	{ "high byte in target", "GET /\x80 HTTP/1.1\r\n" HOST "\r\n", "400 " },
	{ "control byte in field", "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n", "400 " },
	{ "no colon", "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n", "400 " },
	{ "space before colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400 " },
	{ "folded field", "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", "400 " },
	{ "line feed alone", "GET / HTTP/1.1\n" HOST "\r\n", "400 " },
	{ "other protocol", "GET / FTP/1.1\r\n\r\n", "400 " },
	{ "version 0.9", "GET /\r\n\r\n", "505 " },
	{ "version 1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", "505 " },
	{ "version 2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", "505 " },
	{ "version 2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 " },
};

struct reading {
	struct sc_http http;
	bool over;
	char text[4096];
	size_t len;
};

static void describe(struct reading *reading, const struct sc_http_request *request)
{
	char flags[4] = "", *flag = flags;

	*flag = 0;
	if (request->head)
		*flag++ = 'H';
	if (request->old)
		*flag++ = 'O';
	if (request->keep_alive)
		*flag++ = 'K';
	*flag = 0;
	reading->len += (size_t)snprintf(reading->text + reading->len, sizeof(reading->text) - reading->len, "%s%u ",
					 reading->len ? ";" : "", request->status);
	if (!reading->http.broken) /* then nobody asks for the rest */
		reading->len += (size_t)snprintf(reading->text + reading->len, sizeof(reading->text) - reading->len,
						 "%.*s %s", request->path_len, request->path, flags);
	reading->over = !request->keep_alive;
}

/* A copy of the exact length, so that a sanitizer sees any step beyond it. */
static void feed(struct reading *reading, const char *data, size_t len)
{
	char *copy = malloc(len ? len : 1);
	size_t done = 0;

	memcpy(copy, data, len);
	while (done < len && !reading->over) {
		struct sc_http_request request;
		size_t used = 0;
		enum sc_http_result result = sc_http_next(&reading->http, copy + done, len - done, &used, &request);

		assert_in_range(used, 1, len - done);
		done += used;
		if (result == SC_HTTP_REQUEST)
			describe(reading, &request);
		else
			assert_true(result == SC_HTTP_STOP || done == len);
		if (result == SC_HTTP_STOP) {
			strcat(reading->text, ";stop");
			reading->over = true;
		}
	}
	free(copy);
}

static void check(const struct stream *stream, size_t first, size_t step)
{
	size_t len = strlen(stream->bytes), done = first < len ? first : len;
	struct reading reading = { .text = "" };

	sc_http_init(&reading.http);
	feed(&reading, stream->bytes, done);
	while (done < len) {
		size_t piece = step && step < len - done ? step : len - done;

		feed(&reading, stream->bytes + done, piece);
		done += piece;
	}
	if (strcmp(reading.text, stream->expected))
		fail_msg("%s (first %zu, then %zu): \"%s\", not \"%s\"", stream->name, first, step, reading.text,
			 stream->expected);
}

static void test_streams_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++)
		check(&streams[i], 0, 0);
}

static void test_streams_split_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++)
		for (size_t first = 1; first < strlen(streams[i].bytes); first++)
			check(&streams[i], first, 0);
}

static void test_streams_in_small_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++)
		for (size_t step = 1; step < 8; step++)
			check(&streams[i], 0, step);
}

/* GET /, one field that makes the header len bytes long, and another request behind it. */
static char *long_header(size_t len)
{
	static const char begin[] = "GET / HTTP/1.1\r\n" HOST "A: ", end[] = "\r\n\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n";
	char *bytes = malloc(len + sizeof(end));
	size_t fill = len - (sizeof(begin) - 1) - 4;

	memcpy(bytes, begin, sizeof(begin) - 1);
	memset(bytes + sizeof(begin) - 1, 'x', fill);
	memcpy(bytes + sizeof(begin) - 1 + fill, end, sizeof(end));
	return bytes;
}

static void test_header_limit(void **state)
{
	static const size_t steps[] = { 0, 1, 7, 4096, SC_HTTP_HEADER_MAX - 1, SC_HTTP_HEADER_MAX };
	char *fits = long_header(SC_HTTP_HEADER_MAX), *exceeds = long_header(SC_HTTP_HEADER_MAX + 1);

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		check(&(struct stream){ "header of the limit", fits, "0 / K;0 /2 K" }, 0, steps[i]);
		check(&(struct stream){ "header above the limit", exceeds, "431 " }, 0, steps[i]);
	}
	free(fits);
	free(exceeds);
}

/* A body, however long, does not count as header of the request behind it. */
static void test_header_limit_after_body(void **state)
{
	enum { BODY = 3 * SC_HTTP_HEADER_MAX };
	char *fits = long_header(SC_HTTP_HEADER_MAX), *bytes;
	int head =
		asprintf(&bytes, "POST /p HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n%*s%s", BODY, BODY, "", fits);

	(void)state;
	assert_true(head > 0);
	for (size_t step = 0; step < 20000; step += 1999)
		check(&(struct stream){ "body, then a long header", bytes, "405 /p K;0 / K;0 /2 K" }, 0, step);
	free(bytes);
	free(fits);
}

static void test_long_target(void **state)
{
	static const struct {
		int zeros; /* after the slash */
		uint16_t status;
	} cases[] = {
		{ SC_TARGET_PATH_MAX - 1, 0 },
		{ SC_TARGET_PATH_MAX, 404 },
		{ SC_HTTP_HEADER_MAX - 64, 404 },
		{ SC_HTTP_HEADER_MAX, 414 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sc_http http;
		struct sc_http_request request;
		size_t used;
		char *bytes;
		int len = asprintf(&bytes, "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", cases[i].zeros, 0);

		sc_http_init(&http);
		assert_int_equal(sc_http_next(&http, bytes, (size_t)len, &used, &request), SC_HTTP_REQUEST);
		assert_int_equal(request.status, cases[i].status);
		assert_int_equal(request.keep_alive, cases[i].status != 414);
		free(bytes);
	}
}

/* Bytes by a fixed rule: whatever they say, the parser stays within them and comes to an end. */
static void test_odd_bytes(void **state)
{
	static const char seed[] = "GET /a%20b HTTP/1.1\r\n" HOST
				   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	uint32_t random = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct reading reading = { .text = "" };
		char bytes[sizeof(seed)];

		memcpy(bytes, seed, sizeof(seed));
		for (int flips = 0; flips < 3; flips++) {
			random = random * 1664525 + 1013904223;
			bytes[(random >> 8) % (sizeof(seed) - 1)] = (char)(random >> 24);
		}
		sc_http_init(&reading.http);
		feed(&reading, bytes, (size_t)round % (sizeof(seed) - 1));
		feed(&reading, bytes + (size_t)round % (sizeof(seed) - 1),
		     sizeof(seed) - 1 - (size_t)round % (sizeof(seed) - 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_whole),
		cmocka_unit_test(test_streams_split_once),
		cmocka_unit_test(test_streams_in_small_pieces),
		cmocka_unit_test(test_header_limit),
		cmocka_unit_test(test_header_limit_after_body),
		cmocka_unit_test(test_long_target),
		cmocka_unit_test(test_odd_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* What the handler answers, byte for byte, and how answers share a batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "handler.h"

#define DATE	  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define TEXT	  "Content-Type: text/plain; charset=utf-8\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

enum { BLOCK_LEN = 4096, LARGE_LEN = 5000 };

static struct sc_handler handler;
static char *bodies, block[BLOCK_LEN];
static char root[] = "/tmp/http_respond-XXXXXX";

static void write_file(const char *name, const char *text, size_t len)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
	char reason[256], large[LARGE_LEN];

	(void)state;
	memset(large, 'L', sizeof(large));
	assert_non_null(mkdtemp(root));
	write_file("a.txt", "hello", 5);
	write_file("empty.txt", "", 0);
	write_file("large.txt", large, sizeof(large));
	assert_int_equal(sc_files_open(root, &handler.files, reason, sizeof(reason)), 0);
	bodies = aligned_alloc(SC_FILES_ALIGN, sc_files_bytes(handler.files));
	assert_int_equal(sc_files_load(handler.files, bodies, reason, sizeof(reason)), 0);
	sc_date_set(&handler.date, 784111777);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "a.txt", "empty.txt", "large.txt" };
	char path[64];

	(void)state;
	sc_files_free(handler.files);
	free(bodies);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		unlink(path);
	}
	return rmdir(root);
}

/* Runs the handler once over requests; returns what it would send, to be freed. */
static char *run(struct sc_batch *batch, const char *requests, size_t *ret_used)
{
	struct sc_http http;
	char *text;
	size_t len = 0;

	sc_http_init(&http);
	sc_batch_init(batch, block, sizeof(block));
	*ret_used = sc_handler_run(&handler, &http, requests, strlen(requests), batch);
	text = calloc(1, batch->total + 1);
	for (unsigned int i = 0; i < batch->cnt; i++) {
		memcpy(text + len, batch->pieces[i].iov_base, batch->pieces[i].iov_len);
		len += batch->pieces[i].iov_len;
	}
	assert_int_equal(len, batch->total);
	return text;
}

static void test_each_answer(void **state)
{
	static const struct {
		const char *requests;
		const char *responses;
		bool close;
	} cases[] = {
		{ GET("/a.txt"), "HTTP/1.1 200 OK\r\n" TEXT "Content-Length: 5\r\n" DATE "\r\nhello", false },
		{ "HEAD /a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
		  "HTTP/1.1 200 OK\r\n" TEXT "Content-Length: 5\r\n" DATE "\r\n", false },
		{ "GET /a.txt HTTP/1.0\r\n\r\n",
		  "HTTP/1.1 200 OK\r\n" TEXT "Content-Length: 5\r\n" DATE "Connection: close\r\n\r\nhello", true },
		{ "GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		  "HTTP/1.1 200 OK\r\n" TEXT "Content-Length: 5\r\n" DATE "Connection: keep-alive\r\n\r\nhello",
		  false },
		{ "GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/a.txt"),
		  "HTTP/1.1 200 OK\r\n" TEXT "Content-Length: 5\r\n" DATE "Connection: close\r\n\r\nhello", true },
		{ GET("/empty.txt"), "HTTP/1.1 200 OK\r\n" TEXT "Content-Length: 0\r\n" DATE "\r\n", false },
		{ GET("/none"), "HTTP/1.1 404 Not Found\r\n" TEXT "Content-Length: 14\r\n" DATE "\r\n404 Not Found\n",
		  false },
		{ GET("/../a.txt"),
		  "HTTP/1.1 404 Not Found\r\n" TEXT "Content-Length: 14\r\n" DATE "\r\n404 Not Found\n", false },
		{ "HEAD /none HTTP/1.1\r\nHost: h\r\n\r\n",
		  "HTTP/1.1 404 Not Found\r\n" TEXT "Content-Length: 14\r\n" DATE "\r\n", false },
		{ "PUT /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi" GET("/a.txt"),
		  "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n" TEXT "Content-Length: 23\r\n" DATE
		  "\r\n405 Method Not Allowed\n"
		  "HTTP/1.1 200 OK\r\n" TEXT "Content-Length: 5\r\n" DATE "\r\nhello",
		  false },
		{ "?\r\n\r\n",
		  "HTTP/1.1 400 Bad Request\r\n" TEXT "Content-Length: 16\r\n" DATE
		  "Connection: close\r\n\r\n400 Bad Request\n",
		  true },
		{ GET("/a.txt") "GET / HTTP/3.7\r\n\r\n",
		  "HTTP/1.1 200 OK\r\n" TEXT "Content-Length: 5\r\n" DATE "\r\nhello"
		  "HTTP/1.1 505 HTTP Version Not Supported\r\n" TEXT "Content-Length: 31\r\n" DATE
		  "Connection: close\r\n\r\n505 HTTP Version Not Supported\n",
		  true },
		{ "GET /a.txt HTTP/1.1\r\nHost", "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sc_batch batch;
		size_t used;
		char *text = run(&batch, cases[i].requests, &used);

		assert_string_equal(text, cases[i].responses);
		assert_int_equal(batch.close, cases[i].close);
		free(text);
	}
}

static void test_small_ones_go_out_in_one_piece(void **state)
{
	struct sc_batch batch;
	size_t used;
	char *text = run(&batch, GET("/a.txt") GET("/none") GET("/empty.txt"), &used);

	(void)state;
	assert_int_equal(batch.responses, 3);
	assert_int_equal(batch.cnt, 1);
	assert_ptr_equal(batch.pieces[0].iov_base, block);
	free(text);
}

static void test_large_bodies_stay_where_they_are(void **state)
{
	const char *requests = GET("/a.txt") GET("/large.txt") GET("/large.txt") GET("/a.txt");
	const struct sc_file *large = sc_files_find(handler.files, "/large.txt", 10);
	struct sc_batch batch;
	size_t used;
	char *text = run(&batch, requests, &used);

	(void)state;
	assert_int_equal(batch.responses, 3); /* each large one takes two pieces: the fourth answer waits */
	assert_int_equal(batch.cnt, 4);
	assert_ptr_equal(batch.pieces[1].iov_base, large->body);
	assert_int_equal(batch.pieces[1].iov_len, LARGE_LEN);
	assert_ptr_equal(batch.pieces[3].iov_base, large->body);
	assert_string_equal(requests + used, GET("/a.txt"));
	free(text);
}

/* More requests than a batch holds: it stops at the end of one, and what is left is answered by the next. */
static void test_full_batches_follow_each_other(void **state)
{
	enum { REQUESTS = 100 };
	static const char request[] = GET("/a.txt"),
			  response[] = "HTTP/1.1 200 OK\r\n" TEXT "Content-Length: 5\r\n" DATE "\r\nhello";
	size_t request_len = sizeof(request) - 1, len = REQUESTS * request_len, done = 0, responses = 0;
	char *requests = malloc(len);
	struct sc_http http;
	unsigned int batches = 0;

	(void)state;
	for (int i = 0; i < REQUESTS; i++)
		memcpy(requests + (size_t)i * request_len, request, request_len);
	sc_http_init(&http);
	while (done < len) {
		struct sc_batch batch;

		sc_batch_init(&batch, block, sizeof(block));
		done += sc_handler_run(&handler, &http, requests + done, len - done, &batch);
		assert_int_equal(done % request_len, 0);
		assert_int_equal(batch.total, batch.responses * (sizeof(response) - 1));
		assert_true(batch.used <= sizeof(block));
		responses += batch.responses;
		batches++;
	}
	assert_int_equal(responses, REQUESTS);
	assert_true(batches > 1 && batches < REQUESTS / 5);
	free(requests);
}

static void test_who_must_linger(void **state)
{
	static const struct {
		const char *requests;
		bool linger;
	} cases[] = {
		{ "GET /a.txt HTTP/1.0\r\n\r\n", false },
		{ "GET /a.txt HTTP/1.0\r\n\r\nmore", true },
		{ "POST /a.txt HTTP/1.0\r\nContent-Length: 9\r\n\r\n", true },
		{ "?\r\n\r\n", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].requests), used;
		struct sc_batch batch;
		struct sc_http http;

		sc_http_init(&http);
		sc_batch_init(&batch, block, sizeof(block));
		used = sc_handler_run(&handler, &http, cases[i].requests, len, &batch);
		assert_true(batch.close);
		assert_int_equal(sc_handler_must_linger(&http, len - used), cases[i].linger);
	}
}

static void test_broken_body_ends_without_a_word(void **state)
{
	struct sc_batch batch;
	struct sc_http http;
	const char *head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

	(void)state;
	sc_http_init(&http);
	sc_batch_init(&batch, block, sizeof(block));
	sc_handler_run(&handler, &http, head, strlen(head), &batch);
	assert_int_equal(batch.responses, 1);
	assert_false(batch.close);
	sc_batch_init(&batch, block, sizeof(block));
	sc_handler_run(&handler, &http, "zz\r\n", 4, &batch);
	assert_int_equal(batch.cnt, 0);
	assert_true(batch.close);
}

static void test_date(void **state)
{
	static const struct {
		time_t second;
		const char *field;
	} cases[] = {
		{ 0, "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n" },
		{ 784111777, DATE },
		{ 951782399, "Date: Mon, 28 Feb 2000 23:59:59 GMT\r\n" },
		{ 951868799, "Date: Tue, 29 Feb 2000 23:59:59 GMT\r\n" },
		{ 253402300799, "Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n" },
	};
	struct sc_date date;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		sc_date_set(&date, cases[i].second);
		assert_string_equal(date.field, cases[i].field);
		assert_int_equal(strlen(date.field), SC_DATE_LEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_answer),
		cmocka_unit_test(test_small_ones_go_out_in_one_piece),
		cmocka_unit_test(test_large_bodies_stay_where_they_are),
		cmocka_unit_test(test_full_batches_follow_each_other),
		cmocka_unit_test(test_who_must_linger),
		cmocka_unit_test(test_broken_body_ends_without_a_word),
		cmocka_unit_test(test_date),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

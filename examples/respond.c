// SPDX-License-Identifier: MIT
/* Writes response headers and decides what is copied and what is sent from where it lies. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "respond.h"

static const char status_ok[] = "HTTP/1.1 200 OK\r\n";
static const char connection_close[] = "Connection: close\r\n\r\n";
static const char connection_keep[] = "Connection: keep-alive\r\n\r\n"; /* 1.1 means it anyway, 1.0 must be told */
static const char connection_none[] = "\r\n";

static_assert(sizeof(status_ok) + SC_FILES_HEAD_MAX + SC_DATE_LEN + sizeof(connection_keep) < SC_BATCH_TEXT_MAX,
	      "the header of a large body fits where a small response fits");

static const struct error {
	unsigned int status;
	const char *reason;
	const char *fields;
} errors[] = {
	{ 400, "Bad Request", "" },
	{ 404, "Not Found", "" },
	{ 405, "Method Not Allowed", "Allow: GET, HEAD\r\n" },
	{ 414, "URI Too Long", "" },
	{ 431, "Request Header Fields Too Large", "" },
	{ 505, "HTTP Version Not Supported", "" },
};

void sc_batch_init(struct sc_batch *batch, char *block, size_t block_len)
{
	assert(block_len >= SC_BATCH_BLOCK_MIN);
	memset(batch, 0, offsetof(struct sc_batch, pieces));
	batch->block = block;
	batch->block_len = block_len;
	batch->close = false;
}

bool sc_batch_has_room(const struct sc_batch *batch)
{
	return batch->block_len - batch->used >= SC_BATCH_TEXT_MAX && batch->cnt + 2 <= SC_BATCH_PIECES &&
	       !batch->close;
}

static void add_piece(struct sc_batch *batch, const char *data, size_t len)
{
	struct iovec *last = batch->cnt ? &batch->pieces[batch->cnt - 1] : NULL;

	batch->total += len;
	if (last && (char *)last->iov_base + last->iov_len == data)
		last->iov_len += len;
	else
		batch->pieces[batch->cnt++] = (struct iovec){ .iov_base = (char *)data, .iov_len = len };
}

static char *put(char *to, const char *text, size_t len)
{
	memcpy(to, text, len);
	return to + len;
}

static char *put_end(char *to, const struct sc_http_request *request, const struct sc_date *date)
{
	to = put(to, date->field, SC_DATE_LEN);
	if (!request->keep_alive)
		return put(to, connection_close, sizeof(connection_close) - 1);
	if (request->old)
		return put(to, connection_keep, sizeof(connection_keep) - 1);
	return put(to, connection_none, sizeof(connection_none) - 1);
}

static void respond_file(struct sc_batch *batch, const struct sc_http_request *request, const struct sc_file *file,
			 const struct sc_date *date)
{
	char *begin = batch->block + batch->used;
	char *end = put(begin, status_ok, sizeof(status_ok) - 1);
	size_t body_len = request->head ? 0 : file->body_len;
	bool copied;

	end = put(end, file->head, file->head_len);
	end = put_end(end, request, date);
	copied = (size_t)(end - begin) + body_len <= SC_BATCH_TEXT_MAX;
	if (copied)
		end = put(end, file->body, body_len);
	batch->used += (size_t)(end - begin);
	add_piece(batch, begin, (size_t)(end - begin));
	if (!copied)
		add_piece(batch, file->body, body_len);
}

static const struct error *find_error(unsigned int status)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (errors[i].status == status)
			return &errors[i];
	assert(!"a status the parser cannot give");
	return &errors[0];
}

static void respond_error(struct sc_batch *batch, const struct sc_http_request *request, unsigned int status,
			  const struct sc_date *date)
{
	const struct error *error = find_error(status);
	char *begin = batch->block + batch->used, *end = begin;
	char body[64];
	int body_len = snprintf(body, sizeof(body), "%u %s\n", status, error->reason);

	end += snprintf(begin, SC_BATCH_TEXT_MAX,
			"HTTP/1.1 %u %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n", status,
			error->reason, error->fields, body_len);
	end = put_end(end, request, date);
	if (!request->head)
		end = put(end, body, (size_t)body_len);
	batch->used += (size_t)(end - begin);
	add_piece(batch, begin, (size_t)(end - begin));
}

void sc_batch_respond(struct sc_batch *batch, const struct sc_http_request *request, const struct sc_files *files,
		      const struct sc_date *date)
{
	const struct sc_file *file = request->status ? NULL : sc_files_find(files, request->path, request->path_len);

	assert(sc_batch_has_room(batch));
	batch->responses++;
	if (file)
		respond_file(batch, request, file, date);
	else
		respond_error(batch, request, request->status ? request->status : HTTP_STATUS_NOT_FOUND, date);
	batch->close = !request->keep_alive;
}

// SPDX-License-Identifier: MIT
/*
 * Sending ranges of files. A connection that does so has a reader: chunks of the arena, of which one is filled while the other
 * is sent, for all its files in turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "reason.h"
#include "session.h"

enum { CHUNKS = 2, CHUNK_LEN = 64 << 10, CHUNK_LEN_MIN = 4 << 10 };

struct reader {
	struct chunk {
		char *mem; /* NULL: there is one only */
		uint32_t sent, full; /* bytes of it that are sent, and there */
	} chunk[CHUNKS];
	uint32_t chunk_len;
	uint8_t reading, sending; /* chunks */
	bool begun; /* with the first send */
	int err; /* reading came to this end */
	uint64_t off; /* in the file: to be read next */
	size_t left; /* of the range: to be read */
	unsigned int sends; /* of files, on this connection */
};

/* --- chunks --- */

static void chunks_free(struct sc_conn *conn, const struct reader *reader)
{
	for (unsigned int i = 0; i < CHUNKS; i++)
		if (reader->chunk[i].mem)
			sc_arena_free(&conn->lane->session->arena, reader->chunk[i].mem);
}

/* Two chunks that suffice for len, or smaller ones, or one. false: the arena is full. */
static bool chunks_alloc(struct sc_conn *conn, struct reader *reader, size_t len)
{
	struct arena *arena = &conn->lane->session->arena;

	reader->chunk_len = CHUNK_LEN;
	while (reader->chunk_len > CHUNK_LEN_MIN && reader->chunk_len / 2 >= len)
		reader->chunk_len /= 2;
	while (!(reader->chunk[0].mem = sc_arena_alloc(arena, reader->chunk_len)))
		if ((reader->chunk_len /= 2) < CHUNK_LEN_MIN)
			return false;
	reader->chunk[1].mem = len > reader->chunk_len ? sc_arena_alloc(arena, reader->chunk_len) : NULL;
	return true;
}

/* The chunks were for a shorter range: better ones, if there are. None is in use. */
static void chunks_grow(struct sc_conn *conn, struct reader *reader, size_t len)
{
	struct reader better = { .chunk_len = 0 };

	if (reader->chunk_len == CHUNK_LEN ? reader->chunk[1].mem || len <= CHUNK_LEN : len <= reader->chunk_len)
		return;
	if (!chunks_alloc(conn, &better, len))
		return;
	chunks_free(conn, reader);
	memcpy(reader->chunk, better.chunk, sizeof(better.chunk));
	reader->chunk_len = better.chunk_len;
}

static struct reader *reader_get(struct sc_conn *conn, size_t len)
{
	struct reader *reader = conn->reader;

	if (reader)
		return reader;
	reader = calloc(1, sizeof(*reader));
	if (reader && !chunks_alloc(conn, reader, len)) {
		free(reader);
		reader = NULL;
	}
	conn->reader = reader;
	return reader;
}

/* The kernel may still write to a chunk after the send that asked for it has failed. */
static void reader_put(struct sc_conn *conn)
{
	struct reader *reader = conn->reader;

	if (!reader || reader->sends || conn->inflight & OP_READ)
		return;
	chunks_free(conn, reader);
	free(reader);
	conn->reader = NULL;
}

void sc_file_send_put(struct send *send)
{
	struct sc_conn *conn = send->conn;

	send->file->sends--;
	send->file = NULL;
	conn->reader->sends--;
	reader_put(conn);
}

/* --- reading and sending --- */

static uint8_t next_chunk(const struct reader *reader, uint8_t chunk)
{
	return reader->chunk[1].mem ? !chunk : 0;
}

static void begin(struct sc_conn *conn, struct reader *reader)
{
	const struct send *send = conn->send_head;

	chunks_grow(conn, reader, send->len);
	reader->begun = true;
	reader->err = 0;
	reader->off = send->off;
	reader->left = send->len;
	reader->reading = reader->sending = 0;
	for (unsigned int i = 0; i < CHUNKS; i++)
		reader->chunk[i].sent = reader->chunk[i].full = 0;
}

void sc_file_step(struct sc_conn *conn)
{
	struct reader *reader = conn->reader;
	uint16_t busy;

	if (!reader->begun)
		begin(conn, reader);
	busy = conn->want | conn->inflight;
	if (!(busy & OP_READ) && reader->left && !reader->err && !reader->chunk[reader->reading].full)
		sc_conn_want(conn, OP_READ);
	if (busy & OP_SEND)
		return;
	if (reader->chunk[reader->sending].full)
		sc_conn_want(conn, OP_SEND);
	else if (reader->err)
		sc_send_fail(conn, reader->err);
}

void sc_file_read_prep(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	const struct lane *lane = conn->lane;
	const struct reader *reader = conn->reader;
	unsigned int len = reader->left < reader->chunk_len ? (unsigned int)reader->left : reader->chunk_len;
	char *mem = reader->chunk[reader->reading].mem;

	io_uring_prep_read(sqe, conn->send_head->file->lane[lane->idx].file,
			   (void *)(uintptr_t)sc_session_addr(lane->session, mem), len, reader->off);
	sc_lane_use_file(lane, sqe);
}

static void read_add(struct reader *reader, int res)
{
	struct chunk *chunk = &reader->chunk[reader->reading];

	if (res == -EAGAIN || res == -EINTR)
		return;
	if (res <= 0 || (uint32_t)res > reader->chunk_len || (size_t)res > reader->left) {
		reader->err = res < 0 ? res : res ? -EIO : -ENODATA;
		return;
	}
	chunk->sent = 0;
	chunk->full = (uint32_t)res;
	reader->off += (uint32_t)res;
	reader->left -= (uint32_t)res;
	reader->reading = next_chunk(reader, reader->reading);
}

void sc_file_read_complete(struct sc_conn *conn, int res)
{
	struct reader *reader = conn->reader;

	if (!reader || !reader->begun) { /* the send has failed */
		reader_put(conn);
		return;
	}
	read_add(reader, conn->close_now ? -ECANCELED : res);
	sc_file_step(conn);
}

void sc_file_end(struct sc_conn *conn)
{
	conn->want &= (uint16_t)~OP_READ;
	conn->reader->begun = false;
}

/* What is read next goes out with it: no short segment in between. */
void sc_file_send_prep(struct sc_conn *conn, struct io_uring_sqe *sqe)
{
	const struct lane *lane = conn->lane;
	const struct reader *reader = conn->reader;
	const struct chunk *chunk = &reader->chunk[reader->sending];
	struct send *send = conn->send_head;

	send->asked = chunk->full - chunk->sent;
	send->zerocopy = false;
	io_uring_prep_send(sqe, conn->file, (void *)(uintptr_t)sc_session_addr(lane->session, chunk->mem + chunk->sent),
			   send->asked, MSG_WAITALL | (send->asked < send->left ? MSG_MORE : 0));
	sc_lane_use_file(lane, sqe);
}

void sc_file_sent(struct sc_conn *conn, uint32_t len)
{
	struct reader *reader = conn->reader;
	struct chunk *chunk = &reader->chunk[reader->sending];

	conn->send_head->left -= len;
	chunk->sent += len;
	if (chunk->sent < chunk->full)
		return;
	chunk->sent = chunk->full = 0;
	reader->sending = next_chunk(reader, reader->sending);
}

/* --- closing --- */

void sc_files_fill(struct lane *lane)
{
	struct sc_session *session = lane->session;

	for (unsigned int idx = 0; idx < SC_FILES_MAX; idx++) {
		struct sc_file *file = session->files[idx];
		struct io_uring_sqe *sqe;

		if (!file || !file->lane[lane->idx].close_wanted || !(sqe = sc_lane_sqe(lane)))
			continue;
		if (lane->descriptors)
			io_uring_prep_close(sqe, file->lane[lane->idx].file);
		else
			io_uring_prep_close_direct(sqe, (unsigned int)file->lane[lane->idx].file);
		io_uring_sqe_set_data64(sqe, (uint64_t)idx << 32 | FILE_CLOSE << 8);
		file->lane[lane->idx].close_wanted = false;
	}
}

static void forget(struct sc_file *file)
{
	file->session->files[file->idx] = NULL;
	file->session->files_closing -= file->closing;
	free(file);
}

void sc_file_closed(struct lane *lane, unsigned int idx)
{
	struct sc_file *file = idx < SC_FILES_MAX ? lane->session->files[idx] : NULL;

	if (!file || !file->closing || !file->lane[lane->idx].open || file->lane[lane->idx].close_wanted)
		return;
	file->lane[lane->idx].open = false;
	if (!--file->open)
		forget(file);
}

static void close_begin(struct sc_file *file)
{
	file->closing = true;
	file->session->files_closing++;
	for (unsigned int i = 0; i < file->session->lane_cnt; i++)
		file->lane[i].close_wanted = file->lane[i].open;
	if (!file->open)
		forget(file);
}

bool sc_files_close(struct sc_session *session)
{
	bool none = true;

	for (unsigned int idx = 0; idx < SC_FILES_MAX; idx++) {
		struct sc_file *file = session->files[idx];

		if (file && !file->closing && !file->sends)
			close_begin(file);
		none = none && !session->files[idx];
	}
	return none;
}

void sc_files_exit(struct sc_session *session, bool mine)
{
	for (unsigned int idx = 0; idx < SC_FILES_MAX; idx++) {
		struct sc_file *file = session->files[idx];

		/* whether a fork came before or after a close under way nobody knows */
		bool sure = file && mine && !(file->closing && sc_session_stale(session));

		for (unsigned int i = 0; sure && i < session->lane_cnt; i++)
			if (file->lane[i].open)
				(void)close(file->lane[i].file);
		free(file);
		session->files[idx] = NULL;
	}
}

/* --- the caller's side --- */

static int file_take(struct sc_file *file, int fd, const char *name)
{
	struct sc_session *session = file->session;
	struct stat st;

	if (fstat(fd, &st))
		return sc_reason_set(-errno, "%s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return sc_reason_set(-EINVAL, "%s: not a regular file: read it and send what you read", name);
	file->len = (uint64_t)st.st_size;
	for (unsigned int i = 0; i < session->lane_cnt; i++) {
		int got = session->ops->file_add(&session->lanes[i], SC_SLOT_FILES + file->idx, fd);

		if (got < 0)
			return sc_reason_set(got, "%s: the engine did not take the file: %s", name, sc_strerror(got));
		file->lane[i].file = got;
		file->lane[i].open = true;
		file->open++;
	}
	return 0;
}

static int file_open(struct sc_session *session, int fd, const char *name, struct sc_file **ret_file)
{
	unsigned int idx = 0;
	struct sc_file *file;
	int err;

	while (idx < SC_FILES_MAX && session->files[idx])
		idx++;
	if (idx == SC_FILES_MAX)
		return sc_reason_set(-ENOSPC, "%s: %d files are open already, the most a session has: close one first",
				     name, SC_FILES_MAX);
	file = calloc(1, sizeof(*file));
	if (!file)
		return sc_reason_set(-ENOMEM, "%s: out of memory", name);
	*file = (struct sc_file){ .session = session, .idx = idx };
	session->files[idx] = file;
	err = file_take(file, fd, name);
	if (err)
		close_begin(file);
	else
		*ret_file = file;
	return err;
}

int sc_file_open(struct sc_session *session, const char *path, struct sc_file **ret_file)
{
	int fd, err;

	if (session->lost || sc_session_stale(session))
		return sc_session_refuse(session);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return sc_reason_set(-errno, "%s: %s", path, strerror(errno));
	err = file_open(session, fd, path, ret_file);
	(void)close(fd);
	return err;
}

int sc_file_open_fd(struct sc_session *session, int fd, struct sc_file **ret_file)
{
	char name[32];

	if (session->lost || sc_session_stale(session))
		return sc_session_refuse(session);
	(void)snprintf(name, sizeof(name), "descriptor %d", fd);
	return file_open(session, fd, name, ret_file);
}

int sc_file_close(struct sc_file *file)
{
	if (!file || sc_session_stale(file->session))
		return 0;
	if (file->sends)
		return sc_reason_set(-EBUSY, "file: %u sends of it are under way: wait for their SC_EVENT_SENT",
				     file->sends);
	close_begin(file);
	return 0;
}

uint64_t sc_file_len(const struct sc_file *file)
{
	return file->len;
}

int sc_send_file(struct sc_conn *conn, struct sc_file *file, uint64_t off, size_t len, uint64_t tag)
{
	struct send *send;
	int err = sc_send_allowed(conn);

	if (err)
		return err;
	if (conn->datagram)
		return sc_refuse(-EDESTADDRREQ, "send: a datagram socket: say where to, by sc_sendto");
	if (file->session != conn->lane->session || file->closing)
		return sc_refuse(-EINVAL, "send: the file is not of this session, or closed: open it here");
	if (!len || len > SC_ARENA_LEN_MAX || off > INT64_MAX - len)
		return sc_refuse(-EINVAL, "send: a range of no bytes, or more than 1 GiB: send less at a time");
	if (!reader_get(conn, len))
		return sc_refuse(-ENOMEM, "send: the arena has no room to read the file to: free some, or open with a "
					  "larger arena_len");
	send = sc_send_get(conn, len, tag);
	if (!send) {
		reader_put(conn);
		return -ENOMEM;
	}
	send->file = file;
	send->off = off;
	file->sends++;
	conn->reader->sends++;
	sc_send_add(conn, send);
	return 0;
}

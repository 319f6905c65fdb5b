/* SPDX-License-Identifier: MIT */
/* Files whose ranges are sent: the engine reads them into the arena, chunk by chunk, and sends these. */
#ifndef LIBAPP_FILE_H
#define LIBAPP_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <sidecore/abi.h>

struct io_uring_sqe;
struct lane;
struct sc_conn;
struct sc_session;
struct send;

enum { FILE_CLOSE = 3 }; /* in the place of a tag's generation, beside enum listener_op and FILE_INSTALL */

struct sc_file {
	struct sc_session *session;
	unsigned int idx; /* in session->files */
	uint64_t len; /* when it was opened */
	unsigned int sends; /* not yet told of */
	unsigned int open; /* lanes whose consumer has it */
	bool closing;
	struct {
		int file; /* as requests call it */
		bool open, close_wanted;
	} lane[SC_LANES_MAX];
};

/* Takes the first send, which is of a file, as far as it goes now. */
void sc_file_step(struct sc_conn *conn);
void sc_file_read_prep(struct sc_conn *conn, struct io_uring_sqe *sqe);
void sc_file_read_complete(struct sc_conn *conn, int res);
void sc_file_send_prep(struct sc_conn *conn, struct io_uring_sqe *sqe);
/* So much of the chunk in flight has been sent. */
void sc_file_sent(struct sc_conn *conn, uint32_t len);
/* The first send, which is of a file, ends: nothing more is read for it. */
void sc_file_end(struct sc_conn *conn);
/* The send has been told of. */
void sc_file_send_put(struct send *send);

/* Requests of files being closed. */
void sc_files_fill(struct lane *lane);
void sc_file_closed(struct lane *lane, unsigned int idx);
/* Closes those without sends; true: there is none left. */
bool sc_files_close(struct sc_session *session);
/* When the engine is closed. mine: what it was given are descriptors of this process, still open. */
void sc_files_exit(struct sc_session *session, bool mine);

#endif

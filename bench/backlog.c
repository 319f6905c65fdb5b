// SPDX-License-Identifier: MIT
/* Non-blocking sends that remember where they stopped. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backlog.h"

ssize_t sc_backlog_transmit(int fd, const struct iovec *pieces, unsigned int cnt)
{
	struct msghdr message = { .msg_iov = (struct iovec *)pieces, .msg_iovlen = cnt };
	ssize_t sent = cnt == 1 ? send(fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL) :
				  sendmsg(fd, &message, MSG_NOSIGNAL);

	return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static void advance(struct sc_backlog *backlog, size_t sent)
{
	struct iovec *piece = &backlog->pieces[backlog->first];

	while (backlog->first < backlog->cnt && sent >= piece->iov_len) {
		sent -= piece++->iov_len;
		backlog->first++;
	}
	if (backlog->first < backlog->cnt) {
		piece->iov_base = (char *)piece->iov_base + sent;
		piece->iov_len -= sent;
	}
}

struct sc_backlog *sc_backlog_keep(const struct sc_batch *batch, size_t sent, const char *input, size_t input_len)
{
	struct sc_backlog *backlog = malloc(sizeof(*backlog) + batch->used + input_len);

	if (!backlog)
		return NULL;
	*backlog = (struct sc_backlog){
		.cnt = batch->cnt,
		.close = batch->close,
		.input = backlog->memory + batch->used,
		.input_len = input_len,
	};
	memcpy(backlog->memory, batch->block, batch->used);
	memcpy(backlog->memory + batch->used, input, input_len);
	memcpy(backlog->pieces, batch->pieces, sizeof(backlog->pieces));
	for (unsigned int i = 0; i < backlog->cnt; i++) {
		uintptr_t off = (uintptr_t)backlog->pieces[i].iov_base - (uintptr_t)batch->block;

		if (off < batch->used)
			backlog->pieces[i].iov_base = backlog->memory + off;
	}
	advance(backlog, sent);
	return backlog;
}

int sc_backlog_send(struct sc_backlog *backlog, int fd)
{
	ssize_t sent = sc_backlog_transmit(fd, backlog->pieces + backlog->first, backlog->cnt - backlog->first);

	if (sent < 0)
		return -1;
	advance(backlog, (size_t)sent);
	return backlog->first == backlog->cnt;
}

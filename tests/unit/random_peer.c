// SPDX-License-Identifier: MIT
/* The far end of the random test: a thread with many plain sockets that read, send, stall, half-close, reset and leave. */
#include "random_peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 65536, TURN_MS = 1 };

static void failed(struct crowd *crowd, const char *what)
{
	__atomic_store_n(&crowd->failure, what, __ATOMIC_RELEASE);
}

static void moved(struct crowd *crowd)
{
	__atomic_fetch_add(&crowd->moves, 1, __ATOMIC_RELAXED);
}

static bool stopping(const struct crowd *crowd)
{
	return __atomic_load_n(&crowd->stop, __ATOMIC_ACQUIRE);
}

static void hang_up(struct crowd *crowd, struct remote *remote, bool reset)
{
	struct linger linger = { .l_onoff = 1 };

	if (reset)
		(void)setsockopt(remote->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(remote->fd);
	remote->fd = -1;
	moved(crowd);
}

static void leave(struct crowd *crowd, struct remote *remote, bool reset)
{
	remote->left = reset || !remote->ended;
	hang_up(crowd, remote, reset);
}

static void broken(struct crowd *crowd, struct remote *remote)
{
	remote->reset = true;
	hang_up(crowd, remote, false);
}

static void half_close(struct crowd *crowd, struct remote *remote)
{
	if (remote->half_closed)
		return;
	remote->half_closed = true;
	if (shutdown(remote->fd, SHUT_WR))
		broken(crowd, remote);
}

static struct remote *remote_add(struct crowd *crowd, int fd)
{
	struct remote *remote;

	if (crowd->cnt == crowd->room) {
		crowd->room = crowd->room ? crowd->room * 2 : 256;
		crowd->remotes = realloc(crowd->remotes, crowd->room * sizeof(*crowd->remotes));
		if (!crowd->remotes)
			abort();
	}
	remote = &crowd->remotes[crowd->cnt];
	*remote = (struct remote){ .fd = fd, .id = crowd->cnt + 1 };
	crowd->live[crowd->live_cnt++] = crowd->cnt++;
	moved(crowd);
	return remote;
}

static void join_in(struct crowd *crowd)
{
	uint16_t port = __atomic_load_n(&crowd->ports[rng_below(&crowd->rng, CROWD_PORTS)], __ATOMIC_ACQUIRE);
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = crowd->addr };
	int fd;

	if (!port)
		return;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) && errno != EINPROGRESS) {
		(void)close(fd); /* the listener was closed meanwhile */
		return;
	}
	(void)remote_add(crowd, fd);
}

/* Who has been connected to. What is in the backlog at the end is reset. */
static void let_in(struct crowd *crowd)
{
	int fd = accept4(crowd->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		remote_add(crowd, fd)->connected = true;
}

/* --- reading: each byte must be the one that its frame tells --- */

static bool header_valid(const struct remote *remote)
{
	const struct wire_frame *frame = &remote->frame;

	if (frame->magic != WIRE_MAGIC || (remote->app_id && remote->app_id != frame->app_id))
		return false;
	if (frame->kind == WIRE_FILE)
		return frame->pos + frame->len <= WIRE_FILE_LEN;
	return frame->kind == WIRE_OWN || (frame->kind == WIRE_ECHO && frame->pos + frame->len <= remote->sent);
}

static bool body_valid(const struct remote *remote, const char *data, size_t len)
{
	uint64_t stream = remote->frame.kind == WIRE_ECHO ? remote->id :
			  remote->frame.kind == WIRE_FILE ? WIRE_FILE_STREAM :
							    WIRE_APP_STREAM | remote->frame.app_id;

	return wire_is(data, len, stream, remote->frame.pos + remote->frame_seen);
}

static void check(struct crowd *crowd, struct remote *remote, const char *data, size_t len)
{
	while (len) {
		size_t now;

		if (remote->frame_have < sizeof(remote->frame)) {
			now = sizeof(remote->frame) - remote->frame_have;
			now = now < len ? now : len;
			memcpy((char *)&remote->frame + remote->frame_have, data, now);
			remote->frame_have += now;
			remote->frame_seen = 0;
			if (remote->frame_have == sizeof(remote->frame)) {
				if (!header_valid(remote)) {
					failed(crowd, "a peer received something else where a frame must begin");
					return;
				}
				remote->app_id = remote->frame.app_id;
			}
		} else {
			now = remote->frame.len - remote->frame_seen;
			now = now < len ? now : len;
			if (!body_valid(remote, data, now)) {
				failed(crowd, "a peer received other bytes than were sent");
				return;
			}
			remote->frame_seen += (uint32_t)now;
			if (remote->frame_seen == remote->frame.len)
				remote->frame_have = 0;
		}
		data += now;
		len -= now;
	}
}

static void read_some(struct crowd *crowd, struct remote *remote)
{
	static char block[BLOCK];
	ssize_t got = recv(remote->fd, block, rng_len(&crowd->rng, stopping(crowd) ? 16 : crowd->chunk_shift), 0);

	if (got > 0) {
		remote->received += (uint64_t)got;
		moved(crowd);
		check(crowd, remote, block, (size_t)got);
	} else if (!got) {
		remote->ended = true;
		moved(crowd);
	} else if (errno != EAGAIN && errno != EINTR) {
		broken(crowd, remote);
	}
}

static void send_some(struct crowd *crowd, struct remote *remote)
{
	size_t len = rng_len(&crowd->rng, crowd->chunk_shift);
	static char block[BLOCK];
	ssize_t sent;

	wire_fill(block, len, remote->id, remote->sent);
	sent = send(remote->fd, block, len, MSG_NOSIGNAL);
	if (sent > 0) {
		remote->sent += (uint64_t)sent;
		moved(crowd);
	} else if (errno != EAGAIN && errno != EINTR) {
		broken(crowd, remote);
	}
}

/* --- turns --- */

static void whim(struct crowd *crowd, struct remote *remote)
{
	switch (rng_below(&crowd->rng, 4)) {
	case 0:
		leave(crowd, remote, true);
		break;
	case 1:
		leave(crowd, remote, false);
		break;
	default:
		half_close(crowd, remote);
		break;
	}
}

static bool reads(const struct remote *remote)
{
	return remote->connected && !remote->quiet && !remote->ended;
}

static void turn(struct crowd *crowd, struct remote *remote, short ready)
{
	bool stop = stopping(crowd);

	if (ready & POLLOUT)
		remote->connected = true;
	if (!remote->connected) {
		if (ready & (POLLERR | POLLHUP))
			broken(crowd, remote);
		else if (stop)
			leave(crowd, remote, false);
		return;
	}
	if (stop) {
		remote->quiet = 0;
		if (!remote->half_closed && rng_chance(&crowd->rng, 250))
			leave(crowd, remote, rng_chance(&crowd->rng, 500));
		else
			half_close(crowd, remote);
	} else if (rng_chance(&crowd->rng, crowd->leave_rate)) {
		whim(crowd, remote);
	} else if (rng_chance(&crowd->rng, 5)) {
		remote->quiet = rng_below(&crowd->rng, 300);
	}
	if (remote->quiet)
		remote->quiet--;
	if (remote->fd >= 0 && reads(remote) && ready & (POLLIN | POLLERR | POLLHUP))
		read_some(crowd, remote);
	if (remote->fd >= 0 && !remote->half_closed && ready & (POLLOUT | POLLERR))
		send_some(crowd, remote);
	if (remote->fd >= 0 && remote->ended && (remote->half_closed || rng_chance(&crowd->rng, 100)))
		leave(crowd, remote, false);
}

static void live_turns(struct crowd *crowd)
{
	struct pollfd fds[CROWD_LIVE_MAX];

	for (unsigned int i = 0; i < crowd->live_cnt; i++) {
		struct remote *remote = &crowd->remotes[crowd->live[i]];

		fds[i] = (struct pollfd){ .fd = remote->fd, .events = reads(remote) ? POLLIN : 0 };
		if (!remote->connected || (!remote->half_closed && rng_chance(&crowd->rng, 400)))
			fds[i].events |= POLLOUT;
	}
	(void)poll(fds, crowd->live_cnt, TURN_MS);
	for (unsigned int i = crowd->live_cnt; i--;) {
		turn(crowd, &crowd->remotes[crowd->live[i]], fds[i].revents);
		if (crowd->remotes[crowd->live[i]].fd < 0)
			crowd->live[i] = crowd->live[--crowd->live_cnt];
	}
}

static void listener_close(struct crowd *crowd)
{
	if (crowd->listener >= 0)
		(void)close(crowd->listener);
	crowd->listener = -1;
}

static void *crowd_main(void *arg)
{
	struct crowd *crowd = arg;

	while (!__atomic_load_n(&crowd->failure, __ATOMIC_RELAXED)) {
		bool stop = stopping(crowd);

		if (stop && !crowd->live_cnt && crowd->listener < 0)
			break;
		if (stop)
			listener_close(crowd);
		else if (crowd->live_cnt < crowd->live_max && rng_chance(&crowd->rng, 300))
			rng_chance(&crowd->rng, 300) ? let_in(crowd) : join_in(crowd);
		live_turns(crowd);
	}
	listener_close(crowd);
	__atomic_store_n(&crowd->done, true, __ATOMIC_RELEASE);
	return NULL;
}

void crowd_start(struct crowd *crowd)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = crowd->addr };
	socklen_t len = sizeof(addr);

	crowd->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (crowd->listener < 0 || bind(crowd->listener, (struct sockaddr *)&addr, len) ||
	    listen(crowd->listener, CROWD_LIVE_MAX) || getsockname(crowd->listener, (struct sockaddr *)&addr, &len))
		abort();
	crowd->port = ntohs(addr.sin_port);
	if (pthread_create(&crowd->thread, NULL, crowd_main, crowd))
		abort();
}

void crowd_join(struct crowd *crowd)
{
	(void)pthread_join(crowd->thread, NULL);
}

void crowd_free(struct crowd *crowd)
{
	free(crowd->remotes);
}

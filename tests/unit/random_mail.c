// SPDX-License-Identifier: MIT
/* Datagrams in the random test, between sockets of the application's sessions and plain ones. */
#include "random_mail.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	AHEAD_MAX = 6,
	POLITE_SHIFT = 12,
	RUDE_SHIFT = 16,
	LEN_MAX = 60000,
	ROOM_MIN = 200000,
	LAST_MS = 100,
	FLOOD_MAX = 60
};
enum { MAGIC = 0x4d41494c };
#define STREAM (1ULL << 34) /* of bytes, none of a connection's */

struct header {
	uint32_t magic, from, to, nr, len;
	uint32_t last;
};

struct letter {
	struct letter *next;
	uint64_t tag;
	unsigned int to;
	size_t len;
	void *mem;
	struct sc_session *session; /* that it is of */
};

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool chance(struct mail *mail, unsigned int per_thousand)
{
	return rng_chance(&mail->model->rng, per_thousand);
}

/* --- the books --- */

static uint32_t under_way(const struct way *way)
{
	return way->asked - way->received - way->failed;
}

static uint32_t under_way_to(const struct mail *mail, unsigned int to)
{
	uint32_t sum = 0;

	for (unsigned int from = 0; from < mail->id_cnt; from++)
		sum += under_way(&mail->ways[from][to]);
	return sum;
}

static size_t len_any(struct mail *mail)
{
	size_t len = rng_len(&mail->model->rng, mail->polite ? POLITE_SHIFT : RUDE_SHIFT);

	return len < LEN_MAX ? len : LEN_MAX;
}

static uint64_t pos_of(uint32_t nr)
{
	return ((uint64_t)nr + 1) << 16;
}

/* Writes the next datagram of this way, which counts when it is asked for. Its length. */
static size_t letter_write(struct mail *mail, unsigned int from, unsigned int to, bool last, size_t len, char *at)
{
	struct header header = { MAGIC, from, to, mail->ways[from][to].asked, (uint32_t)len, last };

	memcpy(at, &header, sizeof(header));
	wire_fill(at + sizeof(header), len, STREAM | from, pos_of(header.nr));
	return sizeof(header) + len;
}

static bool bytes_valid(const char *data, size_t len, const struct header *header)
{
	return wire_is(data + sizeof(*header), len - sizeof(*header), STREAM | header->from, pos_of(header->nr));
}

static void arrived(struct mail *mail, unsigned int to, const char *data, size_t len, bool truncated,
		    const struct sockaddr_in *from)
{
	struct header header;
	struct way *way;

	EXPECT(len >= sizeof(header), "socket %u: received %zu bytes", to, len);
	memcpy(&header, data, sizeof(header));
	EXPECT(header.magic == MAGIC && header.to == to && header.from < mail->id_cnt,
	       "socket %u: received what nobody sent to it", to);
	EXPECT(!memcmp(from, &mail->sockets[header.from], sizeof(*from)),
	       "socket %u: another address than socket %u has", to, header.from);
	way = &mail->ways[header.from][to];
	EXPECT(header.nr >= way->seen && header.nr < way->asked, "socket %u: datagram %u of socket %u after %u of %u",
	       to, header.nr, header.from, way->seen, way->asked);
	EXPECT(truncated ? len < sizeof(header) + header.len : len == sizeof(header) + header.len,
	       "socket %u: %zu bytes of a datagram of %zu", to, len, sizeof(header) + header.len);
	EXPECT(bytes_valid(data, len, &header), "socket %u: other bytes than socket %u sent", to, header.from);
	way->seen = header.nr + 1;
	way->received++;
	way->last_seen |= header.last;
}

static unsigned int id_new(struct mail *mail, const struct sockaddr_in *addr)
{
	mail->sockets[mail->id_cnt] = *addr;
	return mail->id_cnt++;
}

/* Of all that is open, box or plain: its id, or MAIL_IDS if there is none. */
static unsigned int open_any(struct mail *mail)
{
	unsigned int i = rng_below(&mail->model->rng, MAIL_BOXES + MAIL_PEERS);

	if (i >= MAIL_BOXES)
		return mail->peers[i - MAIL_BOXES].id;
	return mail->boxes[i].conn && !mail->boxes[i].closing ? mail->boxes[i].id : MAIL_IDS;
}

static bool may_send(struct mail *mail, unsigned int to)
{
	return to != MAIL_IDS && (!mail->polite || under_way_to(mail, to) < AHEAD_MAX);
}

/* --- plain sockets --- */

static void plain_open(struct mail *mail, struct plain *plain)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = mail->addr };
	socklen_t len = sizeof(addr);
	int one = 1;

	plain->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	EXPECT(plain->fd >= 0 && !bind(plain->fd, (struct sockaddr *)&addr, len) &&
		       !getsockname(plain->fd, (struct sockaddr *)&addr, &len) &&
		       !setsockopt(plain->fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one)),
	       "a plain socket: %s", strerror(errno));
	plain->id = id_new(mail, &addr);
}

static void plain_send(struct mail *mail, struct plain *plain, unsigned int to, bool last)
{
	static char data[sizeof(struct header) + LEN_MAX];
	size_t len = letter_write(mail, plain->id, to, last, last ? 1 : len_any(mail), data);

	if (sendto(plain->fd, data, len, MSG_DONTWAIT, (struct sockaddr *)&mail->sockets[to], sizeof(*mail->sockets)) ==
	    (ssize_t)len)
		mail->ways[plain->id][to].asked++;
}

static bool plain_receive(struct mail *mail, struct plain *plain)
{
	static char data[1 << 16];
	char control[CMSG_SPACE(sizeof(uint32_t))];
	struct iovec iov = { data, sizeof(data) };
	struct sockaddr_in from;
	struct msghdr msg = { .msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t len = recvmsg(plain->fd, &msg, MSG_DONTWAIT);

	if (len < 0)
		return false;
	if (CMSG_FIRSTHDR(&msg))
		memcpy(&plain->drops, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(plain->drops));
	arrived(mail, plain->id, data, (size_t)len, false, &from);
	return true;
}

/* --- the application's sockets --- */

static void box_open(struct mail *mail, struct box *box)
{
	struct sc_session *session = mail->model->sessions[rng_below(&mail->model->rng, mail->model->session_cnt)];
	char text[INET_ADDRSTRLEN];
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	struct sc_conn *conn;
	int room, err;

	if (mail->id_cnt == MAIL_IDS)
		return;
	(void)inet_ntop(AF_INET, &mail->addr, text, sizeof(text));
	err = sc_udp_open(session, text, 0, &conn);
	EXPECT(!err || err == -ENOSPC || err == -ENOMEM, "%s", sc_reason());
	if (err)
		return;
	mail->model->connect_cnt++; /* not accepted, and closed some time */
	*box = (struct box){ .conn = conn };
	err = sc_getsockname(conn, (struct sockaddr *)&addr, &len);
	if (!err) {
		len = sizeof(room);
		err = sc_getsockopt(conn, SOL_SOCKET, SO_RCVBUF, &room, &len);
	}
	EXPECT(!err || err == -EBUSY || err == -ETIMEDOUT, "a datagram socket's name: %s", strerror(-err));
	if (err) { /* nobody knows where it is */
		box->closing = true;
		sc_close(conn, 0);
		return;
	}
	box->id = id_new(mail, &addr);
	mail->polite &= room >= ROOM_MIN;
}

static void box_close(struct box *box, unsigned int flags)
{
	sc_close(box->conn, flags);
	box->closing = true;
	box->close_now |= flags;
}

static unsigned int pieces_cut(struct mail *mail, char *at, size_t left, struct iovec *ret_iov)
{
	unsigned int cnt = 0;

	while (cnt < 3 && left > 1 && chance(mail, 300)) {
		size_t len = 1 + rng_next(&mail->model->rng) % (left - 1);

		ret_iov[cnt++] = (struct iovec){ at, len };
		at += len;
		left -= len;
	}
	ret_iov[cnt++] = (struct iovec){ at, left };
	return cnt;
}

static void box_send(struct mail *mail, struct box *box, unsigned int to, bool last)
{
	struct sc_session *session = mail->model->sessions[rng_below(&mail->model->rng, mail->model->session_cnt)];
	struct sockaddr *addr = (struct sockaddr *)&mail->sockets[to];
	size_t len = last ? 1 : len_any(mail);
	void *mem = sc_alloc(session, sizeof(struct header) + len);
	struct letter *letter;
	struct iovec iov[4];
	unsigned int cnt;
	int err;

	if (!mem)
		return;
	letter = calloc(1, sizeof(*letter));
	EXPECT(letter, "out of memory");
	*letter = (struct letter){ box->letters, mail->model->next_tag++, to, 0, mem, session };
	letter->len = letter_write(mail, box->id, to, last, len, mem);
	cnt = pieces_cut(mail, mem, letter->len, iov);
	if (cnt > 1)
		err = sc_sendtov(box->conn, iov, cnt, addr, sizeof(struct sockaddr_in), letter->tag);
	else
		err = sc_sendto(box->conn, mem, letter->len, addr, sizeof(struct sockaddr_in), letter->tag);
	EXPECT(box->closing ? err == -EPIPE : !err || err == -ENOMEM || (err == -EAGAIN && box->letters),
	       "socket %u: a datagram was refused: %d", box->id, err);
	if (err) {
		sc_free(session, mem);
		free(letter);
		return;
	}
	mail->ways[box->id][to].asked++;
	mail->model->order_cnt++;
	box->letters = letter;
}

/* What is not for datagram sockets. */
static void box_wrong(struct mail *mail, struct box *box)
{
	struct sc_session *other = mail->model->sessions[rng_below(&mail->model->rng, mail->model->session_cnt)];
	int err = sc_conn_give(box->conn, other);

	EXPECT(err == -EPROTOTYPE || err == -EINVAL, "a datagram socket was given away: %d", err);
	if (box->closing)
		return;
	EXPECT(sc_send(box->conn, mail, 1, 0) == -EDESTADDRREQ, "a datagram without an address was not refused");
	EXPECT(sc_shutdown(box->conn) == -ENOTCONN, "a datagram socket was shut down");
	EXPECT(sc_conn_set_recv_mode(box->conn, SC_RECV_BY_JOBS) == -EPROTOTYPE, "a datagram socket receives by jobs");
}

static void release(struct mail *mail, unsigned int i)
{
	struct kept kept = mail->kept[i];
	struct header header;

	mail->kept[i] = mail->kept[--mail->kept_cnt];
	memcpy(&header, kept.data, sizeof(header));
	EXPECT(header.magic == MAGIC && header.to == kept.to && bytes_valid(kept.data, kept.len, &header),
	       "socket %u: a received datagram changed before its release", kept.to);
	sc_release(kept.conn, kept.data);
}

static void received(struct mail *mail, struct box *box, const struct sc_event *event)
{
	EXPECT(!box->closing, "socket %u: received after sc_close", box->id);
	EXPECT(event->addr && event->addr_len == sizeof(struct sockaddr_in), "socket %u: a datagram of nobody",
	       box->id);
	arrived(mail, box->id, event->data, event->len, event->flags & SC_EVENT_TRUNCATED,
		(const struct sockaddr_in *)event->addr);
	mail->model->counters.received += event->len;
	mail->model->counters.recv_events++;
	if (mail->kept_cnt == MAIL_KEPT)
		release(mail, rng_below(&mail->model->rng, MAIL_KEPT));
	mail->kept[mail->kept_cnt++] = (struct kept){ event->conn, box->id, event->data, event->len };
}

static void sent(struct mail *mail, struct box *box, const struct sc_event *event)
{
	struct letter **at = &box->letters, *letter;

	while (*at && (*at)->tag != event->tag)
		at = &(*at)->next;
	letter = *at;
	EXPECT(letter, "socket %u: an unknown datagram was sent (%d)", box->id, event->result);
	EXPECT(event->result == (int)letter->len || (event->result == -ECANCELED && box->close_now),
	       "socket %u: a datagram of %zu bytes was sent: %d", box->id, letter->len, event->result);
	if (event->result < 0)
		mail->ways[box->id][letter->to].failed++;
	else
		mail->model->counters.sent += letter->len;
	mail->model->counters.send_events++;
	mail->model->order_cnt--;
	*at = letter->next;
	sc_free(letter->session, letter->mem);
	free(letter);
}

static void closed(struct mail *mail, struct box *box)
{
	EXPECT(box->closing && !box->letters, "socket %u: closed%s", box->id,
	       box->closing ? ", but not told of what it sent" : " unasked");
	mail->model->counters.closed++;
	box->conn = NULL;
}

bool mail_event(struct mail *mail, const struct sc_event *event)
{
	struct box *box = mail->boxes;

	while (box < mail->boxes + MAIL_BOXES && (!event->conn || box->conn != event->conn))
		box++;
	if (box == mail->boxes + MAIL_BOXES)
		return false;
	switch (event->type) {
	case SC_EVENT_RECV:
		received(mail, box, event);
		break;
	case SC_EVENT_SENT:
		sent(mail, box, event);
		break;
	case SC_EVENT_CLOSED:
		closed(mail, box);
		break;
	default:
		random_fail("socket %u: event %d (%d)", box->id, event->type, event->result);
	}
	return true;
}

/* --- turns --- */

void mail_any(struct mail *mail)
{
	struct box *box = &mail->boxes[rng_below(&mail->model->rng, MAIL_BOXES)];
	struct plain *plain = &mail->peers[rng_below(&mail->model->rng, MAIL_PEERS)];
	unsigned int to = open_any(mail), what = rng_below(&mail->model->rng, 1000);

	if (what < 300) {
		if (mail->kept_cnt)
			release(mail, rng_below(&mail->model->rng, mail->kept_cnt));
	} else if (what < 450) {
		(void)plain_receive(mail, plain);
	} else if (what < 650) {
		for (unsigned int left = mail->polite ? 1 : 1 + rng_below(&mail->model->rng, FLOOD_MAX); left; left--)
			if (may_send(mail, to))
				plain_send(mail, plain, to, false);
	} else if (!box->conn) {
		box_open(mail, box);
	} else if (what < 970) {
		if (may_send(mail, to))
			box_send(mail, box, to, false);
	} else if (what < 995) {
		box_wrong(mail, box);
	} else {
		box_close(box, rng_below(&mail->model->rng, 2) * SC_CLOSE_NOW);
	}
}

void mail_open(struct mail *mail, struct model *model, uint32_t addr)
{
	int room, cpu = sched_getcpu();
	socklen_t len = sizeof(room);
	cpu_set_t here;

	*mail = (struct mail){ .model = model, .addr = addr };
	CPU_ZERO(&here);
	CPU_SET((unsigned int)cpu, &here);
	EXPECT(cpu >= 0 && !sched_getaffinity(0, sizeof(mail->cpus), &mail->cpus) &&
		       !sched_setaffinity(0, sizeof(here), &here),
	       "the thread's CPU: %s", strerror(errno));
	for (unsigned int i = 0; i < MAIL_PEERS; i++)
		plain_open(mail, &mail->peers[i]);
	EXPECT(!getsockopt(mail->peers[0].fd, SOL_SOCKET, SO_RCVBUF, &room, &len), "SO_RCVBUF: %s", strerror(errno));
	mail->polite = room >= ROOM_MIN && rng_below(&model->rng, 2);
}

/* --- the end --- */

/* The first that is open, or NULL. */
static struct box *box_first(struct mail *mail)
{
	for (struct box *box = mail->boxes; box < mail->boxes + MAIL_BOXES; box++)
		if (box->conn && !box->closing)
			return box;
	return NULL;
}

static bool quiet(const struct mail *mail)
{
	for (unsigned int i = 0; i < MAIL_BOXES; i++)
		if (mail->boxes[i].letters || (mail->boxes[i].conn && mail->boxes[i].closing))
			return false;
	return true;
}

static bool last_seen(const struct mail *mail, const struct box *first, unsigned int to, bool box)
{
	return mail->ways[first->id][to].last_seen && (!box || mail->ways[mail->peers[0].id][to].last_seen);
}

/* What was sent before a last datagram, by its sender's engine or thread, is there when that is, or was dropped. */
static bool lasts_exchange(struct mail *mail, struct box *first)
{
	bool again = now_ms() >= mail->next_last_ms, all = true;

	for (unsigned int i = 0; i < MAIL_BOXES + MAIL_PEERS; i++) {
		struct box *box = i < MAIL_BOXES ? &mail->boxes[i] : NULL;
		unsigned int to = box ? box->id : mail->peers[i - MAIL_BOXES].id;

		if ((box && !box->conn) || last_seen(mail, first, to, box))
			continue;
		all = false;
		if (!again)
			continue;
		box_send(mail, first, to, true);
		if (box)
			plain_send(mail, &mail->peers[0], to, true);
	}
	if (again)
		mail->next_last_ms = now_ms() + LAST_MS;
	return all;
}

static uint32_t lost_to(const struct mail *mail, unsigned int to)
{
	uint32_t lost = 0;

	for (unsigned int from = 0; from < mail->id_cnt; from++) {
		const struct way *way = &mail->ways[from][to];

		lost += way->last_seen ? way->seen - way->received : under_way(way);
	}
	return lost;
}

static void settle(struct mail *mail, bool lasts)
{
	bool live[MAIL_IDS] = { false };

	for (struct box *box = mail->boxes; box < mail->boxes + MAIL_BOXES; box++) {
		if (!box->conn)
			continue;
		live[box->id] = true;
		box_close(box, 0);
	}
	for (unsigned int i = 0; i < MAIL_PEERS; i++) {
		const struct plain *plain = &mail->peers[i];

		live[plain->id] = true;
		if (lasts)
			EXPECT(lost_to(mail, plain->id) == plain->drops,
			       "a plain socket: %u datagrams are missing, its kernel dropped %u",
			       lost_to(mail, plain->id), plain->drops);
	}
	for (unsigned int id = 0; id < mail->id_cnt; id++) {
		if (!live[id])
			mail->lost_dead += lost_to(mail, id);
		else if (id >= MAIL_PEERS)
			mail->lost_live += lost_to(mail, id);
	}
	mail->settled = true;
}

bool mail_drain(struct mail *mail)
{
	struct box *first = box_first(mail);

	while (mail->kept_cnt && chance(mail, 700))
		release(mail, rng_below(&mail->model->rng, mail->kept_cnt));
	for (unsigned int i = 0; i < MAIL_PEERS; i++)
		while (plain_receive(mail, &mail->peers[i]))
			;
	if (!quiet(mail))
		return false;
	if (!mail->settled && (!first || lasts_exchange(mail, first)) && quiet(mail))
		settle(mail, first);
	return mail->settled && quiet(mail) && !mail->kept_cnt;
}

void mail_check(struct mail *mail, const struct sc_counters *counters)
{
	uint64_t dropped = counters->datagrams_dropped;

	EXPECT(dropped >= mail->lost_live && dropped <= mail->lost_live + mail->lost_dead,
	       "%llu datagrams were dropped, but %llu are missing, and %llu of sockets that were closed",
	       (unsigned long long)dropped, (unsigned long long)mail->lost_live, (unsigned long long)mail->lost_dead);
	EXPECT(!mail->polite || !dropped, "%llu datagrams were dropped, though there was room",
	       (unsigned long long)dropped);
	for (unsigned int i = 0; i < MAIL_PEERS; i++) {
		EXPECT(!mail->polite || !mail->peers[i].drops, "a plain socket had no room");
		(void)close(mail->peers[i].fd);
	}
	(void)sched_setaffinity(0, sizeof(mail->cpus), &mail->cpus);
}

// SPDX-License-Identifier: MIT
/* One round of the random test: a session with random options, used at random until a number of operations is done. */
#include "random_app.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "app_service.h"
#include "random_mail.h"
#include "random_model.h"
#include "session.h"

enum { BATCH_MAX = 64, NAP_MS = 3, STALL_S = 60, SPARE_MAX = 16, ORDERS_MAX = 1000 };

struct app {
	struct model model;
	struct crowd crowd;
	struct mail mail;
	struct sc_options options;
	struct sc_listener *listeners[CROWD_PORTS];
	char address[INET_ADDRSTRLEN];
	struct sc_file *files[MODEL_SESSIONS];
	int epoll_fds[MODEL_SESSIONS];
	unsigned int close_rate; /* per thousand operations */
	unsigned int release_rate, connect_rate, job_rate, tune_rate, give_rate, mail_rate;
	unsigned int len_shift;
	void *spare[SPARE_MAX]; /* allocated and not sent from */
	unsigned int pieces[MODEL_SESSIONS][ARENA_ORDERS];
	struct tally *tally;
	uint64_t last_moves;
	time_t last_move;
};

/* Segments, listeners and spare pieces belong to the sessions in turn. */
static unsigned int session_of(const struct app *app, unsigned int i)
{
	return i % app->model.session_cnt;
}

static unsigned int session_any(struct app *app)
{
	return rng_below(&app->model.rng, app->model.session_cnt);
}

static void close_link(struct app *app, struct link *link, unsigned int flags)
{
	sc_close(link->here->conn, flags);
	if (!link->closing)
		link->closing_batch = app->model.batch;
	link->closing = true;
	link->close_now |= flags;
}

/* --- sending --- */

static bool sends_ended(const struct link *link)
{
	return link->closing || link->shut || link->send_failed;
}

static void order_drop(struct app *app, struct order *order)
{
	sc_free(app->model.sessions[order->mem_session], order->mem);
	free(order);
}

static void order_done(struct app *app, struct link *link, struct order *order, int err)
{
	bool ended = sends_ended(link);

	app->tally->ops++;
	if (err == -EBUSY && link->giving) {
		order_drop(app, order);
		return;
	}
	EXPECT(!ended || err == -EPIPE, "connection %u: a send after its end was answered %d", link->id, err);
	/* a send or connect that failed may not have been told yet */
	if (!ended && err == -EPIPE && model_sending(link))
		link->doomed = true;
	EXPECT(ended || !err || err == -ENOMEM || link->doomed || (err == -EPIPE && link->connecting),
	       "connection %u: a send was refused: %s", link->id, strerror(-err));
	/* a lane has 1024 sends and some for each connection */
	EXPECT(err != -ENOMEM || app->model.order_cnt >= ORDERS_MAX, "a send was refused when %u were under way",
	       app->model.order_cnt);
	if (err)
		order_drop(app, order);
	else
		model_ordered(&app->model, link, order);
}

static struct order *order_new(struct app *app, size_t mem_len)
{
	unsigned int session = session_any(app); /* what is allocated in one may be sent by any */
	void *mem = mem_len ? sc_alloc(app->model.sessions[session], mem_len) : NULL;
	struct order *order;

	if (mem_len && !mem) {
		app->tally->failed_allocs++;
		return NULL;
	}
	order = calloc(1, sizeof(*order));
	EXPECT(order, "out of memory");
	order->mem = mem;
	order->mem_session = session;
	order->tag = app->model.next_tag++;
	return order;
}

static void frame_put(const struct link *link, void *at, enum wire_kind kind, size_t len, uint64_t pos)
{
	struct wire_frame frame = { WIRE_MAGIC, kind, (uint32_t)len, link->id, pos };

	memcpy(at, &frame, sizeof(frame));
}

/* A segment that nothing is sent from and that has room for so much, or NULL. */
static struct sc_segment **segment_any(struct app *app, size_t len)
{
	unsigned int i = rng_below(&app->model.rng, MODEL_SEGMENTS);
	struct sc_segment *segment = app->model.segments[i];

	return segment && !app->model.segment_orders[i] && sc_segment_len(segment) >= len ? &app->model.segments[i] :
											    NULL;
}

/* A header and bytes of our own, from the arena or a segment, cut into up to four pieces. */
static void send_own(struct app *app, struct link *link)
{
	size_t len = rng_len(&app->model.rng, app->len_shift), left = len + sizeof(struct wire_frame);
	struct sc_segment **segment = segment_any(app, left);
	struct order *order = order_new(app, segment ? 0 : left);
	struct iovec iov[SEND_PIECES];
	unsigned int cnt = 0;
	char *at;

	if (!order)
		return;
	order->segment = segment;
	at = segment ? sc_segment_mem(*segment) : order->mem;
	order->len = left;
	frame_put(link, at, WIRE_OWN, len, link->asked);
	wire_fill(at + sizeof(struct wire_frame), len, WIRE_APP_STREAM | link->id, link->asked);
	while (cnt < SEND_PIECES - 1 && left > 1 && rng_chance(&app->model.rng, 400)) {
		iov[cnt] = (struct iovec){ at, 1 + rng_next(&app->model.rng) % (left - 1) };
		at += iov[cnt].iov_len;
		left -= iov[cnt++].iov_len;
	}
	iov[cnt++] = (struct iovec){ at, left };
	if (cnt > 1)
		order_done(app, link, order, sc_sendv(link->here->conn, iov, cnt, order->tag));
	else if (rng_chance(&app->model.rng, 500))
		order_done(app, link, order, sc_send(link->here->conn, at, left, order->tag));
	else
		order_done(app, link, order, sc_async_send(link->here->conn, at, left, &order->job));
}

/* A part of a received buffer straight from it, together with its header. */
static void send_echo(struct app *app, struct link *link, struct held *held)
{
	size_t off = rng_next(&app->model.rng) % held->len, len = 1 + rng_next(&app->model.rng) % (held->len - off);
	struct order *order = order_new(app, sizeof(struct wire_frame));
	struct iovec iov[2];

	if (!order)
		return;
	order->held = held;
	order->len = sizeof(struct wire_frame) + len;
	frame_put(link, order->mem, WIRE_ECHO, len, held->pos + off);
	iov[0] = (struct iovec){ order->mem, sizeof(struct wire_frame) };
	iov[1] = (struct iovec){ held->data + off, len };
	order_done(app, link, order, sc_sendv(link->here->conn, iov, 2, order->tag));
}

/* The same in two sends, the second of nothing but the buffer. */
static void send_echo_apart(struct app *app, struct link *link, struct held *held)
{
	struct order *head, *body;

	if (sends_ended(link) || app->model.order_cnt >= ORDERS_MAX - 1)
		return;
	head = order_new(app, sizeof(struct wire_frame));
	if (!head)
		return;
	head->len = sizeof(struct wire_frame);
	frame_put(link, head->mem, WIRE_ECHO, held->len, held->pos);
	order_done(app, link, head, sc_send(link->here->conn, head->mem, head->len, head->tag));
	body = order_new(app, 0);
	body->held = held;
	body->len = held->len;
	order_done(app, link, body, sc_send(link->here->conn, held->data, held->len, body->tag));
}

/* A range of the file, behind a header that tells which. */
static void send_range(struct app *app, struct link *link)
{
	size_t off = rng_below(&app->model.rng, WIRE_FILE_LEN), len = rng_len(&app->model.rng, 19);
	struct order *head, *body;
	int err;

	len = len < WIRE_FILE_LEN - off ? len : WIRE_FILE_LEN - off;
	if (sends_ended(link) || app->model.order_cnt >= ORDERS_MAX - 1)
		return;
	head = order_new(app, sizeof(struct wire_frame));
	if (!head)
		return;
	head->len = sizeof(struct wire_frame);
	frame_put(link, head->mem, WIRE_FILE, len, off);
	err = sc_send(link->here->conn, head->mem, head->len, head->tag);
	order_done(app, link, head, err);
	if (err)
		return;
	body = order_new(app, 0);
	body->len = len;
	err = sc_send_file(link->here->conn, app->files[link->here->session], off, len, body->tag);
	if (err == -ENOMEM)
		free(body);
	else
		order_done(app, link, body, err);
	if (err) /* the header promised more */
		close_link(app, link, SC_CLOSE_NOW);
	else
		app->tally->ranges++;
}

static void send_wrong(struct app *app, struct link *link)
{
	static char outside[64];
	struct iovec iov[SEND_PIECES + 1] = { { outside, 1 } };

	/* a failure may not have been told yet */
	if (sends_ended(link) || model_sending(link) || link->connecting || link->giving)
		return;
	app->tally->ops += 3;
	EXPECT(sc_send(link->here->conn, outside, sizeof(outside), 0) == -EFAULT,
	       "a send from outside was not refused");
	EXPECT(sc_send(link->here->conn, outside, 0, 0) == -EINVAL, "a send of nothing was not refused");
	EXPECT(sc_sendv(link->here->conn, iov, SEND_PIECES + 1, 0) == -EINVAL,
	       "a send of too many pieces was not refused");
}

static struct held *held_any(struct app *app)
{
	return app->model.held_cnt ? app->model.held[rng_below(&app->model.rng, app->model.held_cnt)] : NULL;
}

static void op_send(struct app *app, struct link *link)
{
	struct held *held = held_any(app);
	unsigned int what = rng_below(&app->model.rng, 100);

	if (what < 1)
		send_wrong(app, link);
	else if (what < 4)
		send_range(app, link);
	else if (what < 50 || !held || !held->link->here)
		send_own(app, link);
	else if (what < 85)
		send_echo(app, held->link, held);
	else
		send_echo_apart(app, held->link, held);
}

/* --- the other operations --- */

static void op_release(struct app *app)
{
	struct held *held = held_any(app);

	if (!held || held->sending)
		return;
	model_release(&app->model, held);
	app->tally->ops++;
}

/* A receive by a job, into memory of any kind. */
static void receive_ask(struct app *app, struct link *link)
{
	int err;

	link->recv_len = rng_len(&app->model.rng, 16);
	link->recv_all = rng_chance(&app->model.rng, 300);
	link->recv_cancelled = false;
	link->recv_buf = malloc(link->recv_len);
	EXPECT(link->recv_buf, "out of memory");
	err = sc_async_recv(link->here->conn, link->recv_buf, link->recv_len, link->recv_all ? SC_RECV_ALL : 0,
			    &link->recv_job);
	EXPECT(err == (link->closing ? -EPIPE : 0) || err == -ENOMEM || (err == -ENOBUFS && link->moved),
	       "connection %u: a receive was refused: %s", link->id, strerror(-err));
	link->by_jobs |= !err;
	if (err) {
		link->recv_job = NULL;
		free(link->recv_buf);
	}
}

static void receive_now(struct app *app, struct link *link)
{
	char bytes[5000];
	ssize_t got = sc_sync_recv(link->here->conn, bytes, 1 + rng_below(&app->model.rng, sizeof(bytes)), 0,
				   (int)rng_below(&app->model.rng, NAP_MS));

	EXPECT(!link->closing || got == -EPIPE || got == -ENOMEM, "connection %u: received %zd after sc_close",
	       link->id, got);
	if (got == -ENOBUFS && link->moved) /* what it brought along is not told of yet */
		return;
	link->by_jobs |= !link->closing && got != -ENOMEM;
	if (!link->closing && got != -ENOMEM && got != -ETIMEDOUT)
		model_read(&app->model, link, bytes, got);
}

static void receive_by_events(struct app *app, struct link *link)
{
	bool asked = link->recv_job;
	int err = sc_conn_set_recv_mode(link->here->conn, SC_RECV_BY_EVENTS);

	if (asked && !err) { /* it has just ended, before what events tell from now on */
		model_settle(&app->model);
		EXPECT(!link->recv_job, "connection %u: its mode changed while a receive waits", link->id);
	}
	EXPECT(!link->closing || err == -EPIPE, "connection %u: %d for its mode after sc_close", link->id, err);
	EXPECT(link->closing || !err || err == -ENOBUFS || (asked && err == -EBUSY), "connection %u: its mode: %s",
	       link->id, strerror(-err));
	if (!err)
		link->by_jobs = false;
}

/* 0: the giving has failed, as is still to be told. */
static void receive_given(struct link *link)
{
	int err = sc_conn_set_recv_mode(link->here->conn, SC_RECV_BY_EVENTS);

	EXPECT(link->closing ? err == -EPIPE : !err || err == -EBUSY || err == -ENOBUFS,
	       "connection %u: given away, its mode: %d", link->id, err);
	if (!err)
		link->by_jobs = false;
}

static void op_receive(struct app *app, struct link *link)
{
	unsigned int what = rng_below(&app->model.rng, 10);

	app->tally->ops++;
	if (link->giving) {
		receive_given(link);
		return;
	}
	model_settle(&app->model); /* a receive that has ended does not wait */
	if (what < 2 && link->recv_job) {
		sc_job_cancel(link->recv_job);
		link->recv_cancelled = true;
	} else if (what < 4) {
		if (!link->ended && !link->broken)
			receive_by_events(app, link);
	} else if (!link->recv_job && !link->ended && !link->broken) {
		what < 5 ? receive_now(app, link) : receive_ask(app, link);
	}
}

static void op_cancel(struct app *app, struct link *link)
{
	struct order *order = link->here->first;

	for (unsigned int i = rng_below(&app->model.rng, 4); order && i; i--)
		order = order->next;
	if (!order || !order->job)
		return;
	app->tally->ops++;
	sc_job_cancel(order->job);
	order->cancelled = true;
}

/* How it sends. On loopback nothing goes without a copy in the end, but every request for it is answered twice. */
static void op_tune(struct app *app, struct link *link)
{
	app->tally->ops++;
	if (rng_chance(&app->model.rng, 500))
		EXPECT(!sc_conn_set_zerocopy(link->here->conn, rng_below(&app->model.rng, SC_ZC_NEVER + 1)), "%s",
		       sc_reason());
	else
		EXPECT(!sc_conn_set_priority(link->here->conn, rng_below(&app->model.rng, SC_PRIORITY_HIGH + 1)), "%s",
		       sc_reason());
}

/* How the engine may answer who asks for the descriptor, whatever the connection is about. */
static void descriptor_check(const struct link *link, int err)
{
	EXPECT(!link->closing || err == -EBADF, "connection %u: its socket after sc_close: %d", link->id, err);
	EXPECT(link->closing || !err || err == -EBUSY || err == -ETIMEDOUT || (link->giving && err == -EBADF),
	       "connection %u: its socket: %s", link->id, strerror(-err));
}

static void op_name(struct app *app, struct link *link)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int err = sc_getsockname(link->here->conn, (struct sockaddr *)&addr, &len);

	app->tally->ops++;
	descriptor_check(link, err);
	EXPECT(err || (len == sizeof(addr) && addr.sin_family == AF_INET), "connection %u: no name", link->id);
	EXPECT(err || link->connecting || link->broken || addr.sin_addr.s_addr == app->crowd.addr || link->made,
	       "connection %u: another's name", link->id);
}

/* An option that stays with the connection, wherever it is given. */
static void op_option(struct app *app, struct link *link)
{
	int want = (int)link->id, got = 0;
	socklen_t len = sizeof(got);
	int err = sc_getsockopt(link->here->conn, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &got, &len);

	app->tally->ops++;
	descriptor_check(link, err);
	EXPECT(err || got == (link->marked ? want : 0), "connection %u: another's option: %d", link->id, got);
	if (err)
		return;
	err = sc_setsockopt(link->here->conn, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &want, sizeof(want));
	descriptor_check(link, err);
	link->marked |= !err;
}

static void op_close(struct app *app, struct link *link)
{
	unsigned int what = rng_below(&app->model.rng, 4);

	app->tally->ops++;
	if (!what) {
		bool ended = sends_ended(link);
		int err = sc_shutdown(link->here->conn);

		if (err == -EBUSY && link->giving)
			return;
		EXPECT(err == (ended ? -EPIPE : 0) || (err == -EPIPE && (model_sending(link) || link->connecting)),
		       "connection %u: sc_shutdown answered %d", link->id, err);
		link->shut = true;
		return;
	}
	close_link(app, link, what == 1 ? 0 : what == 2 ? SC_CLOSE_NOW : SC_CLOSE_RESET);
}

/* To another session, or, which is refused, to its own. */
static void op_give(struct app *app, struct link *link)
{
	unsigned int to = session_any(app);
	int err;

	app->tally->ops++;
	model_settle(&app->model);
	if (link->connecting)
		return;
	err = sc_conn_give(link->here->conn, app->model.sessions[to]);
	if (to == link->here->session) {
		EXPECT(err == -EINVAL, "connection %u: given to its own session: %d", link->id, err);
	} else if (link->closing || (link->giving && err)) {
		EXPECT(err == (link->closing ? -EPIPE : -EALREADY), "connection %u: given once more: %d", link->id,
		       err);
	} else if (!err) { /* once more: the last time has failed, as is still to be told */
		model_giving(link, to);
		model_settle(&app->model);
		EXPECT(!link->recv_job, "connection %u: given while a receive waits", link->id);
	} else {
		EXPECT((err == -EBUSY && link->recv_job) || (err == -ENOBUFS && link->moved),
		       "connection %u: cannot be given: %s", link->id, strerror(-err));
	}
}

static void op_alloc(struct app *app)
{
	unsigned int i = rng_below(&app->model.rng, SPARE_MAX);
	struct sc_session *session = app->model.sessions[session_of(app, i)];
	void **spare = &app->spare[i];

	app->tally->ops++;
	sc_free(session, *spare);
	*spare = rng_chance(&app->model.rng, 300) ? sc_alloc(session, rng_len(&app->model.rng, 18)) : NULL;
	if (*spare)
		memset(*spare, 0xa5, 1);
}

/* Port 0, a new one each time: an old one may still be in use by what is being closed. */
static void op_listen(struct app *app, unsigned int i)
{
	int err;

	app->tally->ops++;
	if (app->listeners[i]) {
		__atomic_store_n(&app->crowd.ports[i], 0, __ATOMIC_RELEASE);
		sc_listener_close(app->listeners[i]);
		app->listeners[i] = NULL;
		return;
	}
	err = sc_listen(app->model.sessions[session_of(app, i)], app->address, 0, 0, &app->listeners[i]);
	if (err == -ENOSPC) { /* those closed before are not through yet */
		app->listeners[i] = NULL;
		return;
	}
	EXPECT(!err, "%s", sc_reason());
	__atomic_store_n(&app->crowd.ports[i], sc_listener_port(app->listeners[i]), __ATOMIC_RELEASE);
}

/* To the crowd, or now and then to a port where nobody listens any more. */
static void op_connect(struct app *app)
{
	struct sc_connect_options options = SC_CONNECT_OPTIONS_INIT;
	unsigned int session = session_any(app);
	struct sc_conn *conn;
	int err;

	app->tally->ops++;
	options.address = app->address;
	options.port = app->crowd.port;
	if (rng_chance(&app->model.rng, 100))
		options.port = 1;
	if (rng_chance(&app->model.rng, 500))
		options.timeout_ms = 1 + rng_below(&app->model.rng, 50);
	err = sc_connect(app->model.sessions[session], &options, &conn);
	EXPECT(!err || err == -ENOSPC || err == -ENOMEM, "%s", sc_reason());
	if (!err)
		model_connecting(&app->model, session, conn);
}

static void op_segment(struct app *app, unsigned int i)
{
	struct sc_segment **segment = &app->model.segments[i];
	unsigned int orders = app->model.segment_orders[i];
	int err;

	app->tally->ops++;
	if (*segment) {
		err = sc_deregister_mem(*segment);
		/* a send may have ended, and its event be kept or its job not be asked after */
		EXPECT(!err || (orders && err == -EBUSY),
		       "a segment with %u sends under way: taking it away answered %d", orders, err);
		if (!err)
			*segment = NULL;
		return;
	}
	err = sc_register_mem(app->model.sessions[session_of(app, i)], rng_len(&app->model.rng, 19), segment);
	EXPECT(!err || err == -ENOMEM, "%s", sc_reason());
	if (err)
		*segment = NULL;
	else
		app->tally->segments++;
}

static void op_mail(struct app *app)
{
	app->tally->ops++;
	mail_any(&app->mail);
}

static struct link *live_any(struct app *app)
{
	struct model *model = &app->model;

	struct link *link = model->live_cnt ? model->links[model->live[rng_below(&model->rng, model->live_cnt)]] : NULL;

	return link && link->here ? link : NULL;
}

static void op_any(struct app *app)
{
	struct link *link = live_any(app);
	struct rng *rng = &app->model.rng;

	if (rng_chance(rng, app->release_rate))
		op_release(app);
	else if (rng_chance(rng, app->mail_rate))
		op_mail(app);
	else if (rng_chance(rng, 30))
		op_alloc(app);
	else if (rng_chance(rng, 1))
		op_listen(app, rng_below(rng, CROWD_PORTS));
	else if (rng_chance(rng, 1))
		op_segment(app, rng_below(rng, MODEL_SEGMENTS));
	else if (rng_chance(rng, app->connect_rate))
		op_connect(app);
	else if (link && rng_chance(rng, app->close_rate))
		op_close(app, link);
	else if (link && (link->by_jobs ? rng_chance(rng, 200) : rng_chance(rng, app->job_rate)))
		op_receive(app, link);
	else if (link && rng_chance(rng, 5))
		op_cancel(app, link);
	else if (link && rng_chance(rng, app->tune_rate))
		op_tune(app, link);
	else if (link && rng_chance(rng, app->give_rate))
		op_give(app, link);
	else if (link && rng_chance(rng, 1))
		rng_chance(rng, 500) ? op_name(app, link) : op_option(app, link);
	else if (link && (!sends_ended(link) || rng_chance(rng, 50)))
		op_send(app, link);
}

/* --- events --- */

static void nap(struct app *app, unsigned int session)
{
	struct epoll_event event;
	int ret = sc_arm(app->model.sessions[session]);

	EXPECT(ret >= 0, "sc_arm: %s", strerror(-ret));
	/* EINTR: the kernel had work for this thread, on the ring of the local engine */
	if (!ret && epoll_wait(app->epoll_fds[session], &event, 1, NAP_MS) < 0 && errno != EINTR)
		random_fail("epoll_wait: %s", strerror(errno));
}

static void stall_check(struct app *app, bool moved)
{
	uint64_t moves = __atomic_load_n(&app->crowd.moves, __ATOMIC_RELAXED);
	const char *failure = __atomic_load_n(&app->crowd.failure, __ATOMIC_ACQUIRE);

	EXPECT(!failure, "%s", failure);
	if (moved || moves != app->last_moves)
		app->last_move = time(NULL);
	app->last_moves = moves;
	EXPECT(time(NULL) - app->last_move < STALL_S,
	       "nothing moves any more: %u connections, %u sends, %u buffers held", app->model.live_cnt,
	       app->model.order_cnt, app->model.held_cnt);
}

static void events_take(struct app *app)
{
	struct sc_event events[BATCH_MAX];
	unsigned int max = 1 + rng_below(&app->model.rng, BATCH_MAX), how = rng_below(&app->model.rng, 8);
	unsigned int nr = session_any(app);
	struct sc_session *session = app->model.sessions[nr];
	int cnt;

	app->tally->polls++;
	if (how == 1)
		nap(app, nr);
	if (how > 1)
		cnt = sc_poll(session, events, max);
	else
		cnt = sc_wait(session, events, max, how ? 0 : (int)rng_below(&app->model.rng, NAP_MS));
	EXPECT((cnt >= 0 && cnt <= (int)max) || cnt == -EINTR, "waiting for events: %d", cnt);
	model_batch(&app->model, nr);
	for (int i = 0; i < cnt; i++)
		if (!mail_event(&app->mail, &events[i]))
			model_event(&app->model, &events[i]);
	model_settle(&app->model);
	stall_check(app, cnt > 0);
}

/* --- a round --- */

/* How many pieces of each size the arena has: the same at the end as at the beginning. */
static void arena_measure(struct sc_session *session, unsigned int *ret_pieces)
{
	void *first = NULL;

	memset(ret_pieces, 0, ARENA_ORDERS * sizeof(*ret_pieces));
	for (unsigned int order = ARENA_ORDERS; order--;) {
		void *piece;

		while ((piece = sc_alloc(session, (size_t)1 << (order + ARENA_BLOCK_SHIFT)))) {
			memcpy(piece, &first, sizeof(first));
			first = piece;
			ret_pieces[order]++;
		}
	}
	while (first) {
		void *piece = first;

		memcpy(&first, piece, sizeof(first));
		sc_free(session, piece);
	}
}

static void options_draw(struct app *app, enum sc_engine engine)
{
	static const size_t arenas[] = { 1, 4096, 65536, 1 << 20, 4 << 20 };
	struct rng *rng = &app->model.rng;
	unsigned int len_shift = rng_below(rng, 7);

	app->options = (struct sc_options){
		.size = sizeof(app->options),
		.engine = engine,
		.lanes = 1,
		.socket_path = service_path(),
		.arena_len = arenas[rng_below(rng, 5) ? 2 + rng_below(rng, 3) : rng_below(rng, 2)],
		.conns = rng_below(rng, 3) ? 16 + rng_below(rng, 200) : 1 + rng_below(rng, 8),
		.bufs = 8U << rng_below(rng, 8),
		.buf_len = 256U << len_shift,
		.window = 1U << (8 + rng_below(rng, 11)),
		.spin_us = rng_below(rng, 4) ? 0 : 20,
	};
	app->close_rate = 1 + rng_below(rng, 8);
	app->release_rate = 300 + rng_below(rng, 400);
	app->connect_rate = rng_below(rng, 3);
	app->job_rate = rng_below(rng, 3);
	app->tune_rate = rng_below(rng, 2) * rng_below(rng, 10);
	app->model.session_cnt = rng_below(rng, 2) ? 2 + rng_below(rng, MODEL_SESSIONS - 1) : 1;
	app->give_rate = app->model.session_cnt > 1 ? rng_below(rng, 30) : 1;
	app->mail_rate = rng_below(rng, 3) ? rng_below(rng, 250) : 0;
	app->len_shift = rng_below(rng, 4) ? 8 + rng_below(rng, 4) : 18;
	app->crowd.live_max = 1 + rng_below(rng, CROWD_LIVE_MAX);
	app->crowd.chunk_shift = 8 + rng_below(rng, 9);
	app->crowd.leave_rate = 1 + rng_below(rng, 6);
}

static struct sc_file *file_open(struct sc_session *session)
{
	static char bytes[WIRE_FILE_LEN];
	int fd = memfd_create("random", MFD_CLOEXEC);
	struct sc_file *file;

	wire_fill(bytes, sizeof(bytes), WIRE_FILE_STREAM, 0);
	EXPECT(fd >= 0 && write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes), "memfd: %s", strerror(errno));
	EXPECT(!sc_file_open_fd(session, fd, &file), "%s", sc_reason());
	(void)close(fd);
	return file;
}

static void sessions_open(struct app *app)
{
	struct model *model = &app->model;
	int err = model->session_cnt > 1 ? sc_open_threads(&app->options, model->session_cnt, model->sessions) :
					   sc_open(&app->options, &model->sessions[0]);

	EXPECT(!err, "%s", sc_reason());
	for (unsigned int i = 0; i < model->session_cnt; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		app->epoll_fds[i] = epoll_create1(EPOLL_CLOEXEC);
		EXPECT(!epoll_ctl(app->epoll_fds[i], EPOLL_CTL_ADD, sc_fd(model->sessions[i]), &event), "epoll_ctl: %s",
		       strerror(errno));
		arena_measure(model->sessions[i], app->pieces[i]);
		app->files[i] = file_open(model->sessions[i]);
		(void)sc_poll(model->sessions[i], NULL, 0); /* from now on it may be given connections */
	}
}

static void round_open(struct app *app, enum sc_engine engine, uint64_t seed)
{
	app->model.rng.state = seed;
	app->crowd.rng.state = ~seed;
	/* An address of this process, so that no other program's port is met by a late client. */
	app->crowd.addr = htonl(0x7f400000 | ((uint32_t)getpid() & 0x3fffff));
	(void)inet_ntop(AF_INET, &app->crowd.addr, app->address, sizeof(app->address));
	options_draw(app, engine);
	sessions_open(app);
	op_listen(app, 0);
	app->last_move = time(NULL);
	crowd_start(&app->crowd);
	mail_open(&app->mail, &app->model, app->crowd.addr);
}

static bool listeners_open(const struct model *model)
{
	for (unsigned int i = 0; i < model->session_cnt * LISTENERS_MAX; i++)
		if (model->sessions[i / LISTENERS_MAX]->listeners[i % LISTENERS_MAX].used)
			return true;
	return false;
}

/* Nobody new; those there are closed one after the other while they still talk. */
static void round_drain(struct app *app)
{
	struct model *model = &app->model;
	bool mail_drained = false;

	__atomic_store_n(&app->crowd.stop, true, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < CROWD_PORTS; i++)
		if (app->listeners[i])
			op_listen(app, i);
	while (!__atomic_load_n(&app->crowd.done, __ATOMIC_ACQUIRE) || model->live_cnt || model->held_cnt ||
	       listeners_open(model) || !mail_drained) {
		struct link *link = live_any(app);

		if (link && rng_chance(&model->rng, 300))
			op_close(app, link);
		for (unsigned int i = 0; i < 8; i++)
			op_release(app);
		events_take(app);
		mail_drained = mail_drain(&app->mail);
	}
	crowd_join(&app->crowd);
	for (unsigned int i = 0; i < SPARE_MAX; i++)
		sc_free(model->sessions[session_of(app, i)], app->spare[i]);
	for (unsigned int i = 0; i < MODEL_SEGMENTS; i++)
		if (model->segments[i])
			op_segment(app, i);
	for (unsigned int i = 0; i < model->session_cnt; i++)
		EXPECT(!sc_file_close(app->files[i]), "%s", sc_reason());
}

static void lane_check(struct lane *lane, enum sc_engine engine)
{
	unsigned int free_cnt = 0;

	EXPECT(!lane->bufs_held, "%u receive buffers were not given back", lane->bufs_held);
	EXPECT(!lane->todo_head && !lane->done_head && !lane->parcels, "something is still to be done");
	for (struct sc_conn *conn = lane->conn_free; conn; conn = conn->next)
		free_cnt++;
	for (struct sc_conn *conn = lane->conn_resting; conn; conn = conn->next)
		free_cnt++;
	EXPECT(free_cnt == lane->conns_fresh, "%u of %u connections are free", free_cnt, lane->conns_fresh);
	free_cnt = 0;
	for (struct send *send = lane->send_free; send; send = send->next)
		free_cnt++;
	EXPECT(free_cnt == lane->send_cnt, "%u of %u sends are free", free_cnt, lane->send_cnt);
	if (engine != SC_ENGINE_LOCAL)
		return;
	free_cnt = (unsigned int)io_uring_buf_ring_available(&lane->ring, lane->buf_ring, SC_BUF_GROUP);
	EXPECT(free_cnt + lane->bufs_added == lane->buf_cnt, "the kernel has %u receive buffers of %u", free_cnt,
	       lane->buf_cnt);
}

static void round_check(struct app *app, enum sc_engine engine)
{
	const struct model *model = &app->model;
	unsigned int pieces[ARENA_ORDERS];

	for (unsigned int i = 0; i < model->session_cnt; i++) {
		arena_measure(model->sessions[i], pieces);
		EXPECT(!memcmp(pieces, app->pieces[i], sizeof(pieces)), "the arena does not come back whole");
		lane_check(&model->sessions[i]->lanes[0], engine);
	}
}

static void tally_add(struct app *app, const struct sc_counters *counters)
{
	struct tally *tally = app->tally;

	tally->conns += counters->closed;
	tally->connected += counters->connected;
	tally->given += counters->given;
	tally->dropped += counters->datagrams_dropped;
	for (unsigned int i = 0; i < MAIL_IDS * MAIL_IDS; i++)
		tally->datagrams += app->mail.ways[i / MAIL_IDS][i % MAIL_IDS].received;
	tally->bytes += counters->received + counters->sent;
	tally->moves += app->crowd.moves;
	tally->copied += counters->recv_copied;
	tally->starved += counters->recv_starved;
	tally->paused += counters->recv_paused;
	for (unsigned int i = 0; i < app->model.link_cnt; i++)
		tally->failed_sends += app->model.links[i]->send_failed;
}

void random_round(enum sc_engine engine, uint64_t seed, uint64_t ops, struct tally *tally)
{
	static struct app app; /* the peers' thread may outlive a failure */
	struct sc_counters counters;

	app = (struct app){ .tally = tally };
	round_open(&app, engine, seed);
	for (uint64_t end = tally->ops + ops; tally->ops < end;) {
		for (unsigned int left = rng_below(&app.model.rng, 64); left; left--)
			op_any(&app);
		events_take(&app);
	}
	round_drain(&app);
	model_check(&app.model, &app.crowd, &counters);
	mail_check(&app.mail, &counters);
	round_check(&app, engine);
	tally_add(&app, &counters);
	for (unsigned int i = 0; i < app.model.session_cnt; i++) {
		(void)close(app.epoll_fds[i]);
		sc_close_session(app.model.sessions[i]);
	}
	crowd_free(&app.crowd);
	model_free(&app.model);
}

// SPDX-License-Identifier: MIT
/* A session: options, opening with the right engine, polling, waiting, information. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fork.h"
#include "handover.h"
#include "reason.h"
#include "session.h"

enum {
	CONNS_DEFAULT = 4096,
	BUFS_DEFAULT = 1024,
	BUF_LEN_DEFAULT = 16384,
	WINDOW_DEFAULT = 256 << 10,
	ARENA_DEFAULT = 16 << 20,
	SPIN_US_MAX = 1000000,
	ROOM_RETRY_MS = 1,
};

int sc_session_refuse(const struct sc_session *session)
{
	if (sc_session_stale(session))
		return sc_refuse(-ESTALE,
				 "session: it is that of the process that forked this one: open an own session");
	return sc_refuse(session->lost, "session: the engine is gone: close the session and open a new one");
}

int64_t sc_session_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- options --- */

static bool power_of_two(unsigned int n)
{
	return n && !(n & (n - 1));
}

static int settings_check(const struct settings *set)
{
	if (set->engine > SC_ENGINE_DIRECT)
		return sc_reason_set(-EINVAL, "option engine: %d is none", (int)set->engine);
	if (set->lanes > SC_LANES_MAX)
		return sc_reason_set(-EINVAL, "option lanes: %u, at most %d", set->lanes, SC_LANES_MAX);
	if (set->conns > SC_CONNS_MAX)
		return sc_reason_set(-EINVAL, "option conns: %u, at most %d per lane", set->conns, SC_CONNS_MAX);
	if (!power_of_two(set->bufs) || set->bufs > SC_BUFS_MAX || set->bufs < 8)
		return sc_reason_set(-EINVAL, "option bufs: %u, must be a power of two from 8 to %d", set->bufs,
				     SC_BUFS_MAX);
	if (!power_of_two(set->buf_len) || set->buf_len < SC_BUF_LEN_MIN || set->buf_len > SC_BUF_LEN_MAX)
		return sc_reason_set(-EINVAL, "option buf_len: %u, must be a power of two from %d to %d", set->buf_len,
				     SC_BUF_LEN_MIN, SC_BUF_LEN_MAX);
	if (set->arena_len > SC_ARENA_LEN_MAX / 2)
		return sc_reason_set(-EINVAL, "option arena_len: %zu bytes, at most %llu", set->arena_len,
				     SC_ARENA_LEN_MAX / 2);
	if (set->spin_us > SPIN_US_MAX)
		return sc_reason_set(-EINVAL, "option spin_us: %u, at most %d", set->spin_us, SPIN_US_MAX);
	return 0;
}

static int path_set(struct settings *set, const char *path)
{
	if (strlen(path) >= sizeof(set->socket_path))
		return sc_reason_set(-EINVAL, "socket path '%.40s...': longer than %zu bytes", path,
				     sizeof(set->socket_path) - 1);
	(void)strcpy(set->socket_path, path);
	set->path_given = true;
	return 0;
}

bool sc_options_known(const void *options, size_t size, size_t known)
{
	const char *beyond = options;

	for (size_t i = known; i < size; i++)
		if (beyond[i])
			return false;
	return true;
}

static int settings_from(const struct sc_options *options, struct settings *set)
{
	const char *path = secure_getenv("SIDECORE_SOCKET");
	struct sc_options opt = { 0 };
	int err;

	if (options && !sc_options_known(options, options->size, sizeof(opt)))
		return sc_reason_set(-E2BIG, "options: fields of a newer libapp are set: link against it");
	if (options)
		memcpy(&opt, options, options->size < sizeof(opt) ? options->size : sizeof(opt));
	*set = (struct settings){
		.engine = opt.engine,
		.lanes = opt.lanes,
		.conns = opt.conns ? opt.conns : CONNS_DEFAULT,
		.bufs = opt.bufs ? opt.bufs : BUFS_DEFAULT,
		.buf_len = opt.buf_len ? opt.buf_len : BUF_LEN_DEFAULT,
		.window = opt.window ? opt.window : WINDOW_DEFAULT,
		.arena_len = opt.arena_len ? opt.arena_len : ARENA_DEFAULT,
		.spin_us = opt.spin_us,
	};
	if (opt.socket_path || path) {
		err = path_set(set, opt.socket_path ? opt.socket_path : path);
		if (err)
			return err;
	}
	err = settings_check(set);
	set->arena_len = (set->arena_len + 4095) & ~(size_t)4095;
	return err;
}

/* --- opening and closing --- */

static void lanes_exit(struct sc_session *session)
{
	for (unsigned int i = 0; i < session->lane_cnt; i++)
		sc_lane_exit(&session->lanes[i]);
	sc_arena_exit(&session->arena);
}

static int lanes_init(struct sc_session *session, const struct settings *set)
{
	unsigned int conn_cnt = session->lanes[0].conn_cnt;
	size_t scratch_len = sc_session_scratch_len(session->lane_cnt, conn_cnt);
	struct send_scratch *scratch;
	int err;

	session->arena_len -= scratch_len;
	scratch = (struct send_scratch *)((char *)session->arena_mem + session->arena_len);
	err = sc_arena_init(&session->arena, session->arena_mem, session->arena_len);
	if (err)
		return err;
	for (unsigned int i = 0; i < session->lane_cnt && !err; i++) {
		struct lane *lane = &session->lanes[i];

		lane->session = session;
		lane->idx = i;
		lane->scratch = scratch + (size_t)i * conn_cnt;
		lane->window = set->window / set->buf_len ? set->window / set->buf_len : 1;
		lane->recv_limit *= set->window;
		lane->words = (struct lane_words *)(scratch + (size_t)session->lane_cnt * conn_cnt) + i;
		*lane->words = (struct lane_words){ .one = 1 };
		err = sc_lane_init(lane);
	}
	return err;
}

static int engine_open(struct sc_session *const *sessions, const struct engine_ops *ops, const struct settings *set)
{
	struct group *group = sessions[0]->group;
	int err = ops->open(sessions, set);

	if (err)
		return err;
	group->ops = ops;
	for (unsigned int i = 0; i < group->session_cnt && !err; i++) {
		sessions[i]->ops = ops;
		err = lanes_init(sessions[i], set);
	}
	if (!err)
		return 0;
	for (unsigned int i = 0; i < group->session_cnt; i++) {
		ops->close(sessions[i]);
		lanes_exit(sessions[i]);
		free(sessions[i]->lanes);
	}
	ops->end(group, false);
	return sc_reason_set(err, "session: out of memory");
}

static int engine_choose(struct sc_session *const *sessions, const struct settings *set)
{
	unsigned int cnt = sessions[0]->group->session_cnt;
	int err;

	if (set->engine == SC_ENGINE_LOCAL)
		return engine_open(sessions, &sc_engine_local, set);
	err = engine_open(sessions, &sc_engine_direct, set);
	if (!err || set->engine == SC_ENGINE_DIRECT)
		return err;
	for (unsigned int i = 0; i < cnt; i++)
		(void)snprintf(sessions[i]->fallback_reason, sizeof(sessions[i]->fallback_reason), "%s", sc_reason());
	return engine_open(sessions, &sc_engine_local, set);
}

static void sessions_free(struct sc_session *const *sessions, struct group *group)
{
	for (unsigned int i = 0; i < group->session_cnt; i++)
		free(sessions[i]);
	sc_group_free(group);
}

/* sessions: places for cnt, all NULL. */
static int sessions_open(const struct settings *set, struct sc_session **sessions, unsigned int cnt)
{
	struct group *group = sc_group_create(cnt);
	int err = 0;

	if (!group)
		return sc_reason_set(-ENOMEM, "session: out of memory");
	for (unsigned int i = 0; i < cnt; i++) {
		sessions[i] = calloc(1, sizeof(*sessions[i]));
		if (!sessions[i]) {
			err = sc_reason_set(-ENOMEM, "session: out of memory");
			break;
		}
		sessions[i]->group = group;
		sessions[i]->uses = &group->uses[i];
		sessions[i]->spin_us = set->spin_us;
		sessions[i]->spin_now_us = set->spin_us;
	}
	if (!err)
		err = engine_choose(sessions, set);
	if (err) {
		sessions_free(sessions, group);
		return err;
	}
	for (unsigned int i = 0; i < cnt; i++)
		sc_fork_watch(sessions[i]);
	return 0;
}

int sc_open(const struct sc_options *options, struct sc_session **ret_session)
{
	struct sc_session *session = NULL;
	struct settings set;
	int err = settings_from(options, &set);

	if (!err)
		err = sessions_open(&set, &session, 1);
	if (!err)
		*ret_session = session;
	return err;
}

static int threads_check(struct settings *set, unsigned int cnt)
{
	if (!cnt || cnt > SC_LANES_MAX)
		return sc_reason_set(-EINVAL, "threads: %u, from 1 to %d share a channel: open several times for more",
				     cnt, SC_LANES_MAX);
	if (set->lanes > 1)
		return sc_reason_set(-EINVAL, "option lanes: %u, but each thread has one: leave it 0", set->lanes);
	if (set->arena_len > SC_ARENA_LEN_MAX / 2 / cnt)
		return sc_reason_set(-EINVAL, "option arena_len: %zu bytes for each of %u threads, at most %llu in all",
				     set->arena_len, cnt, SC_ARENA_LEN_MAX / 2);
	set->lanes = 1;
	set->threads = true;
	return 0;
}

int sc_open_threads(const struct sc_options *options, unsigned int cnt, struct sc_session **ret_sessions)
{
	struct sc_session *sessions[SC_LANES_MAX] = { NULL };
	struct settings set;
	int err = settings_from(options, &set);

	if (!err)
		err = threads_check(&set, cnt);
	if (!err)
		err = sessions_open(&set, sessions, cnt);
	if (!err)
		memcpy(ret_sessions, sessions, cnt * sizeof(*sessions));
	return err;
}

void sc_close_session(struct sc_session *session)
{
	struct group *group;
	bool stale;

	if (!session)
		return;
	group = session->group;
	stale = sc_session_stale(session);
	sc_fork_forget(session);
	if (!sc_group_is_last(group))
		sc_session_leave(session);
	session->ops->close(session);
	sc_files_exit(session, false);
	lanes_exit(session);
	sc_store_exit(&session->store);
	sc_jobs_exit(&session->jobs);
	free(session->lanes);
	if (sc_group_put(group)) {
		session->ops->end(group, stale);
		sc_segments_exit(group);
		sc_group_free(group);
	}
	free(session);
}

void *sc_alloc(struct sc_session *session, size_t len)
{
	void *mem;

	if (sc_session_stale(session)) {
		(void)sc_session_refuse(session);
		return NULL;
	}
	mem = sc_arena_alloc(&session->arena, len);
	if (!mem) {
		session->counters.arena_full++;
		(void)sc_refuse(-ENOMEM,
				"arena: no piece of that length is left: free some, or open with a larger arena_len");
	}
	return mem;
}

void sc_free(struct sc_session *session, void *mem)
{
	if (mem && !sc_session_stale(session))
		sc_arena_free(&session->arena, mem);
}

struct sc_conn *sc_session_conn_get(struct sc_session *session)
{
	struct sc_conn *conn = NULL;

	sc_rest_turn(session);
	for (unsigned int i = 0; i < session->lane_cnt && !conn; i++)
		conn = sc_lane_conn_get(&session->lanes[session->next_conn_lane++ % session->lane_cnt]);
	if (!conn)
		(void)sc_refuse(-ENOSPC,
				"connection: all that the session has room for are in use: raise option conns");
	return conn;
}

/* --- polling and waiting --- */

static void lose(struct sc_session *session, int err)
{
	if (err && err != -EINTR && !session->lost)
		session->lost = err;
}

static void fill(struct sc_session *session)
{
	for (unsigned int i = 0; i < session->lane_cnt; i++)
		sc_lane_fill(&session->lanes[i]);
}

static void reap(struct sc_session *session, struct sink *sink)
{
	for (unsigned int i = 0; i < session->lane_cnt && sink->cnt < sink->max; i++)
		sc_lane_reap(&session->lanes[(session->next_lane + i) % session->lane_cnt], sink);
	session->next_lane = (session->next_lane + 1) % session->lane_cnt;
}

/* Completions that came before the loss are still told, then the loss, once. */
static unsigned int reap_and_tell(struct sc_session *session, struct sink *sink)
{
	reap(session, sink);
	if (!sink->cnt && session->lost && !session->lost_told && sink->max) {
		session->lost_told = true;
		sink->events[sink->cnt++] = (struct sc_event){ .type = SC_EVENT_LOST, .result = session->lost };
	}
	return sink->cnt;
}

/* What is on its way from or to other sessions, before their events are taken from the store. */
static void parcels_turn(struct sc_session *session)
{
	if (session->lanes[0].parcels) /* only sessions of one lane have some */
		sc_handover_turn(&session->lanes[0]);
}

/* A connection has arrived, and its place is one that the next poll makes free. */
static bool parcel_waits_for_poll(const struct sc_session *session)
{
	return session->lanes[0].parcels && session->lanes[0].conn_resting;
}

int sc_poll(struct sc_session *session, struct sc_event *events, unsigned int max)
{
	struct sink sink = { .events = events, .max = max };

	if (sc_session_stale(session))
		return sc_session_refuse(session);
	session->handed = 0;
	sc_rest_turn(session);
	parcels_turn(session);
	if (session->store.cnt)
		sc_store_take(&session->store, &sink);
	fill(session);
	lose(session, session->ops->submit(session));
	session->handed = reap_and_tell(session, &sink);
	return (int)session->handed;
}

static bool lanes_ready(const struct sc_session *session)
{
	for (unsigned int i = 0; i < session->lane_cnt; i++)
		if (sc_lane_ready(&session->lanes[i]))
			return true;
	return false;
}

bool sc_session_ready(const struct sc_session *session)
{
	return lanes_ready(session) || (session->lost && !session->lost_told);
}

static bool short_of_room(const struct sc_session *session)
{
	for (unsigned int i = 0; i < session->lane_cnt; i++)
		if (session->lanes[i].short_of_room)
			return true;
	return false;
}

/* What waits for room in the queue, or a listener for resources, must be tried again though nothing completes. */
static int sleep_bound(const struct sc_session *session, int timeout_ms)
{
	if (short_of_room(session) && (timeout_ms < 0 || timeout_ms > ROOM_RETRY_MS))
		return ROOM_RETRY_MS;
	for (unsigned int i = 0; i < LISTENERS_MAX; i++)
		if (session->listeners[i].used && session->listeners[i].retry_ms &&
		    (timeout_ms < 0 || timeout_ms > ACCEPT_RETRY_MS))
			return ACCEPT_RETRY_MS;
	return timeout_ms;
}

/* Events that no completion stands for. */
static bool told_without_wait(const struct sc_session *session)
{
	for (unsigned int i = 0; i < session->lane_cnt; i++)
		if (session->lanes[i].done_head)
			return true;
	return session->lost && !session->lost_told;
}

/* Of those collected, as sc_store_unname does with those kept before. */
static void ended_unname(const struct sink *sink)
{
	for (unsigned int i = 0; i < sink->cnt; i++)
		if (sink->events[i].listener && !sink->events[i].listener->used)
			sink->events[i].listener = NULL;
}

int sc_session_turn(struct sc_session *session, int timeout_ms)
{
	struct sink sink;
	int err;

	if (sc_session_stale(session))
		return sc_session_refuse(session);
	sc_rest_turn(session);
	parcels_turn(session);
	if (!sc_store_room(&session->store, 1, &sink)) {
		session->counters.store_full++;
		return sc_refuse(-ENOBUFS, "session: too many events wait to be taken: call sc_poll, then wait again");
	}
	fill(session);
	if (timeout_ms && !told_without_wait(session))
		err = session->ops->wait(session, sleep_bound(session, timeout_ms));
	else
		err = session->ops->submit(session);
	lose(session, err);
	reap(session, &sink);
	ended_unname(&sink);
	sc_store_added(&session->store, sink.cnt);
	if (session->lost)
		return lanes_ready(session) ? 0 : sc_session_refuse(session);
	return err;
}

int sc_wait(struct sc_session *session, struct sc_event *events, unsigned int max, int timeout_ms)
{
	int64_t end = timeout_ms > 0 ? sc_session_now_ms() + timeout_ms : 0;
	int left = timeout_ms;

	for (;;) {
		struct sink sink = { .events = events, .max = max };
		int err;

		session->handed = 0;
		sc_rest_turn(session);
		if (!session->lost)
			parcels_turn(session);
		if (!left || session->store.cnt || told_without_wait(session)) {
			int cnt = sc_poll(session, events, max);

			if (cnt || !left || !max) /* else it was the end of jobs */
				return cnt;
		}
		if (session->lost)
			return sc_session_refuse(session);
		fill(session);
		err = session->ops->wait(session, sleep_bound(session, left));
		lose(session, err);
		session->handed = reap_and_tell(session, &sink);
		if (session->handed)
			return (int)session->handed;
		if (err == -EINTR)
			return err;
		if (timeout_ms > 0) {
			int64_t now = sc_session_now_ms();

			left = now < end ? (int)(end - now) : 0;
		}
	}
}

int sc_fd(struct sc_session *session)
{
	return sc_session_stale(session) ? sc_session_refuse(session) : session->fd;
}

int sc_arm(struct sc_session *session)
{
	int ret;

	if (!session->lost)
		parcels_turn(session);
	if (!sc_session_stale(session) && (session->store.cnt || parcel_waits_for_poll(session)))
		return 1;
	if (session->lost)
		return session->lost_told ? sc_session_refuse(session) : 1;
	fill(session);
	ret = session->ops->arm(session);
	if (ret < 0) {
		lose(session, ret);
		return 1;
	}
	return ret || short_of_room(session);
}

/* --- information --- */

const char *sc_engine_name(enum sc_engine engine)
{
	switch (engine) {
	case SC_ENGINE_AUTO:
		return "auto";
	case SC_ENGINE_LOCAL:
		return "local";
	case SC_ENGINE_DIRECT:
		return "direct";
	}
	return "unknown";
}

static void segments_count(const struct sc_session *session, struct sc_info *info)
{
	const struct group *group = session->group;
	uint32_t lane = 1U << session->lanes[0].number; /* a session of several has all in each or in none */

	for (unsigned int slot = 0; slot < __atomic_load_n(&group->segment_end, __ATOMIC_RELAXED); slot++) {
		const struct sc_segment *segment = &group->segments[slot];

		if (__atomic_load_n(&segment->state, __ATOMIC_ACQUIRE) == SEGMENT_CLOSED)
			continue;
		info->segments++;
		info->segments_registered += !!(__atomic_load_n(&segment->registered, __ATOMIC_RELAXED) & lane);
	}
}

int sc_info(const struct sc_session *session, struct sc_info *ret_info)
{
	struct sc_info info = { .size = ret_info->size, .engine = session->ops->id, .lanes = session->lane_cnt };

	if (sc_session_stale(session))
		return sc_session_refuse(session);
	if (ret_info->size < offsetof(struct sc_info, counters) || ret_info->size > sizeof(info))
		return sc_refuse(-EINVAL, "info: size is none this libapp knows: set it to sizeof(struct sc_info)");
	for (unsigned int i = 0; i < session->lane_cnt; i++)
		info.cpus[i] = session->lanes[i].cpu;
	segments_count(session, &info);
	info.counters = session->counters;
	memcpy(info.fallback_reason, session->fallback_reason, sizeof(info.fallback_reason));
	memcpy(ret_info, &info, info.size);
	return 0;
}

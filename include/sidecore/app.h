/* SPDX-License-Identifier: MIT */
/*
 * libapp: sockets served through shared memory.
 *
 * A session is a channel to one engine. Connections are accepted and read ahead for the application; what happened is
 * told by events. All functions return 0 or a count, or -errno; none prints or exits, and errno tells nothing. A session and all
 * that belongs to it is used by one thread at a time; on the local engine always by the one that first polls or waits.
 * In a child of fork every call on the parent's session is refused by -ESTALE, but for sc_close_session.
 * Nothing blocks but sc_open, sc_open_threads, sc_close_session, sc_listen, sc_connect, sc_udp_open, sc_register_mem,
 * sc_deregister_mem, sc_file_open, sc_getsockopt and its like (they talk to the service), sc_wait, sc_job_wait and sc_sync_*.
 */
#ifndef SIDECORE_APP_H
#define SIDECORE_APP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct sc_session;
struct sc_listener;
struct sc_conn;
struct sc_segment;
struct sc_file;

enum sc_engine {
	SC_ENGINE_AUTO, /* direct if the service answers, else local */
	SC_ENGINE_LOCAL, /* an io_uring in this process, driven by this thread */
	SC_ENGINE_DIRECT, /* a poller of sidecore-ringsvc on a dedicated core */
};

/*
 * What to open. Zero means the default. size is sizeof(struct sc_options), set by SC_OPTIONS_INIT: a newer library
 * accepts an older program's struct, an older library refuses (-E2BIG) fields it doesn't know unless they are zero.
 */
struct sc_options {
	size_t size;
	enum sc_engine engine;
	unsigned int lanes; /* direct: how many dedicated cores to use; default all the service offers */
	const char *socket_path; /* of the service; default $SIDECORE_SOCKET, then the user's own, then the system's */
	size_t arena_len; /* bytes to send from; default 16 MiB */
	unsigned int conns; /* connections per lane; default 4096 */
	unsigned int bufs; /* receive buffers per lane, a power of two; default 1024 */
	unsigned int buf_len; /* bytes of a receive buffer, a power of two; default 16384 */
	unsigned int window; /* bytes of unreleased buffers, counted whole, that pause a connection; default 256 KiB */
	unsigned int spin_us; /* how long sc_wait may look for events before it sleeps, less where useless; default 0 */
};
/* clang-format off */
#define SC_OPTIONS_INIT { .size = sizeof(struct sc_options) }
/* clang-format on */

/*
 * Opens a session and stores it in *ret_session, which the caller closes with sc_close_session. May block up to 5 s for
 * the service. SC_ENGINE_AUTO falls back to local when the service is absent or refuses; sc_info tells the reason.
 *
 * -EINVAL an option out of bounds; -E2BIG options of a newer version; -ENOENT, -ECONNREFUSED no service at the path;
 * -EACCES not this user's service; -EPROTO the service speaks another version; -ENOSYS the kernel lacks a feature the
 * engine needs; -ENOMEM; -EMFILE; -ETIMEDOUT. sc_reason has the details.
 */
int sc_open(const struct sc_options *options, struct sc_session **ret_session);

/*
 * Opens a session for each of cnt threads, 1 to 16, and stores them in ret_sessions; each is closed by sc_close_session. They share a
 * channel: what is allocated or received in one may be sent by any. Each has one lane, and conns, bufs and arena_len of its own;
 * lane i is on the i-th dedicated core, counted round if threads outnumber cores. Listeners of several on one address and port share
 * it. Each session is then used by one thread without locks; which one does not matter. May block as sc_open.
 *
 * Errors as sc_open; -EINVAL also for lanes above 1 and for more than 512 MiB of arena in all.
 */
int sc_open_threads(const struct sc_options *options, unsigned int cnt, struct sc_session **ret_sessions);

/*
 * Gives all back: connections are closed, what is not sent yet is dropped, pointers into the session die. Waits until the
 * service is done with it (some milliseconds, at most half a second), so that ports are free then or a moment later. NULL is
 * fine.
 */
void sc_close_session(struct sc_session *session);

/*
 * One line on the last call that refused in this thread: object, reason, next step. Empty when none has. Valid until the next
 * refusal.
 */
const char *sc_reason(void);

/*
 * What an errno means where libapp returns it, or tells it as the result of an event; positive or negative. Any thread, any
 * time; the text is there for ever.
 */
const char *sc_strerror(int err);

/* --- the arena: what is sent lies there ----------------------------------------------------------------------- */

/* Memory to send from, 64-byte aligned, or NULL when the arena has no such piece left. O(log arena). */
void *sc_alloc(struct sc_session *session, size_t len);

/* Only after every send from it has completed. NULL is fine. */
void sc_free(struct sc_session *session, void *mem);

/*
 * Adds a segment of len bytes, rounded up to pages, to the session, or to all that were opened together with it: zeros that any of
 * their sends may take its bytes from, as from the arena. It is pinned as a registered buffer in every lane, which makes zero
 * copy cheaper, if the limit on locked memory (RLIMIT_MEMLOCK; --memlock of the service) and the kernel (6.13) allow; sc_info
 * tells. At most 64 segments of 1 GiB each, 4 GiB in all. The memory goes with the last of these sessions. May block up to 5 s for
 * the service.
 *
 * -EINVAL len out of bounds; -ENOSPC too many segments; -ENOMEM; -EOWNERDEAD the engine is gone; -ETIMEDOUT.
 */
int sc_register_mem(struct sc_session *session, size_t len, struct sc_segment **ret_segment);

/*
 * Takes the segment away again: its memory is unmapped. By any thread, while others send: a send from it is taken before, which
 * means -EBUSY here, or refused with -EFAULT. NULL is fine. -EBUSY: sends from it have not been told of by SC_EVENT_SENT, nothing has
 * changed. May block as sc_register_mem.
 */
int sc_deregister_mem(struct sc_segment *segment);

/* First byte and length. */
void *sc_segment_mem(const struct sc_segment *segment);
size_t sc_segment_len(const struct sc_segment *segment);

/* --- listening ------------------------------------------------------------------------------------------------- */

/*
 * Listens on a numeric address ("0.0.0.0", "::", "10.1.2.3") and port, with one listening socket per lane. Port 0 takes a free one.
 * "unix:/path" and "unix:@abstract" have no port and one socket for all lanes; the file is the caller's to remove.
 * backlog 0 means 4096. At most 14 listeners per session. The socket is created here, in the caller's network
 * namespace and with its rights. Accepting begins at once and runs ahead of the application by at most 64 connections
 * per listening socket; what comes beyond waits in the backlog.
 *
 * -EINVAL not an address; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL as bind; -ENOSPC too many listeners; -EOWNERDEAD the engine is
 * gone.
 */
int sc_listen(struct sc_session *session, const char *address, uint16_t port, int backlog,
	      struct sc_listener **ret_listener);

/* The port in use. */
uint16_t sc_listener_port(const struct sc_listener *listener);

/*
 * Lets at most conns connections of it be open at a time, divided among the lanes; 0: no limit. What comes beyond waits in the
 * backlog. Set before the first sc_poll or sc_wait after sc_listen, it holds from the first connection on; later, connections
 * whose accepting is under way may still exceed it. -EINVAL less than one per lane.
 */
int sc_listener_set_limit(struct sc_listener *listener, unsigned int conns);

/* Stops accepting; connections accepted already still come as events or are closed with the session. */
void sc_listener_close(struct sc_listener *listener);

/* --- connecting ------------------------------------------------------------------------------------------------ */

/* Where to connect to, and how. Zero means the default, but for fd; size and fd are set by SC_CONNECT_OPTIONS_INIT. */
struct sc_connect_options {
	size_t size;
	const char *address; /* numeric IPv4 or IPv6, "unix:/path", "unix:@abstract"; NULL: fd is connected already */
	const char *local_address; /* numeric; default the kernel's choice */
	uint16_t port;
	uint16_t local_port; /* default the kernel's choice */
	unsigned int timeout_ms; /* default the kernel's patience, some minutes */
	int fd; /* a stream socket of the caller's own to use; -1: the library makes one, with TCP_NODELAY */
};
/* clang-format off */
#define SC_CONNECT_OPTIONS_INIT { .size = sizeof(struct sc_connect_options), .fd = -1 }
/* clang-format on */

/*
 * Begins to connect and stores the connection in *ret_conn: SC_EVENT_CONNECT tells the outcome, unless sc_close comes first. It
 * may be sent on at once: what is asked before goes out after. The socket is made here, in the caller's network namespace and with
 * its rights; fd is taken over, closed and made blocking, if the call succeeds, and otherwise stays the caller's. Lanes are taken in turn.
 *
 * -EINVAL not an address, or none; -E2BIG options of a newer version; -ENOSPC no room for a connection: one that was closed makes
 * room at the next sc_poll or sc_wait; -ENOMEM the arena is full; -EPROTOTYPE, -ENOTSOCK fd is no stream socket; -ENOTCONN nor connected; -EADDRINUSE,
 * -EADDRNOTAVAIL, -EACCES the local address, as bind; a unix socket's own at once: -ENOENT, -ECONNREFUSED, -EACCES, -EAGAIN (its
 * backlog is full); -EOWNERDEAD the engine is gone.
 */
int sc_connect(struct sc_session *session, const struct sc_connect_options *options, struct sc_conn **ret_conn);

/* --- datagrams ------------------------------------------------------------------------------------------------- */

/*
 * Opens a UDP socket on a numeric address and port (0: a free one, which sc_getsockname tells) and stores it as a connection, which
 * receives at once: SC_EVENT_RECV has one datagram and the address it came from. Lanes are taken in turn; with several, sockets
 * of one port share it by SO_REUSEPORT. The socket is made here, with the caller's rights. It is closed by sc_close, which
 * waits for what was asked to be sent.
 *
 * -EINVAL not an address; -EAFNOSUPPORT a unix address; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL as bind; -ENOSPC no room for a
 * connection; -ENOMEM memory, or the arena; -EOWNERDEAD the engine is gone.
 */
int sc_udp_open(struct sc_session *session, const char *address, uint16_t port, struct sc_conn **ret_conn);

/*
 * Sends one datagram of len bytes, 0 allowed, from memory that sc_send would take, which must not change until SC_EVENT_SENT with the
 * tag: it went out as a whole, or not at all (result = -errno, such as -EMSGSIZE; the socket goes on). addr is copied. At most
 * 32 are under way per socket; their events may come in any order. -EAGAIN there are as many; -EDESTADDRREQ no address;
 * -EPROTOTYPE not a datagram socket; and as sc_send.
 */
int sc_sendto(struct sc_conn *conn, const void *data, size_t len, const struct sockaddr *addr, socklen_t addr_len,
	      uint64_t tag);

/* The same from up to 4 pieces; iov itself is copied. */
int sc_sendtov(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, const struct sockaddr *addr,
	       socklen_t addr_len, uint64_t tag);

/* --- events ---------------------------------------------------------------------------------------------------- */

enum sc_event_type {
	SC_EVENT_ACCEPT = 1, /* conn is new; listener says where. Receiving has begun already */
	SC_EVENT_RECV, /* data, len: the caller gives it back by sc_release. data NULL: the peer has finished sending */
	SC_EVENT_SENT, /* a send with this tag has completed: all of it (result = bytes) or not (result = -errno) */
	SC_EVENT_ERROR, /* conn broke while receiving: result = -errno. The caller closes it */
	SC_EVENT_CLOSED, /* the close asked for is done; conn is no more, unless buffers of it are unreleased */
	SC_EVENT_LOST, /* the engine is gone (result = -errno): every connection is lost, close the session */
	SC_EVENT_CONNECT, /* conn of sc_connect is connected (result = 0), or not (-errno): then the caller closes it */
	SC_EVENT_GIVEN, /* another session has conn (result = 0): here it ends as with SC_EVENT_CLOSED; or not (-errno) */
	SC_EVENT_TAKEN, /* conn is new, another session has given it; its word (sc_conn_data) is the one it had there */
};

enum sc_event_flag {
	SC_EVENT_TRUNCATED = 1U << 0, /* the datagram did not fit a receive buffer: this is its beginning */
};

struct sc_event {
	enum sc_event_type type;
	int result;
	struct sc_conn *conn;
	struct sc_listener *listener;
	void *data;
	size_t len;
	uint64_t tag;
	const struct sockaddr *addr; /* of a datagram: where it came from; valid as long as data */
	socklen_t addr_len;
	unsigned int flags; /* enum sc_event_flag */
};

/*
 * Up to max events that are there now; 0 if none. Events of one connection come in order. Also hands to the engine
 * what was asked for since the last call. On the direct engine no system call is made as long as its poller is awake.
 */
int sc_poll(struct sc_session *session, struct sc_event *events, unsigned int max);

/*
 * The same, waiting for at least one event: timeout_ms < 0 for ever, 0 as sc_poll. Returns 0 when time ran out,
 * -EINTR if a signal handler ran or the kernel had work for this thread, as it has for an io_uring of its own: call again.
 */
int sc_wait(struct sc_session *session, struct sc_event *events, unsigned int max, int timeout_ms);

/*
 * A descriptor for the application's own epoll or poll, readable when sc_poll may have events. It belongs to the
 * session. Before sleeping on it call sc_arm; go to sleep only if that returns 0. On the local engine the sleep may end with
 * EINTR though no signal came: call sc_poll then, too.
 */
int sc_fd(struct sc_session *session);

/* Asks for sc_fd to be signalled. 1: events are there already, do not sleep; 0: sleep; -errno. */
int sc_arm(struct sc_session *session);

/* --- connections ----------------------------------------------------------------------------------------------- */

/*
 * Gives the memory of a SC_EVENT_RECV back, once, in any order, also after sc_close. A connection with a window of
 * unreleased buffers is not read from until half of it is released; the peer is slowed down by TCP.
 */
void sc_release(struct sc_conn *conn, void *data);

/*
 * Sends len bytes from the arena, a segment, or a received buffer not yet released. The memory must not change until
 * SC_EVENT_SENT with the tag. Sends of one connection go out in order and complete in order; partial sends do not
 * surface. -EFAULT not memory of this session or its group; -EINVAL len is 0; -ENOMEM; -EPIPE after sc_close, sc_shutdown or a send
 * that failed; -EOWNERDEAD the engine is gone.
 */
int sc_send(struct sc_conn *conn, const void *data, size_t len, uint64_t tag);

/* The same from up to 4 pieces; iov itself is copied. */
int sc_sendv(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, uint64_t tag);

/*
 * SC_EVENT_SENT says that the memory may be used again. After a send that was copied that is when TCP has the bytes, after one
 * without a copy when the peer has them. SC_ZC_AUTO, the default, sends without a copy from 4 KiB of a registered segment, or 16 KiB
 * of other memory, as long as the kernel then does not copy after all, as it does on loopback and veth. SC_ZC_ALWAYS takes what
 * it is asked from any size, unless the kernel refuses; SC_ZC_NEVER copies. Sends of several pieces are always copied, those by jobs
 * under SC_ZC_AUTO. For sends asked for from now on. -EINVAL not one of the three.
 */
enum sc_zerocopy { SC_ZC_AUTO, SC_ZC_ALWAYS, SC_ZC_NEVER };
int sc_conn_set_zerocopy(struct sc_conn *conn, enum sc_zerocopy mode);

/*
 * Sends of a SC_PRIORITY_HIGH connection overtake what SC_PRIORITY_NORMAL connections of its lane have asked for and the engine has
 * not begun; those of one connection keep their order. As long as a lane has such connections, of the others' sends only some
 * are with the engine at a time, in pieces of 64 KiB. -EINVAL not one of the two.
 */
enum sc_priority { SC_PRIORITY_NORMAL, SC_PRIORITY_HIGH };
int sc_conn_set_priority(struct sc_conn *conn, enum sc_priority priority);

/*
 * Opens a regular file to send from, and hands it to the engine, which reads it with the rights that the descriptor has. At most 64
 * per session. sc_file_open_fd takes a descriptor, which stays the caller's. May block up to 5 s for the service.
 *
 * -errno as open; -EINVAL not a regular file; -ENOSPC too many; -ENOMEM; -EOWNERDEAD the engine is gone.
 */
int sc_file_open(struct sc_session *session, const char *path, struct sc_file **ret_file);
int sc_file_open_fd(struct sc_session *session, int fd, struct sc_file **ret_file);

/* Its length when it was opened. */
uint64_t sc_file_len(const struct sc_file *file);

/* NULL is fine. -EBUSY: sends of it have not been told of, nothing has changed. */
int sc_file_close(struct sc_file *file);

/*
 * Sends len bytes of the file from off on, in order with the connection's other sends, and as one of them: SC_EVENT_SENT with the
 * tag tells of the whole. The engine reads into the arena, at most 128 KiB ahead. When the file cannot be read the send fails
 * with that -errno, -ENODATA if it has become too short; what was read before has gone out then, so nothing more may follow: later
 * sends fail as well, and the caller closes. -EINVAL len is 0 or more than 1 GiB, the file another session's; -ENOMEM
 * too many sends, or no room in the arena; -EPIPE, -EOWNERDEAD as sc_send.
 */
int sc_send_file(struct sc_conn *conn, struct sc_file *file, uint64_t off, size_t len, uint64_t tag);

/* Ends the sending direction after what was asked to be sent: the peer sees the end of the stream. */
int sc_shutdown(struct sc_conn *conn);

/*
 * Ends the receiving direction: no SC_EVENT_RECV or SC_EVENT_ERROR comes any more, what has come and was not told is dropped, jobs
 * that wait to receive end as at the end of the stream. What is sent goes out as ever. The peer of a unix socket sees EPIPE;
 * TCP does not tell its peer, who may send as long as there is room. -EPIPE after sc_close; -ENOTCONN a datagram socket;
 * -EBUSY being given away; -EOWNERDEAD the engine is gone.
 */
int sc_shutdown_recv(struct sc_conn *conn);

/*
 * Closes after what was asked to be sent has gone out; with SC_CLOSE_NOW drops what has not (their SENT events tell
 * -ECANCELED). SC_CLOSE_RESET is SC_CLOSE_NOW, and TCP drops what it has not sent either and resets the peer. No more RECV
 * events come. Ends with SC_EVENT_CLOSED. May be called again until then, to close now after all.
 */
enum sc_close_flag { SC_CLOSE_NOW = 1U << 0, SC_CLOSE_RESET = 1U << 1 };
void sc_close(struct sc_conn *conn, unsigned int flags);

/*
 * As the system calls, on a connection's socket until sc_close, whichever process has it; a descriptor comes here for the
 * time of the call. They talk to the engine and may block some milliseconds, a second at most on the local engine, 5 if the service
 * does not answer. They hand over requests as sc_poll does: call sc_arm after them, not before.
 *
 * -errno of the system call; -EBADF after sc_close; -EBUSY too many events wait: call sc_poll first; -ETIMEDOUT; -EOWNERDEAD
 * the engine is gone.
 */
int sc_setsockopt(struct sc_conn *conn, int level, int name, const void *value, socklen_t len);
int sc_getsockopt(struct sc_conn *conn, int level, int name, void *value, socklen_t *len);
int sc_getsockname(struct sc_conn *conn, struct sockaddr *addr, socklen_t *len);
int sc_getpeername(struct sc_conn *conn, struct sockaddr *addr, socklen_t *len);

/* The same for the listening sockets: set on all lanes', got from the first. */
int sc_listener_setsockopt(struct sc_listener *listener, int level, int name, const void *value, socklen_t len);
int sc_listener_getsockopt(struct sc_listener *listener, int level, int name, void *value, socklen_t *len);
int sc_listener_getsockname(struct sc_listener *listener, struct sockaddr *addr, socklen_t *len);

/* --- jobs: asking for the end of a send or receive instead of being told ------------------------------------------ */

struct sc_job;

/*
 * A connection receives by events until it is told otherwise or the first receive is asked for by a job; one that
 * sc_sync_accept returned receives by jobs. Then no more SC_EVENT_RECV and SC_EVENT_ERROR come for it: what arrives is kept
 * for jobs, within the window. Events not taken yet change sides, too; those taken stay the caller's to release.
 * -ENOMEM; -EBUSY jobs wait to receive; -ENOBUFS too many events are kept already; -EPIPE after sc_close; -EINVAL.
 */
enum sc_recv_mode { SC_RECV_BY_EVENTS, SC_RECV_BY_JOBS };
int sc_conn_set_recv_mode(struct sc_conn *conn, enum sc_recv_mode mode);

/*
 * As sc_send and sc_sendv, but no SC_EVENT_SENT comes: the job's result is the number of bytes, all, or -errno. The memory must
 * not change until then. Errors of sc_send.
 */
int sc_async_send(struct sc_conn *conn, const void *data, size_t len, struct sc_job **ret_job);
int sc_async_sendv(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, struct sc_job **ret_job);

/*
 * Receives up to len bytes into any memory: at least one, with SC_RECV_ALL all unless the stream ends before. The job's result
 * is the number of bytes, 0 at the end of the stream, or -errno. Receives of one connection end in order. -EINVAL no bytes, or
 * more than 1 GiB; -ENOMEM; -EPIPE after sc_close.
 */
enum sc_recv_flag { SC_RECV_ALL = 1U << 0 };
int sc_async_recv(struct sc_conn *conn, void *buf, size_t len, unsigned int flags, struct sc_job **ret_job);

/*
 * 1: the job has ended, *ret_result is set and the job is no more; 0: it has not. sc_job_wait waits up to timeout_ms (< 0: for
 * ever). What comes for others meanwhile is kept for the next sc_poll, up to 8192 events: -ENOBUFS when there are as many;
 * -EINTR as sc_wait. When the engine is gone, jobs that it had not ended end with the -errno of SC_EVENT_LOST.
 */
int sc_job_done(struct sc_job *job, ssize_t *ret_result);
int sc_job_wait(struct sc_job *job, int timeout_ms, ssize_t *ret_result);

/*
 * The job ends soon; its end is still to be asked for. A receive ends at once, with the bytes it has or -ECANCELED. A send
 * ends with -ECANCELED if nothing of it had gone out, and those behind it go on; else with the number of bytes that had. If
 * that is less than all, the connection sends no more. Without a copy its memory is in use until the peer has what had gone out, or
 * the connection is closed.
 */
void sc_job_cancel(struct sc_job *job);

/*
 * The same in one call. All wait up to timeout_ms (< 0: for ever; a signal does not end it) and answer -ETIMEDOUT then; -ENOBUFS as
 * sc_job_wait, -errno of SC_EVENT_LOST when the engine is gone.
 *
 * sc_sync_send, sc_sync_sendv: 0 when TCP has taken all; -ETIMEDOUT: not all, and if some of it had gone out the connection sends no more.
 * -ENOBUFS: the memory is in use until the connection is closed. sc_sync_recv: the number of bytes, 0 at the end of the
 * stream; with SC_RECV_ALL less than len if time was over. sc_sync_accept: a new connection, receiving by jobs.
 * sc_sync_close: as sc_close, and what has not gone out in time is dropped (-ETIMEDOUT); the connection is no more. With
 * -ENOBUFS it is still being closed, and SC_EVENT_CLOSED comes; -EBUSY being given to another session, nothing has changed.
 */
int sc_sync_send(struct sc_conn *conn, const void *data, size_t len, int timeout_ms);
int sc_sync_sendv(struct sc_conn *conn, const struct iovec *iov, unsigned int cnt, int timeout_ms);
ssize_t sc_sync_recv(struct sc_conn *conn, void *buf, size_t len, unsigned int flags, int timeout_ms);
int sc_sync_connect(struct sc_session *session, const struct sc_connect_options *options, struct sc_conn **ret_conn);
int sc_sync_accept(struct sc_listener *listener, int timeout_ms, struct sc_conn **ret_conn);
int sc_sync_close(struct sc_conn *conn, int timeout_ms);

/*
 * Gives the connection to another session opened by the same sc_open_threads. There it appears as SC_EVENT_TAKEN, followed by
 * what was received and not told of here: nothing is lost or reordered. It goes when the sends that were asked for have
 * completed; until the next sc_poll or sc_wait there may be more of them. Ends with SC_EVENT_GIVEN: its result is 0, or the
 * connection stays and -errno tells why: -ENFILE the other session has no place for it, -ENOMEM, -ECANCELED sc_close was called.
 * What the caller has not released it releases as ever. Both threads must go on polling.
 *
 * -EINVAL to is this session, or not opened together with it; -EPROTOTYPE a datagram socket; -EBUSY not connected yet, or jobs wait
 * to receive; -EALREADY; -EPIPE after sc_close; -EAGAIN the other session's thread has not polled yet; -ESHUTDOWN it is being
 * closed; -ENOBUFS not all that it brought along is told of yet; -ENOMEM; -EOWNERDEAD.
 */
int sc_conn_give(struct sc_conn *conn, struct sc_session *to);

/* A word of the caller's own; NULL at first. */
void sc_conn_set_data(struct sc_conn *conn, void *data);
void *sc_conn_data(const struct sc_conn *conn);

/* The lane that serves the connection, counted from 0. */
unsigned int sc_conn_lane(const struct sc_conn *conn);

/* --- information ----------------------------------------------------------------------------------------------- */

/* Counters since the session was opened. */
struct sc_counters {
	uint64_t accepted; /* connections */
	uint64_t connected;
	uint64_t closed;
	uint64_t received; /* bytes */
	uint64_t sent; /* bytes */
	uint64_t recv_events;
	uint64_t send_events;
	uint64_t recv_paused; /* a connection's window was full */
	uint64_t recv_starved; /* the kernel found no buffer */
	uint64_t recv_copied; /* buffers copied out because few were left */
	uint64_t sq_full; /* a request waited for a place in the queue */
	uint64_t cq_overflow; /* completions the kernel had to hold back */
	uint64_t doorbells; /* the poller slept and was woken */
	uint64_t sleeps; /* sc_wait slept */
	uint64_t broken; /* connections that an error ended before sc_close was called */
	uint64_t conns_full; /* a listener could not accept: every connection of its lane was in use */
	uint64_t accept_failed; /* an accept failed, for want of descriptors or memory; it is tried again */
	uint64_t sends_full; /* a send or job was refused: too many under way, or no memory for one more */
	uint64_t arena_full; /* sc_alloc found no such piece */
	uint64_t datagrams_dropped; /* by the kernel, for want of room in the socket; known with the next that is received */
	uint64_t datagrams_truncated;
	uint64_t store_full; /* a call could not wait: as many events as can be were kept for sc_poll */
	uint64_t zerocopy_sends; /* requests to send without a copy */
	uint64_t zerocopy_copied; /* that the kernel copied after all */
	uint64_t zerocopy_refused; /* that it refused, and that were repeated with a copy */
	uint64_t bulk_waited; /* sends that waited for others for the sake of those of high priority */
	uint64_t given; /* connections, to other sessions */
	uint64_t taken; /* and from them */
};

struct sc_info {
	size_t size; /* set by the caller to sizeof(struct sc_info) */
	enum sc_engine engine; /* the one in use */
	unsigned int lanes;
	int cpus[16]; /* dedicated core of each lane; -1 for the local engine */
	unsigned int segments;
	unsigned int segments_registered; /* those that are registered buffers */
	char fallback_reason[160]; /* why SC_ENGINE_AUTO did not get direct; empty otherwise */
	struct sc_counters counters; /* last: a newer library has more of them, and fills those the caller's struct has */
};

/* Fills as much as info->size says. -EINVAL when that is more than this library knows, or too little for any. */
int sc_info(const struct sc_session *session, struct sc_info *info);

/* "local", "direct" */
const char *sc_engine_name(enum sc_engine engine);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif

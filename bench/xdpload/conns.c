// SPDX-License-Identifier: MIT
// The connections as user space sees them; all it sends goes by a packet socket, past this host's own TCP.
#include <err.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <bpf/bpf.h>
#include "clock.h"
#include "conns.h"
#include "wire.h"

enum {
	STALL_NS = 200 * 1000 * 1000,
	SYN_BURST = 64, /* a veth ring holds 256 packets */
	SYN_OPTIONS_LEN = 12,
};

/* What the last scans saw of one connection. */
struct progress {
	__u64 since_ns; /* the last step, or the last help */
	__u32 state;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 rcv_nxt;
	bool stalled; /* counted already */
};

struct sc_conns {
	const struct xdpload_config *config;
	struct xdpload_conn *conn; /* copy of the map */
	struct progress *progress;
	__u32 *key;
	__u64 stalled;
	__u64 syns_again;
	int map_fd;
	int socket_fd;
	__u16 mss;
};

/* A packet socket bound to the interface that receives nothing, and the MSS its MTU allows. */
static int open_socket(struct sc_conns *c, const char *ifname)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(ifname) };
	struct ifreq request = {};
	int err;

	strncpy(request.ifr_name, ifname, sizeof(request.ifr_name) - 1);
	c->socket_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (c->socket_fd < 0 || bind(c->socket_fd, (struct sockaddr *)&address, sizeof(address)) ||
	    ioctl(c->socket_fd, SIOCGIFMTU, &request)) {
		err = -errno;
		warnx("%s: cannot open a packet socket: %s: needs root, or CAP_NET_RAW", ifname, strerror(-err));
		return err;
	}
	c->mss = (__u16)(request.ifr_mtu - WIRE_IP_LEN - WIRE_TCP_LEN);
	return 0;
}

struct sc_conns *sc_conns_create(const char *ifname, int map_fd, const struct xdpload_config *config)
{
	struct sc_conns *c = calloc(1, sizeof(*c));

	if (!c)
		goto err_memory;
	c->map_fd = map_fd;
	c->socket_fd = -1;
	c->config = config;
	c->conn = calloc(config->conns_cnt, sizeof(*c->conn));
	c->progress = calloc(config->conns_cnt, sizeof(*c->progress));
	c->key = calloc(config->conns_cnt, sizeof(*c->key));
	if (!c->conn || !c->progress || !c->key)
		goto err_memory;
	if (open_socket(c, ifname))
		goto err_free;
	return c;

err_memory:
	warnx("%u connections: out of memory: use fewer", config->conns_cnt);
err_free:
	sc_conns_free(c);
	return NULL;
}

void sc_conns_free(struct sc_conns *c)
{
	if (!c)
		return;
	if (c->socket_fd >= 0)
		close(c->socket_fd);
	free(c->conn);
	free(c->progress);
	free(c->key);
	free(c);
}

/* A frame that does not get out is sent again by a later scan like one that gets lost. */
static void send_frame(struct sc_conns *c, __u32 idx, struct wire_segment s, const void *body)
{
	struct {
		struct wire wire;
		__u8 body[XDPLOAD_REQUEST_MAX];
	} frame = {};

	if (s.body_len)
		memcpy(frame.body, body, s.body_len);
	s.src_port = (__u16)(c->config->port_base + idx);
	s.body_sum = sc_wire_fold(sc_wire_sum(frame.body, sizeof(frame.body)));
	sc_wire_fill(&frame.wire, c->config, &s);
	(void)send(c->socket_fd, &frame, sizeof(frame.wire) + s.body_len, MSG_DONTWAIT);
}

static void send_syn(struct sc_conns *c, __u32 idx)
{
	/* clang-format off */
	const __u8 options[SYN_OPTIONS_LEN] = {
		2, 4, (__u8)(c->mss >> 8), (__u8)c->mss,
		1, 3, 3, XDPLOAD_WINDOW_SHIFT, /* no operation, window scale */
		1, 1, 4, 2, /* no operation twice, SACK permitted */
	};
	/* clang-format on */
	struct wire_segment s = {
		.seq = c->conn[idx].snd_una,
		.flags = WIRE_TCP_SYN,
		.options_len = SYN_OPTIONS_LEN,
		.body_len = SYN_OPTIONS_LEN,
	};

	send_frame(c, idx, s, options);
}

static void send_request(struct sc_conns *c, __u32 idx)
{
	struct wire_segment s = {
		.seq = c->conn[idx].snd_nxt - c->config->request_len,
		.ack = c->conn[idx].rcv_nxt,
		.flags = WIRE_TCP_ACK | WIRE_TCP_PSH,
		.body_len = c->config->request_len,
	};

	send_frame(c, idx, s, c->config->request);
}

static void send_bare(struct sc_conns *c, __u32 idx, __u32 seq, __u8 flags)
{
	struct wire_segment s = { .seq = seq, .ack = c->conn[idx].rcv_nxt, .flags = flags };

	send_frame(c, idx, s, NULL);
}

int sc_conns_connect(struct sc_conns *c)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int err;

	for (__u32 i = 0; i < c->config->conns_cnt; i++) {
		struct xdpload_conn *conn = &c->conn[i];

		*conn = (struct xdpload_conn){ .state = XDPLOAD_STATE_SYN_SENT };
		if (getrandom(&conn->snd_una, sizeof(conn->snd_una), 0) != sizeof(conn->snd_una))
			conn->snd_una = (__u32)sc_clock_ns();
		conn->snd_nxt = conn->snd_una + 1;
		if (bpf_map_update_elem(c->map_fd, &i, conn, BPF_EXIST)) {
			err = -errno;
			warnx("connection %u: cannot set up: %s: this is a bug", i, strerror(-err));
			return err;
		}
		send_syn(c, i);
		if (i % SYN_BURST == SYN_BURST - 1)
			(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static int snapshot(struct sc_conns *c)
{
	__u32 cnt = c->config->conns_cnt;
	__u32 next;
	int err;

	if (!bpf_map_lookup_batch(c->map_fd, NULL, &next, c->key, c->conn, &cnt, NULL) || errno == ENOENT)
		return 0;
	err = -errno;
	warnx("connections: cannot read: %s: this is a bug", strerror(-err));
	return err;
}

static bool moved(struct progress *p, const struct xdpload_conn *conn)
{
	if (p->since_ns && p->state == conn->state && p->snd_nxt == conn->snd_nxt && p->snd_una == conn->snd_una &&
	    p->rcv_nxt == conn->rcv_nxt)
		return false;
	p->state = conn->state;
	p->snd_nxt = conn->snd_nxt;
	p->snd_una = conn->snd_una;
	p->rcv_nxt = conn->rcv_nxt;
	p->stalled = false;
	return true;
}

/* False if the next step is the server's: an acknowledged request of which no answer has come is slow, not stalled. */
static bool help(struct sc_conns *c, __u32 idx)
{
	const struct xdpload_conn *conn = &c->conn[idx];

	if (conn->state != XDPLOAD_STATE_OPEN)
		return false;
	if (conn->snd_una != conn->snd_nxt)
		send_request(c, idx);
	else if (conn->received)
		send_bare(c, idx, conn->snd_nxt, WIRE_TCP_ACK);
	else
		return false;
	return true;
}

static void watch(struct sc_conns *c, __u32 idx, __u64 now)
{
	struct progress *p = &c->progress[idx];

	if (moved(p, &c->conn[idx])) {
		p->since_ns = now;
		return;
	}
	if (now - p->since_ns < STALL_NS)
		return;
	p->since_ns = now;
	if (c->conn[idx].state == XDPLOAD_STATE_SYN_SENT) {
		send_syn(c, idx);
		c->syns_again++;
	} else if (help(c, idx) && !p->stalled) {
		p->stalled = true;
		c->stalled++;
	}
}

int sc_conns_scan(struct sc_conns *c, struct sc_conns_tally *ret_tally)
{
	struct sc_conns_tally tally = {};
	__u64 now = sc_clock_ns();
	int err;

	err = snapshot(c);
	if (err)
		return err;
	for (__u32 i = 0; i < c->config->conns_cnt; i++) {
		__u32 state = c->conn[i].state;

		watch(c, i, now);
		tally.connecting += state == XDPLOAD_STATE_SYN_SENT;
		tally.open += state == XDPLOAD_STATE_OPEN;
		tally.idle += state == XDPLOAD_STATE_IDLE;
		tally.lost += state > XDPLOAD_STATE_IDLE;
	}
	tally.stalled = c->stalled;
	tally.syns_again = c->syns_again;
	*ret_tally = tally;
	return 0;
}

void sc_conns_reset(struct sc_conns *c)
{
	if (snapshot(c))
		return;
	for (__u32 i = 0; i < c->config->conns_cnt; i++) {
		const struct xdpload_conn *conn = &c->conn[i];

		if (conn->state == XDPLOAD_STATE_RESET)
			continue;
		send_bare(c, i, conn->snd_nxt, WIRE_TCP_RST | WIRE_TCP_ACK);
		/* A reset counts only at the very number the server expects: the earlier one if a request got lost. */
		if (conn->snd_una != conn->snd_nxt)
			send_bare(c, i, conn->snd_una, WIRE_TCP_RST | WIRE_TCP_ACK);
	}
}

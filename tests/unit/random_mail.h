/* SPDX-License-Identifier: MIT */
/*
 * Datagrams in the random test: sockets of the application's sessions and plain ones, which send to each other. Each datagram tells
 * who sent it to whom and the how-many-th it is: it comes whole and in order, or the receiver's socket counts it as dropped.
 */
#ifndef TESTS_RANDOM_MAIL_H
#define TESTS_RANDOM_MAIL_H

#include <netinet/in.h>
#include <sched.h>

#include "random_model.h"

enum { MAIL_BOXES = 3, MAIL_PEERS = 2, MAIL_IDS = 64, MAIL_KEPT = 64 };

/* From one socket to another, closed or not. */
struct way {
	uint32_t asked, received, failed;
	uint32_t seen; /* the number of the youngest received + 1 */
	bool last_seen; /* one that was sent when nothing else was to come */
};

/* A socket of the application's. */
struct box {
	struct sc_conn *conn; /* NULL: none */
	unsigned int id;
	bool closing, close_now;
	struct letter *letters; /* under way from here */
};

struct plain {
	int fd;
	unsigned int id;
	uint32_t drops; /* as the kernel has told */
};

/* A received datagram not yet released. */
struct kept {
	struct sc_conn *conn;
	unsigned int to;
	char *data;
	size_t len;
};

struct mail {
	struct model *model;
	uint32_t addr; /* of all sockets, network order */
	bool polite; /* no more is sent than a socket has room for: nothing may be lost */
	bool settled;
	struct box boxes[MAIL_BOXES];
	struct plain peers[MAIL_PEERS];
	struct kept kept[MAIL_KEPT];
	unsigned int kept_cnt;
	unsigned int id_cnt;
	struct sockaddr_in sockets[MAIL_IDS];
	struct way ways[MAIL_IDS][MAIL_IDS]; /* by sender and receiver */
	uint64_t next_last_ms; /* when the last datagrams may be sent again */
	uint64_t lost_live, lost_dead; /* datagrams to sockets that were open at the end, and others */
	cpu_set_t cpus; /* of the thread before */
};

/* Pins the thread to its CPU: what it sends by system calls is not overtaken on another one. */
void mail_open(struct mail *mail, struct model *model, uint32_t addr);
/* Sends, receives, opens or closes something. */
void mail_any(struct mail *mail);
/* false: of no socket here. */
bool mail_event(struct mail *mail, const struct sc_event *event);
/* One more turn towards the end; true when everything has come, or will not, and all is closed. */
bool mail_drain(struct mail *mail);
/* After that; the counters of all sessions. */
void mail_check(struct mail *mail, const struct sc_counters *counters);

#endif

/* SPDX-License-Identifier: MIT */
/* Datagram sockets: each datagram with the address it came from or goes to, several under way at a time. */
#ifndef LIBAPP_UDP_H
#define LIBAPP_UDP_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sc_conn;
struct sink;

void sc_udp_recv_prep(const struct sc_conn *conn, struct io_uring_sqe *sqe);
/* A datagram in a receive buffer, *len bytes with all that comes before it; *len becomes its own. false: it was nothing to tell. */
bool sc_udp_recv(struct sc_conn *conn, void *buf, size_t *len, struct sink *sink);

/* The request for the next send; sc_udp_tag is what its user_data has beside the connection's. */
void sc_udp_send_prep(struct sc_conn *conn, struct io_uring_sqe *sqe);
uint64_t sc_udp_tag(const struct sc_conn *conn);
void sc_udp_complete(struct sc_conn *conn, const struct io_uring_cqe *cqe, struct sink *sink);

/* Sends wait for a place in the queue. */
bool sc_udp_waits(const struct sc_conn *conn);
/* Sends have not ended. */
bool sc_udp_busy(const struct sc_conn *conn);
/* Ends those that have not, if it can. */
void sc_udp_cancel(struct sc_conn *conn);

void sc_udp_free(struct sc_conn *conn);

#endif

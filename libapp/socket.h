/* SPDX-License-Identifier: MIT */
/* Sockets made here, with the caller's rights, and bound to an address for one lane. */
#ifndef LIBAPP_SOCKET_H
#define LIBAPP_SOCKET_H

#include <stdint.h>

#include "address.h"

struct lane;

/* A bound socket of SOCK_STREAM or SOCK_DGRAM, the caller's to close, or -errno with a reason that begins with text and port. */
int sc_socket_bound(const struct lane *lane, int type, const struct address *address, const char *text, uint16_t port);

/* Keeps the reason why an address cannot be had, with the next step; returns -err. */
int sc_socket_refused(int err, const struct address *address, const char *text, uint16_t port);

#endif

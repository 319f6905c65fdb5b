/* SPDX-License-Identifier: MIT */
/* Addresses as callers write them: numeric IPv4 and IPv6, and paths of unix sockets. */
#ifndef LIBAPP_ADDRESS_H
#define LIBAPP_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

struct address {
	struct sockaddr_storage addr;
	socklen_t len;
};

/*
 * "10.1.2.3", "::1", "fe80::1%eth0" with the port, or "unix:/path" and "unix:@abstract" without. 0, or -EINVAL with a
 * reason.
 */
int sc_address_parse(const char *text, uint16_t port, struct address *ret);

/* The port; 0 for a unix socket. */
uint16_t sc_address_port(const struct address *address);

#endif

// SPDX-License-Identifier: MIT
// Text of a service to its numbers and back.
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec.h"

static const struct {
	const char *name;
	__u8 number;
} protocols[] = {
	{ "tcp", IPPROTO_TCP },
	{ "udp", IPPROTO_UDP },
};

#define PROTOCOL_CNT (sizeof(protocols) / sizeof(protocols[0]))

static int parse_port(const char *text, __be16 *ret_port)
{
	char *end;
	long port;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	port = strtol(text, &end, 10);
	if (*end || port < 1 || port > 65535)
		return -EINVAL;
	*ret_port = htons(port);
	return 0;
}

/* `text` is cut up. */
static int parse_address(char *text, struct sc_spec *spec)
{
	char *colon = strrchr(text, ':');
	size_t len;

	if (!colon)
		return parse_port(text, &spec->port);
	*colon = '\0';
	len = strlen(text);
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text[len - 1] = '\0';
		spec->family = SC_STEER_IPV6;
		if (inet_pton(AF_INET6, text + 1, spec->addr) != 1)
			return -EINVAL;
	} else {
		spec->family = SC_STEER_IPV4;
		if (inet_pton(AF_INET, text, spec->addr) != 1)
			return -EINVAL;
	}
	return parse_port(colon + 1, &spec->port);
}

int sc_spec_parse(const char *text, struct sc_spec *ret_spec)
{
	struct sc_spec spec = { 0 };
	char buf[SC_SPEC_LEN];
	size_t i, len;
	int err;

	for (i = 0; i < PROTOCOL_CNT; i++) {
		len = strlen(protocols[i].name);
		if (!strncmp(text, protocols[i].name, len) && text[len] == '/')
			break;
	}
	if (i == PROTOCOL_CNT || strlen(text) >= sizeof(buf))
		return -EINVAL;
	spec.protocol = protocols[i].number;
	strcpy(buf, text + len + 1);
	err = parse_address(buf, &spec);
	if (err)
		return err;
	*ret_spec = spec;
	return 0;
}

const char *sc_spec_format(const struct sc_spec *spec, char buf[SC_SPEC_LEN])
{
	const char *name = protocols[spec->protocol == IPPROTO_UDP].name;
	char addr[INET6_ADDRSTRLEN];

	if (spec->family == SC_STEER_IPV4)
		snprintf(buf, SC_SPEC_LEN, "%s/%s:%u", name, inet_ntop(AF_INET, spec->addr, addr, sizeof(addr)),
			 ntohs(spec->port));
	else if (spec->family == SC_STEER_IPV6)
		snprintf(buf, SC_SPEC_LEN, "%s/[%s]:%u", name, inet_ntop(AF_INET6, spec->addr, addr, sizeof(addr)),
			 ntohs(spec->port));
	else
		snprintf(buf, SC_SPEC_LEN, "%s/%u", name, ntohs(spec->port));
	return buf;
}

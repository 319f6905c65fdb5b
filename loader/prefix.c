// SPDX-License-Identifier: MIT
// Text of a prefix to its key in the lists and back.
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prefix.h"

static bool has_bits_beyond(const __be32 addr[4], int len)
{
	int bit;

	for (bit = len; bit < 128; bit++)
		if (ntohl(addr[bit / 32]) & 0x80000000U >> bit % 32)
			return true;
	return false;
}

static int parse_len(const char *text, int max, int *ret_len)
{
	char *end;
	long len;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	len = strtol(text, &end, 10);
	if (*end || len > max)
		return -EINVAL;
	*ret_len = len;
	return 0;
}

int sc_prefix_parse(const char *text, struct sc_list_key *ret_prefix)
{
	struct sc_list_key prefix = { 0 };
	char buf[SC_PREFIX_LEN], *slash;
	int len, max;

	if (strlen(text) >= sizeof(buf))
		return -EINVAL;
	strcpy(buf, text);
	slash = strchr(buf, '/');
	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, buf, prefix.addr) == 1)
		prefix.family = SC_STEER_IPV4;
	else if (inet_pton(AF_INET6, buf, prefix.addr) == 1)
		prefix.family = SC_STEER_IPV6;
	else
		return -EINVAL;
	max = prefix.family == SC_STEER_IPV4 ? 32 : 128;
	len = max;
	if (slash && parse_len(slash + 1, max, &len))
		return -EINVAL;
	if (has_bits_beyond(prefix.addr, len))
		return -EDOM;
	prefix.prefix_len = SC_LIST_FAMILY_BITS + len;
	*ret_prefix = prefix;
	return 0;
}

const char *sc_prefix_format(const struct sc_list_key *prefix, char buf[SC_PREFIX_LEN])
{
	int family = prefix->family == SC_STEER_IPV4 ? AF_INET : AF_INET6;
	char addr[INET6_ADDRSTRLEN];

	snprintf(buf, SC_PREFIX_LEN, "%s/%u", inet_ntop(family, prefix->addr, addr, sizeof(addr)),
		 prefix->prefix_len - SC_LIST_FAMILY_BITS);
	return buf;
}

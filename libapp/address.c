// SPDX-License-Identifier: MIT
/* Addresses as callers write them: numeric IPv4 and IPv6, and paths of unix sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "address.h"
#include "reason.h"

static int unix_parse(const char *path, struct address *ret)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret->addr;
	size_t len = strlen(path);

	if (!len || len >= sizeof(un->sun_path))
		return sc_reason_set(-EINVAL, "address 'unix:%.40s': the path has %zu bytes: use 1 to %zu", path, len,
				     sizeof(un->sun_path) - 1);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len);
	ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	if (*path == '@') { /* an abstract name begins with a zero byte and ends where the address ends */
		un->sun_path[0] = '\0';
		ret->len--;
	}
	return 0;
}

static bool in6_parse(const char *text, struct sockaddr_in6 *in6)
{
	const char *scope = strchr(text, '%');
	char host[INET6_ADDRSTRLEN];
	size_t len = scope ? (size_t)(scope - text) : strlen(text);

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
		return false;
	in6->sin6_scope_id = scope ? if_nametoindex(scope + 1) : 0;
	return !scope || in6->sin6_scope_id;
}

int sc_address_parse(const char *text, uint16_t port, struct address *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&ret->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->addr;

	memset(ret, 0, sizeof(*ret));
	if (!strncmp(text, "unix:", 5))
		return unix_parse(text + 5, ret);
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		ret->len = sizeof(*in);
		return 0;
	}
	if (in6_parse(text, in6)) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		ret->len = sizeof(*in6);
		return 0;
	}
	return sc_reason_set(-EINVAL,
			     "address '%.60s': not a numeric IPv4 or IPv6 address: use e.g. 0.0.0.0, ::, 10.0.0.1 or "
			     "unix:/path",
			     text);
}

uint16_t sc_address_port(const struct address *address)
{
	if (address->addr.ss_family == AF_UNIX)
		return 0;
	/* sin_port and sin6_port lie at the same place. */
	return ntohs(((const struct sockaddr_in *)&address->addr)->sin_port);
}

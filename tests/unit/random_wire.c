// SPDX-License-Identifier: MIT
/* The byte streams of the random test. */
#include "random_wire.h"

#include <string.h>

#include "app_peer.h"

void wire_fill(void *data, size_t len, uint64_t stream, uint64_t pos)
{
	uint32_t id = (uint32_t)stream;

	peer_pattern(data, len, stream, pos);
	for (; pos < WIRE_ID_LEN && len; pos++, len--, data = (char *)data + 1)
		memcpy(data, (char *)&id + pos, 1);
}

bool wire_is(const void *data, size_t len, uint64_t stream, uint64_t pos)
{
	const char *at = data;
	char want[4096];

	while (len) {
		size_t now = len < sizeof(want) ? len : sizeof(want);

		wire_fill(want, now, stream, pos);
		if (memcmp(at, want, now))
			return false;
		at += now;
		pos += now;
		len -= now;
	}
	return true;
}

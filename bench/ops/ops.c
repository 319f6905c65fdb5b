// SPDX-License-Identifier: MIT
/* What the servers of the benchmark of single operations share. */
#include <string.h>

#include "ops.h"

enum { ACCEPT_ONLY = 1 };

static const struct argp_option option_table[] = {
	{ "accept-only", ACCEPT_ONLY, NULL, 0, "Close each connection as soon as it is accepted", 2 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	bool *accept_only = state->input;

	(void)arg;
	if (key != ACCEPT_ONLY)
		return ARGP_ERR_UNKNOWN;
	*accept_only = true;
	return 0;
}

const struct argp sc_ops_argp = { .options = option_table, .parser = parse };

bool sc_ops_hello_read(struct sc_ops_hello *hello, const void *data, size_t len)
{
	if (len != sizeof(*hello))
		return false;
	memcpy(hello, data, sizeof(*hello));
	return hello->kind >= SC_OPS_ECHO && hello->kind <= SC_OPS_RECEIVE && hello->len &&
	       hello->len <= SC_OPS_LEN_MAX;
}

unsigned int sc_ops_ahead(uint32_t len)
{
	unsigned int cnt = SC_OPS_AHEAD / len;

	return cnt < SC_OPS_AHEAD_MIN ? SC_OPS_AHEAD_MIN : cnt > SC_OPS_AHEAD_MAX ? SC_OPS_AHEAD_MAX : cnt;
}

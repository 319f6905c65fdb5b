/* SPDX-License-Identifier: MIT */
/* The path a request target asks for: "/a%20b?x" and "http://host/a%20b" both ask for "/a b". */
#ifndef EXAMPLES_TARGET_H
#define EXAMPLES_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sc_target_limit {
	SC_TARGET_PATH_MAX = 255, /* bytes; a longer path is none of ours */
};

struct sc_target {
	uint8_t state;
	uint8_t high; /* first digit of a %XX that is not whole yet */
	bool bad; /* a broken or forbidden %XX */
	bool too_long;
	uint16_t path_len;
	char path[SC_TARGET_PATH_MAX]; /* decoded, not terminated */
};

/* The path itself is left as it is: this is on the way of every request. */
void sc_target_reset(struct sc_target *target);

/* Takes the next bytes, split anywhere. */
void sc_target_add(struct sc_target *target, const char *data, size_t len);

/* After the last byte. False: it is not a path (or one we cannot decode), as the "*" of OPTIONS. */
bool sc_target_finish(struct sc_target *target);

#ifdef __cplusplus
}
#endif
#endif

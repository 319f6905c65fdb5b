/* SPDX-License-Identifier: MIT */
/* A TCP listener as the baselines open it. */
#ifndef BENCH_LISTEN_H
#define BENCH_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A non-blocking socket that the caller closes, and the port it got; -errno after a message. share: others may listen
 * on the same port, the kernel divides connections among them.
 */
int sc_listen_open(const struct sc_listen_options *options, bool share, uint16_t *ret_port);

/* As many descriptors as this process may have: one per connection. */
void sc_listen_raise_files(void);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/* SIGTERM and SIGINT end a server, SIGPIPE does not. */
#ifndef EXAMPLES_SIGNALS_H
#define EXAMPLES_SIGNALS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Once, at start: from now on sc_signals_caught tells. */
void sc_signals_catch(void);
bool sc_signals_caught(void);

/* Or this: a descriptor that becomes readable. -errno if there is none. */
int sc_signals_fd(void);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/* Words for enum sc_reason. */
#ifndef SC_LOADER_REASONS_H
#define SC_LOADER_REASONS_H

#include <sidecore/steer.h>

/* "steered", and what it means; of a number this version does not know, "?". */
const char *sc_reason_name(int reason);
const char *sc_reason_help(int reason);

#endif

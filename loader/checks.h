/* SPDX-License-Identifier: MIT */
/* What would break a user although everything attached well. */
#ifndef SC_LOADER_CHECKS_H
#define SC_LOADER_CHECKS_H

#include "device.h"
#include "place.h"

/* Warns, a line each, with the command that helps. */
void sc_checks_warn(const struct sc_place *place, enum sc_mode mode);

#endif

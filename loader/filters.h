/* SPDX-License-Identifier: MIT */
/* What an interface drops of all packets alike, each by a module and a setting of its own. */
#ifndef SC_LOADER_FILTERS_H
#define SC_LOADER_FILTERS_H

#include <stdbool.h>

#include <sidecore/steer.h>

#include "wish.h"

enum sc_filter {
	SC_FILTER_VALIDITY,
	SC_FILTER_OPTIONS,
	SC_FILTER_FRAGMENTS,
	SC_FILTERS,
};

/* The setting, and its value while the module is on or off. */
const char *sc_filter_name(enum sc_filter filter);
const char *sc_filter_value(enum sc_filter filter, bool on);

bool sc_filter_is_on(enum sc_filter filter, __u32 modules);

/* Takes such a value. NULL, or what is wrong in a static buffer. */
const char *sc_filter_take(enum sc_filter filter, const char *value, enum sc_wish *wish);

/* The modules that are to be on, where `now` are. */
__u32 sc_filters_modules(const enum sc_wish wishes[SC_FILTERS], __u32 now);

#endif

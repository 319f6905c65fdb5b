// SPDX-License-Identifier: MIT
// The settings of what an interface drops of all packets alike.
#include <stdio.h>
#include <string.h>

#include "filters.h"

static const struct {
	const char *name, *off, *on;
	__u32 module;
} filters[SC_FILTERS] = {
	[SC_FILTER_VALIDITY] = { "validity", "off", "on", SC_MODULE_VALIDITY },
	[SC_FILTER_OPTIONS] = { "options", "pass", "drop", SC_MODULE_OPTIONS },
	[SC_FILTER_FRAGMENTS] = { "fragments", "pass", "drop", SC_MODULE_FRAGMENTS },
};

const char *sc_filter_name(enum sc_filter filter)
{
	return filters[filter].name;
}

const char *sc_filter_value(enum sc_filter filter, bool on)
{
	return on ? filters[filter].on : filters[filter].off;
}

bool sc_filter_is_on(enum sc_filter filter, __u32 modules)
{
	return modules & filters[filter].module;
}

const char *sc_filter_take(enum sc_filter filter, const char *value, enum sc_wish *wish)
{
	static char why[64];

	if (!strcmp(value, filters[filter].on)) {
		*wish = SC_WISH_ON;
	} else if (!strcmp(value, filters[filter].off)) {
		*wish = SC_WISH_OFF;
	} else {
		snprintf(why, sizeof(why), "not one of %s, %s", filters[filter].on, filters[filter].off);
		return why;
	}
	return NULL;
}

__u32 sc_filters_modules(const enum sc_wish wishes[SC_FILTERS], __u32 now)
{
	int i;

	for (i = 0; i < SC_FILTERS; i++) {
		if (wishes[i] == SC_WISH_ON)
			now |= filters[i].module;
		else if (wishes[i] == SC_WISH_OFF)
			now &= ~filters[i].module;
	}
	return now;
}

/* SPDX-License-Identifier: MIT */
/* Features of the kernel, each tried and none concluded from a version. */
#ifndef SC_LOADER_PROBE_H
#define SC_LOADER_PROBE_H

#include <stdbool.h>

struct sc_probe {
	const char *name;
	const char *use; /* what Sidecore does with it */
	bool (*run)(void);
};

/* Ends with a NULL name. Probes need the rights to load programs. */
extern const struct sc_probe sc_probes[];

#endif

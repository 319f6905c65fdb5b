/* SPDX-License-Identifier: MIT */
/* Modules of the steering program, switched while it runs, and the ports that they spare. */
#ifndef SC_LOADER_MODULES_H
#define SC_LOADER_MODULES_H

#include <stdbool.h>

#include "pins.h"
#include "spec.h"

/* Each takes effect with the next packet. 0 or -errno. */
int sc_modules_get(const struct sc_pins *pins, __u32 *ret_modules);
int sc_modules_switch(const struct sc_pins *pins, enum sc_module module, bool on);

/* Both families; the spec has no address. 0 or -errno. */
int sc_modules_spare(const struct sc_pins *pins, const struct sc_spec *spec, bool spared);

/* Writes up to max ports that are spared to ret_specs; returns how many there are, or -errno. */
int sc_modules_spared(const struct sc_pins *pins, struct sc_spec *ret_specs, int max);

#endif

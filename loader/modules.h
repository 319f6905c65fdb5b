/* SPDX-License-Identifier: MIT */
/* Modules of the programs, switched while packets flow, and the ports that they spare. */
#ifndef SC_LOADER_MODULES_H
#define SC_LOADER_MODULES_H

#include <stdbool.h>

#include "pins.h"
#include "place.h"
#include "spec.h"

/* All modules, in the order of their bits; the table ends with a NULL name. */
struct sc_module_name {
	const char *name;
	__u32 module;
};

extern const struct sc_module_name sc_module_names[];

/* Modules that are on in a loaded program. 0; -EPROTO: another version's; else -errno. */
int sc_modules_of(int program, __u32 *ret_modules);

/* Modules that are on in the program that runs on the device. Errors as above. */
int sc_modules_get(const struct sc_pins *pins, __u32 *ret_modules);

/* Those of them that programs in its place are to have: all but samples whose reader was killed. Errors as above. */
int sc_modules_keep(const struct sc_place *place, const struct sc_pins *pins, __u32 *ret_modules);

/*
 * Switches modules, some off and some on, for the next packet: if they are not so already, by programs that are
 * loaded for it, which *pins holds then. Says why it fails; then all is as before. 0 or -errno.
 */
int sc_modules_change(const struct sc_place *place, struct sc_pins *pins, __u32 off, __u32 on);

/* The same of modules that all go one way. */
int sc_modules_switch(const struct sc_place *place, struct sc_pins *pins, __u32 modules, bool on);

/* Both families; the spec has no address. 0 or -errno. */
int sc_modules_spare(const struct sc_pins *pins, const struct sc_spec *spec, bool spared);

/* Writes up to max ports that are spared to ret_specs; returns how many there are, or -errno. */
int sc_modules_spared(const struct sc_pins *pins, struct sc_spec *ret_specs, int max);

#endif

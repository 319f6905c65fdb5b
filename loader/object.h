/* SPDX-License-Identifier: MIT */
/* The BPF programs and maps that this binary carries. */
#ifndef SC_LOADER_OBJECT_H
#define SC_LOADER_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "device.h"
#include "pins.h"

/*
 * Loads the programs for native or skb mode, which cannot share a CPU map, with these modules on. Maps that *pins has open are
 * used, the others are made; afterwards *pins holds all maps and the new programs, whatever programs it held are closed. Its link is not
 * touched. 0 or -errno; the caller closes *pins anyway.
 */
int sc_object_load(struct sc_pins *pins, enum sc_mode mode, __u32 modules);

/*
 * Closes the maps of *pins that this version has in another shape: sc_object_load() will make them anew, and those that an
 * older one did not have. The names of both go to ret_names, with spaces between. 0 or -errno.
 */
int sc_object_drop_unfit(struct sc_pins *pins, char *ret_names, size_t len);

/* Whether this kernel has AF_XDP sockets. Where it has not, map `sockets` is of another type and takes none. */
bool sc_object_has_sockets(void);

/* All modules that this kernel can run. */
__u32 sc_object_modules(void);

#endif

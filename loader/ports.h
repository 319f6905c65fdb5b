/* SPDX-License-Identifier: MIT */
/* Marks on ports: bits of enum sc_port_word beside those that index services. */
#ifndef SC_LOADER_PORTS_H
#define SC_LOADER_PORTS_H

#include <stdbool.h>

#include "pins.h"
#include "spec.h"

/* Sets or takes away a mark, in both families unless the spec has one; it has no address. 0 or -errno. */
int sc_ports_mark(const struct sc_pins *pins, const struct sc_spec *spec, enum sc_port_word mark, bool on);

/* Whether it has the mark, in any family of the spec. */
bool sc_ports_has(const struct sc_pins *pins, const struct sc_spec *spec, enum sc_port_word mark);

/* Writes up to max ports with that mark, in one family or both, to ret_specs; returns their number, or -errno. */
int sc_ports_marked(const struct sc_pins *pins, enum sc_port_word mark, struct sc_spec *ret_specs, int max);

#endif

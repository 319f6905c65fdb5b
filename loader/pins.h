/* SPDX-License-Identifier: MIT */
/* What is pinned for one interface, as open descriptors. */
#ifndef SC_LOADER_PINS_H
#define SC_LOADER_PINS_H

#include <stdbool.h>

#include <sidecore/steer.h>

struct sc_pins {
	int link;
	int steer; /* program on the device */
	int on_cpu; /* program for entries of cpus */
#define SC_PINS_FIELD(name, help) int name;
	SC_STEER_PINS(SC_PINS_FIELD)
#undef SC_PINS_FIELD
};

/* All descriptors -1. */
void sc_pins_init(struct sc_pins *pins);

/* Whether all are open. */
bool sc_pins_are_whole(const struct sc_pins *pins);

/* Closes what is open. */
void sc_pins_close(struct sc_pins *pins);

/*
 * Opens all pins below dir. -ENOENT: not attached (nothing there, or an attach that did not come to its end); -ENODEV:
 * its device is gone; -ESTALE: pinned by an older version, whose place upgrade can take; -EPROTO: pinned by a version with
 * another layout; else -errno.
 */
int sc_pins_open(struct sc_pins *pins, const char *dir);

/* The same, but with -ESTALE all is open that there was then. */
int sc_pins_open_older(struct sc_pins *pins, const char *dir);

/* Pins maps and programs below dir, which must exist. 0 or -errno. */
int sc_pins_store(const struct sc_pins *pins, const char *dir);

/* Puts the programs in the place of the pinned ones, each at once. 0 or -errno. */
int sc_pins_replace_programs(const struct sc_pins *pins, const char *dir);

/* Puts programs and maps in the place of the pinned ones. 0 or -errno. */
int sc_pins_replace(const struct sc_pins *pins, const char *dir);

/* Pins the link: from here on the interface counts as attached. 0 or -errno. */
int sc_pins_store_link(const struct sc_pins *pins, const char *dir);

/* Opens the program that the link runs now. A descriptor, or -errno. */
int sc_link_program(int link);

/* Whether a link's device still exists. */
bool sc_link_is_alive(int link);

#endif

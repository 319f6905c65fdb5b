/* SPDX-License-Identifier: MIT */
/* Other programs in the place of those that run, between two packets: the maps stay, so nothing is forgotten. */
#ifndef SC_LOADER_SWAP_H
#define SC_LOADER_SWAP_H

#include <stdbool.h>

#include "pins.h"
#include "place.h"

/* The programs that were in use before a swap, to go back to. */
struct sc_swap {
	int steer;
	int on_cpu;
	bool maps_differ; /* from those of the programs after it */
};

/*
 * Loads the programs of this binary with these modules on, and maps that *pins lacks, and puts them in use: on the device, in the entries of the
 * CPU map if theirs is another, in the pins; *pins holds them then. Says why it fails; then those before run on, also in *pins. 0
 * or -errno; sc_swap_exit() after 0.
 */
int sc_swap_init(struct sc_swap *swap, const struct sc_place *place, struct sc_pins *pins, __u32 modules);

/* Puts the programs before in use again; sc_swap_exit() is due all the same. Says why it fails. 0 or -errno. */
int sc_swap_undo(struct sc_swap *swap, const struct sc_place *place, struct sc_pins *pins);

void sc_swap_exit(struct sc_swap *swap);

#endif

/* SPDX-License-Identifier: MIT */
/* How an interface was before a change, and the way back. */
#ifndef SC_LOADER_UNDO_H
#define SC_LOADER_UNDO_H

#include "pins.h"
#include "place.h"
#include "plan.h"
#include "swap.h"

struct sc_undo {
	bool was_attached; /* and is remembered; else the way back is to detach */
	bool has_plan;
	struct sc_plan plan; /* services, spared ports, CPUs, lists, limits as they were */
	unsigned int tuned; /* parts that were */
	struct sc_swap swap; /* the programs before; -1: none were exchanged yet */
};

/* Nothing to go back to yet. */
void sc_undo_init(struct sc_undo *undo);
void sc_undo_exit(struct sc_undo *undo);

/* Takes down how an attached interface is now, as far as the next plan touches it. Says why it fails. 0 or -errno. */
int sc_undo_remember(struct sc_undo *undo, const struct sc_place *place, const struct sc_pins *pins,
		     const struct sc_plan *next);

/* Goes back; *pins are open, and closed where that means to detach. Says why it fails. 0 or -errno. */
int sc_undo_run(struct sc_undo *undo, const struct sc_place *place, struct sc_pins *pins);

#endif

/* SPDX-License-Identifier: MIT */
/* What attach does to a device. */
#ifndef SC_LOADER_INSTALL_H
#define SC_LOADER_INSTALL_H

#include "pins.h"
#include "place.h"
#include "plan.h"
#include "undo.h"

/*
 * Carries the plan out: attaches to a free device with all maps filled before, or changes one that is attached without
 * losing a packet. Then *pins is open and the mode that was got in *ret_mode. Never displaces another's program. Says why it
 * fails; then all is as before. 0 or -errno; the caller closes *pins anyway. *undo, initialized before, is the way back from there.
 */
int sc_install(const struct sc_place *place, struct sc_pins *pins, const struct sc_plan *plan, enum sc_mode *ret_mode,
	       struct sc_undo *undo);

/*
 * All of that but pins and device: the same refusals, programs loaded, maps of its own filled. *ret_attached: it would change
 * one that is attached. 0 or -errno; the caller closes *pins, which must be initialized.
 */
int sc_install_try(const struct sc_place *place, struct sc_pins *pins, const struct sc_plan *plan,
		   enum sc_mode *ret_mode, bool *ret_attached);

#endif

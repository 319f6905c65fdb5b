/* SPDX-License-Identifier: MIT */
/* What attach would do, shown instead of done. */
#ifndef SC_LOADER_TRIAL_H
#define SC_LOADER_TRIAL_H

#include <stdbool.h>

#include "install.h"

/*
 * Makes the checks of attach, has the kernel verify the programs and fills maps of its own; then shows them and lets them go.
 * Whether the driver takes the program is known only by attaching. Says why it fails. 0 or -errno.
 */
int sc_trial(const struct sc_place *place, const struct sc_plan *plan, bool json);

#endif

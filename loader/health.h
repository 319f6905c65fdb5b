/* SPDX-License-Identifier: MIT */
/* Whether steering still works with other programs: counters of before, beside those of after. */
#ifndef SC_LOADER_HEALTH_H
#define SC_LOADER_HEALTH_H

#include "pins.h"
#include "place.h"

/* Packets that came in one stretch of time. */
struct sc_traffic {
	__u64 received;
	__u64 steered;
	__u64 arrived;
	__u64 no_entry;
};

struct sc_health {
	double seconds; /* of the check; before, half of it is measured */
	struct sc_traffic before;
	struct sc_traffic after; /* in the second half of the check */
};

/* Measures the time before. 0; -EINTR: asked to end, see signals.h; else -errno, then said why. */
int sc_health_init(struct sc_health *health, const struct sc_place *place, const struct sc_pins *pins, double seconds);

/*
 * Measures the time after and judges: NULL, or what is wrong in a static buffer. The program on the device must be
 * pins->steer. If packets came before, some must come in the second half; of those that are steered then some must arrive; and none
 * may miss its CPU's entry if none did before.
 */
const char *sc_health_judge(struct sc_health *health, const struct sc_place *place, const struct sc_pins *pins);

#endif

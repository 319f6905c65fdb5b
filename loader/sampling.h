/* SPDX-License-Identifier: MIT */
/* Samples of the packets on an interface, as they come. */
#ifndef SC_LOADER_SAMPLING_H
#define SC_LOADER_SAMPLING_H

#include <stdbool.h>

#include "pins.h"
#include "place.h"

struct sc_sampling_run {
	void *ring; /* struct ring_buffer */
	int samples; /* the map behind it */
	struct sc_sampling *setting; /* mapped */
	int dir; /* locked: one reader at a time */
	bool discard; /* nobody wants what comes */
	int (*show)(const struct sc_sample *sample, void *context);
	void *context;
};

/*
 * Begins to take one packet in `every` as a sample; from then on sc_sampling_poll() gives each to show(), until that
 * returns nonzero. Says why it fails. 0 or -errno; sc_sampling_exit() after 0. pins and lock may be let go of meanwhile.
 */
int sc_sampling_init(struct sc_sampling_run *run, const struct sc_place *place, struct sc_pins *pins, __u32 every,
		     int (*show)(const struct sc_sample *sample, void *context), void *context);

/* Waits up to timeout_ms. Sampling ends some seconds after the last call. 0, what show() returned, or -errno. */
int sc_sampling_poll(struct sc_sampling_run *run, int timeout_ms);

/*
 * Whether a process that lives reads samples. Of one that was killed the programs have ended to take samples after some
 * seconds, but still ask. With the lock.
 */
bool sc_sampling_is_watched(const struct sc_place *place);

/* Samples that were lost until now, because the reader was too slow. */
__u64 sc_sampling_lost(const struct sc_sampling_run *run);

/*
 * Ends it, with the lock, and gives show() what is in the ring still unless run->discard. pins: open again, or NULL if the
 * interface is not attached any more. Says why it fails. 0 or -errno.
 */
int sc_sampling_exit(struct sc_sampling_run *run, const struct sc_place *place, struct sc_pins *pins);

#endif

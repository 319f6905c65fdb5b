/* SPDX-License-Identifier: MIT */
/* Readings of one interface or of all that are attached, at a pace: what `stats` and `top` share. */
#ifndef SC_LOADER_SURVEY_H
#define SC_LOADER_SURVEY_H

#include <jansson.h>
#include <stdio.h>

#include "reading.h"
#include "target.h"

/* How often; input of sc_pace_argp, an extra of struct sc_target. */
struct sc_pace {
	double interval_s;
	unsigned int count; /* 0: without end */
};

extern const struct argp sc_pace_argp;

struct sc_survey {
	int cnt;
	struct sc_reading *readings;
};

/*
 * Reads target->ifname, or all attached interfaces of this network namespace. Holds the lock and the pins meanwhile only:
 * whoever detaches is not kept waiting, and an open link would keep the program on the device. Says why it fails. 0 or -errno;
 * sc_survey_exit() after 0, and before the next.
 */
int sc_survey_init(struct sc_survey *survey, const struct sc_target *target);
void sc_survey_exit(struct sc_survey *survey);

/* Shows the rates between two surveys of the interfaces that are in both. */
void sc_survey_text(const struct sc_survey *now, const struct sc_survey *before, FILE *out);

/* The same as a document of one line on stdout. 0 or -errno, then said why. */
int sc_survey_json(const struct sc_survey *now, const struct sc_survey *before);

#endif

/* SPDX-License-Identifier: MIT */
/* Rates of one interface, by reason, by service and by CPU. */
#ifndef SC_LOADER_RATES_H
#define SC_LOADER_RATES_H

#include <jansson.h>
#include <stdio.h>

#include "reading.h"

/* now: totals; difference: what came up to them. Rows without a packet yet are left out. */
void sc_rates_text(const struct sc_reading *now, const struct sc_reading *difference, FILE *out);

/* All rows of reasons and services, and the CPUs that have seen a packet. NULL without memory. */
json_t *sc_rates_json(const struct sc_reading *now, const struct sc_reading *difference);

#endif

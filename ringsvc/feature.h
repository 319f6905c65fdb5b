/* SPDX-License-Identifier: MIT */
/* What this kernel can do, found out by trying. */
#ifndef RINGSVC_FEATURE_H
#define RINGSVC_FEATURE_H

#include "config.h"

/*
 * Tries all that engines stand on, as they will: without capabilities. Fills config->features. 0, or -errno with the
 * reason logged. Opens and closes rings on the configured cores.
 */
int sc_feature_probe(struct sc_config *config);

#endif

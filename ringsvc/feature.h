/* SPDX-License-Identifier: MIT */
/* What this kernel can do, found out by trying. */
#ifndef RINGSVC_FEATURE_H
#define RINGSVC_FEATURE_H

#include "config.h"

/*
 * Tries all that engines stand on, as they will: without capabilities. Fills config->features. false: something is
 * missing, and the log says what. Opens and closes rings on the configured cores.
 */
bool sc_feature_probe(struct sc_config *config);

#endif

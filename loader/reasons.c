// SPDX-License-Identifier: MIT
// The words for reasons, from the list that the programs count by.
#include "reasons.h"

static const struct {
	const char *name;
	const char *help;
} reasons[SC_REASON_CNT] = {
#define REASON(constant, name, help) [SC_REASON_##constant] = { #name, help },
	SC_REASONS(REASON)
#undef REASON
};

const char *sc_reason_name(int reason)
{
	return reason >= 0 && reason < SC_REASON_CNT ? reasons[reason].name : "?";
}

const char *sc_reason_help(int reason)
{
	return reason >= 0 && reason < SC_REASON_CNT ? reasons[reason].help : "?";
}

/* SPDX-License-Identifier: MIT */
/* Numbers below /proc/sys. */
#ifndef SC_LOADER_SYSCTL_H
#define SC_LOADER_SYSCTL_H

#include <stdbool.h>

/* By its path below /proc/sys. false: not known, and some are only in the first network namespace. */
bool sc_sysctl_read(const char *path, long *ret_value);

#endif

// SPDX-License-Identifier: MIT
// Reads numbers below /proc/sys.
#include <stdio.h>

#include "sysctl.h"

bool sc_sysctl_read(const char *path, long *ret_value)
{
	char full[128];
	bool found;
	FILE *file;

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	file = fopen(full, "re");
	if (!file)
		return false;
	found = fscanf(file, "%ld", ret_value) == 1;
	fclose(file);
	return found;
}

// SPDX-License-Identifier: MIT
// Reads lists of CPUs.
#include "cpulist.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static int parse_number(const char **text)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)**text)) // strtoul would take blanks and signs
		return -EINVAL;
	errno = 0;
	value = strtoul(*text, &end, 10);
	if (errno || value > SC_CPU_MAX)
		return -ERANGE;
	*text = end;
	return value;
}

static int parse_range(const char **text, bool *set)
{
	int first, last;

	first = last = parse_number(text);
	if (first < 0)
		return first;
	if (**text == '-') {
		++*text;
		last = parse_number(text);
		if (last < 0)
			return last;
		if (last < first)
			return -EINVAL;
	}
	while (first <= last)
		set[first++] = true;
	return 0;
}

int sc_cpulist_parse(const char *text, unsigned int *cpus, unsigned int max)
{
	bool set[SC_CPU_MAX + 1] = { false };
	unsigned int cnt = 0;
	int err;

	for (;; text++) {
		err = parse_range(&text, set);
		if (err)
			return err;
		if (!*text)
			break;
		if (*text != ',')
			return -EINVAL;
	}
	for (unsigned int cpu = 0; cpu <= SC_CPU_MAX; cpu++) {
		if (!set[cpu])
			continue;
		if (cnt == max)
			return -E2BIG;
		cpus[cnt++] = cpu;
	}
	return cnt;
}

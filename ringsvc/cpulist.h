/* SPDX-License-Identifier: MIT */
/* CPU lists as the kernel writes them: "1", "2-3", "1,4-6". */
#ifndef RINGSVC_CPULIST_H
#define RINGSVC_CPULIST_H

enum { SC_CPU_MAX = 1023 };

/*
 * Parses text into cpus[], ascending, each CPU once. Returns how many, or -EINVAL: not a list; -ERANGE: a number beyond
 * SC_CPU_MAX; -E2BIG: more than max.
 */
int sc_cpulist_parse(const char *text, unsigned int *cpus, unsigned int max);

#endif

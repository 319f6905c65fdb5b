/* SPDX-License-Identifier: MIT */
/* CPU lists as the kernel writes them: "1,3-5". */
#ifndef SC_LOADER_CPULIST_H
#define SC_LOADER_CPULIST_H

#include <sched.h>
#include <stddef.h>

/* Room for the text of any list that fits a command line. */
#define SC_CPULIST_LEN 512

/* 0; -EINVAL: not a list, or empty; -ERANGE: a CPU number beyond what a cpu_set_t holds. */
int sc_cpulist_parse(const char *text, cpu_set_t *ret_set);

/* Writes the list, cut at len bytes; returns buf. */
const char *sc_cpulist_format(const cpu_set_t *set, char *buf, size_t len);

/* CPUs that are online now. 0 or -errno. */
int sc_cpulist_online(cpu_set_t *ret_set);

#endif

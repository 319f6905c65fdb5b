// SPDX-License-Identifier: MIT
// CPU lists: parsing, printing, and the one the kernel keeps of online CPUs.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpulist.h"

static int parse_number(const char **text, unsigned long *ret_cpu)
{
	char *end;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	errno = 0;
	*ret_cpu = strtoul(*text, &end, 10);
	if (errno || *ret_cpu >= CPU_SETSIZE)
		return -ERANGE;
	*text = end;
	return 0;
}

/* One number or range; leaves *text behind it. */
static int parse_range(const char **text, cpu_set_t *set)
{
	unsigned long first, last, cpu;
	int err = parse_number(text, &first);

	if (err)
		return err;
	last = first;
	if (**text == '-') {
		(*text)++;
		err = parse_number(text, &last);
		if (err)
			return err;
	}
	if (last < first)
		return -EINVAL;
	for (cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, set);
	return 0;
}

int sc_cpulist_parse(const char *text, cpu_set_t *ret_set)
{
	cpu_set_t set;
	int err;

	CPU_ZERO(&set);
	for (;;) {
		err = parse_range(&text, &set);
		if (err)
			return err;
		if (!*text)
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	*ret_set = set;
	return 0;
}

const char *sc_cpulist_format(const cpu_set_t *set, char *buf, size_t len)
{
	size_t used = 0;
	int cpu, last;

	buf[0] = '\0';
	for (cpu = 0; cpu < CPU_SETSIZE && used < len; cpu = last + 1) {
		last = cpu;
		if (!CPU_ISSET(cpu, set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		used += snprintf(buf + used, len - used, last > cpu ? "%s%d-%d" : "%s%d", used ? "," : "", cpu, last);
	}
	return buf;
}

int sc_cpulist_online(cpu_set_t *ret_set)
{
	FILE *file = fopen("/sys/devices/system/cpu/online", "re");
	char line[SC_CPULIST_LEN];
	int err = 0;

	if (!file)
		return -errno;
	if (!fgets(line, sizeof(line), file))
		err = -EIO;
	fclose(file);
	if (err)
		return err;
	line[strcspn(line, "\n")] = '\0';
	return sc_cpulist_parse(line, ret_set);
}

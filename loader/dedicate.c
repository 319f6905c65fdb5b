// SPDX-License-Identifier: MIT
// Checks CPUs that are to be dedicated and sets the priority of their kernel threads.
#include <errno.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "cpulist.h"
#include "dedicate.h"
#include "kthread.h"
#include "log.h"

int sc_dedicate_check(const cpu_set_t *cpus)
{
	int possible = libbpf_num_possible_cpus(), cpu, err;
	char list[SC_CPULIST_LEN];
	cpu_set_t online;

	err = sc_cpulist_online(&online);
	if (err) {
		sc_error("/sys/devices/system/cpu/online: %s; mount sysfs on /sys", strerror(-err));
		return err;
	}
	sc_cpulist_format(&online, list, sizeof(list));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, cpus) || CPU_ISSET(cpu, &online))
			continue;
		if (cpu >= possible)
			sc_error("CPU %d: this machine has none of that number; choose from %s", cpu, list);
		else
			sc_error("CPU %d: offline, packets sent to it would be lost; choose from %s", cpu, list);
		return -ENODEV;
	}
	return 0;
}

void sc_dedicate_set_fifo(const struct sc_pins *pins, const cpu_set_t *cpus)
{
	int err = sc_kthread_set_fifo(pins->cpus, cpus);

	if (err)
		sc_warn("cpumap kernel threads: no real-time priority: %s; run chrt -f -p 1 PID on each outside containers, or "
			"give --no-fifo",
			strerror(-err));
}

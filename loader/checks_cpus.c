// SPDX-License-Identifier: MIT
// Checks of the dedicated CPUs of an attached interface.
#include <errno.h>
#include <stdio.h>

#include "checks.h"
#include "cpulist.h"
#include "kthread.h"
#include "steering.h"

static void check_thread(const char *ifname, const struct sc_pins *pins, const char *list, int cpu,
			 struct sc_diagnosis *diagnosis)
{
	int policy = sc_kthread_policy(pins->cpus, cpu);
	char name[32];

	snprintf(name, sizeof(name), "CPU %d", cpu);
	if (policy == -ESRCH)
		sc_diagnosis_add(diagnosis, SC_GRADE_NOTE, name,
				 "the thread of its CPU map entry cannot be seen from here; run it outside containers");
	else if (policy == SCHED_FIFO)
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, name, "dedicated, its CPU map thread has real-time priority");
	else if (sc_kthread_poller_on(cpu))
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, name,
				 "a poller of an io_uring spins there, and packets wait for their share beside it; run "
				 "sidecore-loader cpus %s %s, without --no-fifo",
				 ifname, list);
	else
		sc_diagnosis_add(
			diagnosis, SC_GRADE_NOTE, name,
			"its CPU map thread has normal priority, which a poller on the same CPU would hold up; run "
			"sidecore-loader cpus %s %s, without --no-fifo",
			ifname, list);
}

/* false: there is nothing more to look at. */
static bool check_serves(int cpu, const char *ifname, const cpu_set_t *online, unsigned int slots,
			 struct sc_diagnosis *diagnosis)
{
	char name[32], list[SC_CPULIST_LEN];

	snprintf(name, sizeof(name), "CPU %d", cpu);
	if (!CPU_ISSET(cpu, online)) {
		sc_diagnosis_add(
			diagnosis, SC_GRADE_PROBLEM, name,
			"dedicated, but offline: packets sent to it are lost; run sidecore-loader cpus %s LIST with "
			"some of %s",
			ifname, sc_cpulist_format(online, list, sizeof(list)));
		return false;
	}
	if (!slots)
		sc_diagnosis_add(
			diagnosis, SC_GRADE_NOTE, name,
			"dedicated, but no packet is sent to it; run sidecore-loader cpus %s LIST, unless a balancer "
			"keeps it idle",
			ifname);
	return true;
}

static void check_overlap(const char *ifname, const cpu_set_t *cpus, const cpu_set_t *online,
			  struct sc_diagnosis *diagnosis)
{
	cpu_set_t both;

	CPU_AND(&both, cpus, online);
	if (CPU_EQUAL(&both, online))
		sc_diagnosis_add(
			diagnosis, SC_GRADE_NOTE, "CPUs",
			"every CPU is dedicated, so applications share theirs with CPU map threads of real-time "
			"priority; leave some out by sidecore-loader cpus %s LIST",
			ifname);
}

void sc_checks_cpus(const struct sc_place *place, const struct sc_pins *pins, struct sc_diagnosis *diagnosis)
{
	unsigned int slots[CPU_SETSIZE] = { 0 };
	char list[SC_CPULIST_LEN];
	struct sc_steering table;
	cpu_set_t cpus, online;
	int cpu, slot;

	if (sc_steering_get_cpus(pins, &cpus) || sc_steering_read(pins, &table) || sc_cpulist_online(&online)) {
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, "CPUs",
				 "cannot be read from maps and /sys; mount sysfs on /sys, or detach and attach again");
		return;
	}
	for (slot = 0; slot < SC_STEER_SLOTS; slot++)
		if (table.cpus[slot] < CPU_SETSIZE)
			slots[table.cpus[slot]]++;
	sc_cpulist_format(&cpus, list, sizeof(list));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus) && check_serves(cpu, place->ifname, &online, slots[cpu], diagnosis))
			check_thread(place->ifname, pins, list, cpu, diagnosis);
	check_overlap(place->ifname, &cpus, &online, diagnosis);
}

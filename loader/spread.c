// SPDX-License-Identifier: MIT
// Deals the slots of the indirection table out to CPUs, evenly and with few moves.
#include <stdbool.h>
#include <string.h>

#include "spread.h"

struct shares {
	unsigned int held[CPU_SETSIZE]; /* slots the CPU has now */
	unsigned int quota[CPU_SETSIZE]; /* slots it may have */
};

static bool is_served(__u32 cpu, const cpu_set_t *set)
{
	return cpu < CPU_SETSIZE && CPU_ISSET(cpu, set);
}

/* The slots that do not divide evenly go first to CPUs that hold them already. */
static void set_quotas(struct shares *shares, const cpu_set_t *set)
{
	unsigned int cnt = CPU_COUNT(set), base = SC_STEER_SLOTS / cnt, extra = SC_STEER_SLOTS % cnt;
	int cpu, pass;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		shares->quota[cpu] = CPU_ISSET(cpu, set) ? base : 0;
	for (pass = 0; pass < 2; pass++) {
		for (cpu = 0; cpu < CPU_SETSIZE && extra; cpu++) {
			if (!CPU_ISSET(cpu, set) || shares->quota[cpu] > base || (!pass && shares->held[cpu] <= base))
				continue;
			shares->quota[cpu]++;
			extra--;
		}
	}
}

void sc_spread(__u32 slots[SC_STEER_SLOTS], const cpu_set_t *set)
{
	struct shares shares = { 0 };
	__u32 cpu = 0;
	int slot;

	if (!CPU_COUNT(set)) {
		memset(slots, 0xff, SC_STEER_SLOTS * sizeof(slots[0]));
		return;
	}
	for (slot = 0; slot < SC_STEER_SLOTS; slot++)
		if (is_served(slots[slot], set))
			shares.held[slots[slot]]++;
	set_quotas(&shares, set);
	memset(shares.held, 0, sizeof(shares.held));
	for (slot = 0; slot < SC_STEER_SLOTS; slot++) {
		if (is_served(slots[slot], set) && shares.held[slots[slot]] < shares.quota[slots[slot]])
			shares.held[slots[slot]]++;
		else
			slots[slot] = SC_STEER_NO_CPU;
	}
	for (slot = 0; slot < SC_STEER_SLOTS; slot++) {
		if (slots[slot] != SC_STEER_NO_CPU)
			continue;
		while (shares.held[cpu] >= shares.quota[cpu])
			cpu++;
		slots[slot] = cpu;
		shares.held[cpu]++;
	}
}

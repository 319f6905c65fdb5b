// SPDX-License-Identifier: MIT
// Keeps one poller per dedicated core.
#include "cores.h"

#include "lane.h"

void sc_cores_init(struct sc_cores *cores, const struct sc_config *config)
{
	*cores = (struct sc_cores){ .config = config };
	for (unsigned int i = 0; i < SC_LANES_MAX; i++)
		cores->anchors[i] = -1;
}

unsigned int sc_cores_first(struct sc_cores *cores, unsigned int lane_cnt)
{
	unsigned int first = cores->next;

	if (lane_cnt == cores->config->cpu_cnt)
		return 0;
	cores->next = (first + lane_cnt) % cores->config->cpu_cnt;
	return first;
}

int sc_cores_anchor(struct sc_cores *cores, unsigned int idx)
{
	int ring = cores->anchors[idx];

	if (ring >= 0)
		return ring;
	ring = sc_anchor_open(cores->config->cpus[idx], cores->config->idle_ms);
	if (ring >= 0)
		cores->anchors[idx] = ring;
	return ring;
}

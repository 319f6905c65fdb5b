// SPDX-License-Identifier: MIT
// Switches modules in the pinned maps, and marks ports that they never drop.
#include <errno.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "modules.h"
#include "steering.h"

int sc_modules_get(const struct sc_pins *pins, __u32 *ret_modules)
{
	struct sc_steering table;
	int err;

	err = sc_steering_read(pins, &table);
	if (!err)
		*ret_modules = table.modules;
	return err;
}

int sc_modules_switch(const struct sc_pins *pins, enum sc_module module, bool on)
{
	struct sc_steering table;
	__u32 key = 0;
	int err;

	err = sc_steering_read(pins, &table);
	if (err)
		return err;
	table.modules = on ? table.modules | module : table.modules & ~module;
	return bpf_map_update_elem(pins->steering, &key, &table, BPF_ANY) ? -errno : 0;
}

int sc_modules_spare(const struct sc_pins *pins, const struct sc_spec *spec, bool spared)
{
	const int words[] = { SC_PORT_INDEX(SC_STEER_IPV4, spec->protocol),
			      SC_PORT_INDEX(SC_STEER_IPV6, spec->protocol) };
	__u32 port = ntohs(spec->port);
	struct sc_port entry;
	int i;

	if (bpf_map_lookup_elem(pins->ports, &port, &entry))
		return -errno;
	for (i = 0; i < 2; i++)
		entry.words[words[i]] = spared ? entry.words[words[i]] | SC_PORT_NEVER_DROP :
						 entry.words[words[i]] & ~SC_PORT_NEVER_DROP;
	return bpf_map_update_elem(pins->ports, &port, &entry, BPF_ANY) ? -errno : 0;
}

int sc_modules_spared(const struct sc_pins *pins, struct sc_spec *ret_specs, int max)
{
	const size_t len = SC_STEER_PORTS * sizeof(struct sc_port);
	static const __u8 protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	const struct sc_port *entries;
	int cnt = 0, port, i;

	entries = mmap(NULL, len, PROT_READ, MAP_SHARED, pins->ports, 0);
	if (entries == MAP_FAILED)
		return -errno;
	for (port = 0; port < SC_STEER_PORTS; port++) {
		for (i = 0; i < 2; i++) {
			if (!(entries[port].words[SC_PORT_INDEX(SC_STEER_IPV4, protocols[i])] & SC_PORT_NEVER_DROP))
				continue;
			if (cnt < max)
				ret_specs[cnt] = (struct sc_spec){ .protocol = protocols[i], .port = htons(port) };
			cnt++;
		}
	}
	munmap((void *)entries, len);
	return cnt;
}

// SPDX-License-Identifier: MIT
// Sets and finds marks in the map of ports.
#include <errno.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "ports.h"

static const __u8 families[] = { SC_STEER_IPV4, SC_STEER_IPV6 };
static const __u8 protocols[] = { IPPROTO_TCP, IPPROTO_UDP };

int sc_ports_mark(const struct sc_pins *pins, const struct sc_spec *spec, enum sc_port_word mark, bool on)
{
	__u32 port = ntohs(spec->port);
	struct sc_port entry;
	__u16 *word;
	int i;

	if (bpf_map_lookup_elem(pins->ports, &port, &entry))
		return -errno;
	for (i = 0; i < 2; i++) {
		word = &entry.words[SC_PORT_INDEX(families[i], spec->protocol)];
		if (!spec->family || spec->family == families[i])
			*word = on ? *word | mark : *word & ~mark;
	}
	return bpf_map_update_elem(pins->ports, &port, &entry, BPF_ANY) ? -errno : 0;
}

bool sc_ports_has(const struct sc_pins *pins, const struct sc_spec *spec, enum sc_port_word mark)
{
	__u32 port = ntohs(spec->port);
	struct sc_port entry;
	int i;

	if (bpf_map_lookup_elem(pins->ports, &port, &entry))
		return false;
	for (i = 0; i < 2; i++)
		if ((!spec->family || spec->family == families[i]) &&
		    entry.words[SC_PORT_INDEX(families[i], spec->protocol)] & mark)
			return true;
	return false;
}

/* Whether the port has the mark for this protocol; then also for which family, 0: both. */
static bool find_mark(const struct sc_port *entry, __u8 protocol, enum sc_port_word mark, __u8 *ret_family)
{
	bool four = entry->words[SC_PORT_INDEX(SC_STEER_IPV4, protocol)] & mark;
	bool six = entry->words[SC_PORT_INDEX(SC_STEER_IPV6, protocol)] & mark;

	*ret_family = four && six ? 0 : four ? SC_STEER_IPV4 : SC_STEER_IPV6;
	return four || six;
}

int sc_ports_marked(const struct sc_pins *pins, enum sc_port_word mark, struct sc_spec *ret_specs, int max)
{
	const size_t len = SC_STEER_PORTS * sizeof(struct sc_port);
	const struct sc_port *entries;
	struct sc_spec spec = { 0 };
	int cnt = 0, port, i;

	entries = mmap(NULL, len, PROT_READ, MAP_SHARED, pins->ports, 0);
	if (entries == MAP_FAILED)
		return -errno;
	for (port = 0; port < SC_STEER_PORTS; port++) {
		for (i = 0; i < 2; i++) {
			if (!find_mark(&entries[port], protocols[i], mark, &spec.family))
				continue;
			spec.protocol = protocols[i];
			spec.port = htons(port);
			if (cnt < max)
				ret_specs[cnt] = spec;
			cnt++;
		}
	}
	munmap((void *)entries, len);
	return cnt;
}

// SPDX-License-Identifier: MIT
// Adds, removes and lists services in the pinned map.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ports.h"
#include "services.h"

struct key_set {
	struct sc_service_key keys[2];
	int cnt;
};

/* A service of both families takes a key in each. */
static struct key_set spec_keys(const struct sc_spec *spec)
{
	struct key_set set = { .cnt = spec->family ? 1 : 2 };
	int i;

	for (i = 0; i < set.cnt; i++) {
		set.keys[i].family = spec->family ?: i ? SC_STEER_IPV6 : SC_STEER_IPV4;
		set.keys[i].protocol = spec->protocol;
		set.keys[i].port = spec->port;
		memcpy(set.keys[i].addr, spec->addr, sizeof(spec->addr));
	}
	return set;
}

static struct sc_spec key_spec(const struct sc_service_key *key)
{
	struct sc_spec spec = { .family = key->family, .protocol = key->protocol, .port = key->port };

	memcpy(spec.addr, key->addr, sizeof(spec.addr));
	return spec;
}

static int lookup_row(const struct sc_pins *pins, const struct sc_service_key *key, __u32 *ret_row)
{
	struct sc_service service;

	if (bpf_map_lookup_elem(pins->services, key, &service))
		return -errno;
	*ret_row = service.row;
	return 0;
}

static int clear_row(const struct sc_pins *pins, __u32 row)
{
	static const struct sc_limit_row no_limits;
	int cpus = libbpf_num_possible_cpus(), err;
	struct sc_service_count *zero;

	/* What its former owner left. */
	if (bpf_map_update_elem(pins->limits, &row, &no_limits, BPF_ANY))
		return -errno;
	if (cpus < 0)
		return cpus;
	zero = calloc(cpus, sizeof(*zero));
	if (!zero)
		return -ENOMEM;
	err = bpf_map_update_elem(pins->service_counts, &row, zero, BPF_ANY) ? -errno : 0;
	free(zero);
	return err;
}

static int take_row(const struct sc_pins *pins, __u32 *ret_row)
{
	struct sc_service_key key, *last = NULL;
	bool used[SC_STEER_SERVICES_MAX] = { false };
	__u32 row = 0;

	while (!bpf_map_get_next_key(pins->services, last, &key)) {
		if (!lookup_row(pins, &key, &row) && row < SC_STEER_SERVICES_MAX)
			used[row] = true;
		last = &key;
	}
	for (row = 0; row < SC_STEER_SERVICES_MAX; row++) {
		if (used[row])
			continue;
		*ret_row = row;
		return clear_row(pins, row);
	}
	return -ENOSPC;
}

static bool is_any(const struct sc_service_key *key)
{
	return !key->addr[0] && !key->addr[1] && !key->addr[2] && !key->addr[3];
}

/* Writes the words of one port anew from `services`, as if `gone` (may be NULL) were not there. */
static int index_port(const struct sc_pins *pins, __be16 port, const struct sc_service_key *gone)
{
	struct sc_service_key key, *last = NULL;
	struct sc_port entry;
	__u32 at = ntohs(port), row = 0;
	int i;

	if (bpf_map_lookup_elem(pins->ports, &at, &entry))
		return -errno;
	for (i = 0; i < 4; i++)
		entry.words[i] &= ~(SC_PORT_ROW | SC_PORT_ADDRESSED);
	for (; !bpf_map_get_next_key(pins->services, last, &key); last = &key) {
		if (key.port != port || (gone && !memcmp(&key, gone, sizeof(key))) || lookup_row(pins, &key, &row))
			continue;
		entry.words[SC_PORT_INDEX(key.family, key.protocol)] |= is_any(&key) ? row + 1 : SC_PORT_ADDRESSED;
	}
	return bpf_map_update_elem(pins->ports, &at, &entry, BPF_ANY) ? -errno : 0;
}

int sc_services_add(const struct sc_pins *pins, const struct sc_spec *spec)
{
	const struct key_set set = spec_keys(spec);
	struct sc_service service = { 0 };
	int i, err = -ENOENT;

	/* One family of it may be there already: the other joins its row. */
	for (i = 0; i < set.cnt && err == -ENOENT; i++)
		err = lookup_row(pins, &set.keys[i], &service.row);
	if (err == -ENOENT)
		err = take_row(pins, &service.row);
	if (err)
		return err;
	for (i = 0; i < set.cnt; i++)
		if (bpf_map_update_elem(pins->services, &set.keys[i], &service, BPF_NOEXIST) && errno != EEXIST)
			return -errno;
	return index_port(pins, spec->port, NULL);
}

bool sc_services_may_xsk(const struct sc_spec *spec)
{
	static const struct sc_spec any;

	return spec->protocol == IPPROTO_UDP && !memcmp(spec->addr, any.addr, sizeof(any.addr));
}

/* See sc_object_has_sockets(). */
static int check_sockets(const struct sc_pins *pins)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_map_get_info_by_fd(pins->sockets, &info, &len))
		return -errno;
	return info.type == BPF_MAP_TYPE_XSKMAP ? 0 : -EOPNOTSUPP;
}

int sc_services_add_xsk(const struct sc_pins *pins, const struct sc_spec *spec)
{
	int err = check_sockets(pins);

	err = err ?: sc_services_add(pins, spec);
	return err ?: sc_ports_mark(pins, spec, SC_PORT_SOCKET, true);
}

int sc_services_del(const struct sc_pins *pins, const struct sc_spec *spec)
{
	const struct key_set set = spec_keys(spec);
	int i, err, deleted = 0;

	for (i = 0; i < set.cnt; i++) {
		err = index_port(pins, spec->port, &set.keys[i]);
		if (err)
			return err;
		if (!bpf_map_delete_elem(pins->services, &set.keys[i]))
			deleted++;
		else if (errno != ENOENT)
			return -errno;
	}
	if (!deleted)
		return -ENOENT;
	return is_any(&set.keys[0]) ? sc_ports_mark(pins, spec, SC_PORT_SOCKET, false) : 0;
}

static int by_row(const void *left, const void *right)
{
	const struct sc_service_entry *l = left, *r = right;

	return l->row != r->row ? (l->row > r->row) - (l->row < r->row) : l->spec.family - r->spec.family;
}

/* Only the two families of one service share a row, and they are neighbours now. */
static int join_families(struct sc_service_entry *entries, int cnt)
{
	int from, to = 0;

	for (from = 0; from < cnt; from++) {
		if (to && entries[to - 1].row == entries[from].row)
			entries[to - 1].spec.family = 0;
		else
			entries[to++] = entries[from];
	}
	return to;
}

int sc_services_list(const struct sc_pins *pins, struct sc_service_entry ret_entries[SC_STEER_KEYS_MAX])
{
	struct sc_service_key key, *last = NULL;
	int cnt = 0;

	while (cnt < SC_STEER_KEYS_MAX && !bpf_map_get_next_key(pins->services, last, &key)) {
		last = &key;
		ret_entries[cnt].spec = key_spec(&key);
		if (!lookup_row(pins, &key, &ret_entries[cnt].row))
			cnt++;
	}
	qsort(ret_entries, cnt, sizeof(ret_entries[0]), by_row);
	return join_families(ret_entries, cnt);
}

// SPDX-License-Identifier: MIT
// Keeps the CPU map and the indirection table of an interface in step.
#include <errno.h>
#include <sys/random.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "spread.h"
#include "steering.h"

static int read_table(int steering_fd, struct sc_steering *ret_table)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(steering_fd, &key, ret_table) ? -errno : 0;
}

static int write_table(int steering_fd, const struct sc_steering *table)
{
	__u32 key = 0;

	return bpf_map_update_elem(steering_fd, &key, table, BPF_ANY) ? -errno : 0;
}

int sc_steering_check(int steering_fd)
{
	struct bpf_map_info info = { 0 };
	struct sc_steering table;
	__u32 len = sizeof(info);
	int err;

	if (bpf_map_get_info_by_fd(steering_fd, &info, &len))
		return -errno;
	/* Before the content is read: a longer value would be written past our struct. */
	if (info.value_size != sizeof(table))
		return -EPROTO;
	err = read_table(steering_fd, &table);
	if (err || table.schema == SC_STEER_SCHEMA)
		return err;
	return table.schema >= SC_STEER_SCHEMA_OLDEST && table.schema < SC_STEER_SCHEMA ? -ESTALE : -EPROTO;
}

int sc_steering_renew_schema(const struct sc_pins *pins)
{
	struct sc_steering table;
	int err = read_table(pins->steering, &table);

	table.schema = SC_STEER_SCHEMA;
	return err ?: write_table(pins->steering, &table);
}

int sc_steering_read(const struct sc_pins *pins, struct sc_steering *ret_table)
{
	return read_table(pins->steering, ret_table);
}

int sc_steering_set_lists(const struct sc_pins *pins, __u32 set)
{
	struct sc_steering table;
	int err = read_table(pins->steering, &table);

	table.list_set = set;
	return err ?: write_table(pins->steering, &table);
}

int sc_steering_init(const struct sc_pins *pins)
{
	struct sc_steering table = { .schema = SC_STEER_SCHEMA };
	cpu_set_t none;

	if (getrandom(&table.seed, sizeof(table.seed), 0) != sizeof(table.seed))
		return -errno;
	CPU_ZERO(&none);
	sc_spread(table.cpus, &none);
	return write_table(pins->steering, &table);
}

static bool has_entry(const struct sc_pins *pins, __u32 cpu)
{
	struct bpf_cpumap_val entry;

	return !bpf_map_lookup_elem(pins->cpus, &cpu, &entry);
}

static int write_entry(const struct sc_pins *pins, __u32 cpu)
{
	struct bpf_cpumap_val entry = { .qsize = SC_STEER_QUEUE_LEN, .bpf_prog.fd = pins->on_cpu };

	return bpf_map_update_elem(pins->cpus, &cpu, &entry, BPF_ANY) ? -errno : 0;
}

static int add_entries(const struct sc_pins *pins, const cpu_set_t *set)
{
	__u32 cpu;
	int err = 0;

	for (cpu = 0; cpu < CPU_SETSIZE && !err; cpu++)
		if (CPU_ISSET(cpu, set) && !has_entry(pins, cpu))
			err = write_entry(pins, cpu);
	return err;
}

int sc_steering_renew(const struct sc_pins *pins)
{
	cpu_set_t there;
	__u32 cpu;
	int err;

	err = sc_steering_get_cpus(pins, &there);
	for (cpu = 0; cpu < CPU_SETSIZE && !err; cpu++)
		if (CPU_ISSET(cpu, &there))
			err = write_entry(pins, cpu);
	return err;
}

static int drop_other_entries(const struct sc_pins *pins, const cpu_set_t *set)
{
	cpu_set_t there;
	__u32 cpu;
	int err;

	err = sc_steering_get_cpus(pins, &there);
	for (cpu = 0; cpu < CPU_SETSIZE && !err; cpu++)
		if (CPU_ISSET(cpu, &there) && !CPU_ISSET(cpu, set) && bpf_map_delete_elem(pins->cpus, &cpu))
			err = -errno;
	return err;
}

int sc_steering_set_cpus(const struct sc_pins *pins, const cpu_set_t *set)
{
	struct sc_steering table;
	int err;

	err = add_entries(pins, set);
	if (err)
		return err;
	err = read_table(pins->steering, &table);
	if (err)
		return err;
	sc_spread(table.cpus, set);
	err = write_table(pins->steering, &table);
	return err ?: drop_other_entries(pins, set);
}

int sc_steering_get_cpus(const struct sc_pins *pins, cpu_set_t *ret_set)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), cpu;

	if (bpf_map_get_info_by_fd(pins->cpus, &info, &len))
		return -errno;
	CPU_ZERO(ret_set);
	for (cpu = 0; cpu < info.max_entries && cpu < CPU_SETSIZE; cpu++)
		if (has_entry(pins, cpu))
			CPU_SET(cpu, ret_set);
	return 0;
}

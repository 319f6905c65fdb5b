/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The maps, whose layout <sidecore/steer.h> describes. Names are those of the pins. */
#ifndef SC_BPF_MAPS_H
#define SC_BPF_MAPS_H

/* The verifier knows their values: what hangs on a module that is off is not in the program that runs. */
const volatile struct sc_constants constants SEC(SC_STEER_CONSTANTS) = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sc_steering);
} steering SEC(".maps");

/* Room for one entry per possible CPU; the loader sets max_entries to that. */
struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SC_STEER_KEYS_MAX);
	__type(key, struct sc_service_key);
	__type(value, struct sc_service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SC_STEER_PORTS);
	__type(key, __u32);
	__type(value, struct sc_port);
} ports SEC(".maps");

/* Sizes, not types: clang 14 gives no full BTF for types that only an inner map names. */
struct list_trie {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SC_STEER_LIST_MAX);
	__uint(key_size, sizeof(struct sc_list_key));
	__uint(value_size, sizeof(__u32));
};

struct list_hash {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SC_STEER_LIST_MAX);
	__uint(key_size, sizeof(struct sc_list_key));
	__uint(value_size, sizeof(__u32));
};

struct block_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SC_STEER_BLOCK_WORDS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SC_STEER_LIST_SETS);
	__type(key, __u32);
	__array(values, struct block_table);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SC_STEER_LIST_SETS);
	__type(key, __u32);
	__array(values, struct list_hash);
} hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SC_STEER_LIST_SETS);
	__type(key, __u32);
	__array(values, struct list_trie);
} lists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sc_syn);
} syn SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sc_flood);
} floods SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SC_LIMIT_ALL + 1);
	__type(key, __u32);
	__type(value, struct sc_limit_row);
} limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SC_LIMIT_ALL + 1);
	__type(key, __u32);
	__type(value, struct sc_buckets);
} buckets SEC(".maps");

struct source_table {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SC_STEER_SOURCES_MAX);
	__uint(key_size, sizeof(struct sc_source));
	__uint(value_size, sizeof(__u64));
};

/* Made when the first limit is, for it takes some megabytes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct source_table);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, SC_STEER_QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sc_sampling);
} sampling SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SC_STEER_SAMPLES_LEN);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SC_STEER_SERVICES_MAX);
	__type(key, __u32);
	__type(value, struct sc_service_count);
} service_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SC_REASON_CNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

#endif

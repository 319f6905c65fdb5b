// SPDX-License-Identifier: MIT
// Runs the BPF programs by BPF_PROG_TEST_RUN.
#include <arpa/inet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include <sidecore/steer.h>
#include "steer.skel.h"

#include "bench.h"

enum {
	MODULE_SETS = 512,
};

/* One for each set of modules that was wanted; all share the maps of the first, with none on. */
static struct steer_bpf *skeletons[MODULE_SETS];
static struct steer_bpf *skeleton;
static __u32 modules;
static struct sc_steering table;
static int cpu_cnt;
static int hash = -1, trie = -1, blocks = -1; /* of the set of lists in use */
static int source_table = -1; /* in map `sources` */

static void write_table(void)
{
	__u32 key = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.steering), &key, &table, BPF_ANY), 0);
}

static int pin_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(HERE, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static struct steer_bpf *load(__u32 wanted)
{
	struct steer_bpf *loaded = steer_bpf__open();

	assert_non_null(loaded);
	loaded->rodata_consts->constants.modules = wanted;
	bpf_map__set_max_entries(loaded->maps.cpus, cpu_cnt);
	/* The pair for skb mode has the same code, and cannot share the CPU map. */
	bpf_program__set_autoload(loaded->progs.steer_skb, false);
	bpf_program__set_autoload(loaded->progs.on_cpu_skb, false);
	/* The kernel test-runs no program that is marked for a CPU map; the code is the same without the mark. */
	bpf_program__set_expected_attach_type(loaded->progs.on_cpu, BPF_XDP);
#define SHARE(name, help) \
	if (skeleton)     \
		assert_int_equal(bpf_map__reuse_fd(loaded->maps.name, bpf_map__fd(skeleton->maps.name)), 0);
	SC_STEER_PINS(SHARE)
#undef SHARE
	assert_int_equal(steer_bpf__load(loaded), 0);
	return loaded;
}

int bench_open(void)
{
	struct bpf_cpumap_val entry = { .qsize = 64 };
	__u32 cpu = THERE;

	cpu_cnt = libbpf_num_possible_cpus();
	if (geteuid() || cpu_cnt < 2 || pin_here())
		return -1;
	skeleton = load(0);
	skeletons[0] = skeleton;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.cpus), &cpu, &entry, BPF_ANY), 0);
	table.schema = SC_STEER_SCHEMA;
	bench_set_all_cpus(THERE);
	return 0;
}

void bench_close(void)
{
	size_t i;

	if (trie >= 0)
		close(trie);
	if (hash >= 0)
		close(hash);
	if (blocks >= 0)
		close(blocks);
	if (source_table >= 0)
		close(source_table);
	for (i = 0; i < MODULE_SETS; i++)
		steer_bpf__destroy(skeletons[i]);
}

void bench_set_seed(__u32 seed)
{
	table.seed = seed;
	write_table();
}

void bench_set_cpus(const __u32 cpus[SC_STEER_SLOTS])
{
	memcpy(table.cpus, cpus, sizeof(table.cpus));
	write_table();
}

void bench_set_all_cpus(__u32 cpu)
{
	int slot;

	for (slot = 0; slot < SC_STEER_SLOTS; slot++)
		table.cpus[slot] = cpu;
	write_table();
}

static __u16 port_word(__u8 family, __u8 protocol, __u32 port)
{
	struct sc_port entry;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.ports), &port, &entry), 0);
	return entry.words[SC_PORT_INDEX(family, protocol)];
}

void bench_set_port_word(__u8 family, __u8 protocol, __u32 port, __u16 word)
{
	int fd = bpf_map__fd(skeleton->maps.ports);
	struct sc_port entry;

	assert_int_equal(bpf_map_lookup_elem(fd, &port, &entry), 0);
	entry.words[SC_PORT_INDEX(family, protocol)] = word;
	assert_int_equal(bpf_map_update_elem(fd, &port, &entry, BPF_ANY), 0);
}

void bench_clear_services(void)
{
	int fd = bpf_map__fd(skeleton->maps.services);
	struct sc_service_key key;

	while (!bpf_map_get_next_key(fd, NULL, &key)) {
		bench_set_port_word(key.family, key.protocol, ntohs(key.port), 0);
		assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
	}
}

void bench_add_service(__u8 family, __u8 protocol, __u16 port, const void *addr, __u32 row)
{
	struct sc_service_key key = { .family = family, .protocol = protocol, .port = htons(port) };
	struct sc_service service = { .row = row };

	if (addr)
		memcpy(key.addr, addr, family == SC_STEER_IPV4 ? 4 : 16);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.services), &key, &service, BPF_ANY), 0);
	bench_set_port_word(family, protocol, port,
			    port_word(family, protocol, port) | (addr ? SC_PORT_ADDRESSED : row + 1));
}

void bench_set_modules(__u32 wanted)
{
	assert_true(wanted < MODULE_SETS);
	if (!skeletons[wanted])
		skeletons[wanted] = load(wanted);
	modules = wanted;
}

void bench_new_lists(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	LIBBPF_OPTS(bpf_map_create_opts, mapped, .map_flags = BPF_F_MMAPABLE);
	__u32 set = !table.list_set;
	void *words;

	if (trie >= 0)
		close(trie);
	if (hash >= 0)
		close(hash);
	if (blocks >= 0)
		close(blocks);
	/* As the loader leaves what changes while packets flow: every block is asked about. */
	blocks = bpf_map_create(BPF_MAP_TYPE_ARRAY, "block", sizeof(__u32), sizeof(__u64), SC_STEER_BLOCK_WORDS,
				&mapped);
	assert_true(blocks >= 0);
	words = mmap(NULL, SC_STEER_BLOCK_WORDS * sizeof(__u64), PROT_READ | PROT_WRITE, MAP_SHARED, blocks, 0);
	assert_true(words != MAP_FAILED);
	memset(words, 0xff, SC_STEER_BLOCK_WORDS * sizeof(__u64));
	munmap(words, SC_STEER_BLOCK_WORDS * sizeof(__u64));
	hash = bpf_map_create(BPF_MAP_TYPE_HASH, "host", sizeof(struct sc_list_key), sizeof(__u32), SC_STEER_LIST_MAX,
			      &opts);
	assert_true(hash >= 0);
	trie = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "list", sizeof(struct sc_list_key), sizeof(__u32), 16, &opts);
	assert_true(trie >= 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.lists), &set, &trie, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.hosts), &set, &hash, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.blocks), &set, &blocks, BPF_ANY), 0);
	table.list_set = set;
	write_table();
}

void bench_set_block(__u32 host, __u32 value)
{
	__u32 word = SC_BLOCK_WORD(host);
	__u64 values;

	assert_int_equal(bpf_map_lookup_elem(blocks, &word, &values), 0);
	values &= ~((__u64)SC_BLOCK_ASK << SC_BLOCK_SHIFT(host));
	values |= (__u64)value << SC_BLOCK_SHIFT(host);
	assert_int_equal(bpf_map_update_elem(blocks, &word, &values, BPF_ANY), 0);
}

void bench_add_prefix(enum sc_list list, __u8 family, const void *addr, int len)
{
	struct sc_list_key key = { .prefix_len = SC_LIST_FAMILY_BITS + len, .family = family };
	__u32 value = list;

	memcpy(key.addr, addr, family == SC_STEER_IPV4 ? 4 : 16);
	assert_int_equal(bpf_map_update_elem(len == (family == SC_STEER_IPV4 ? 32 : 128) ? hash : trie, &key, &value,
					     BPF_ANY),
			 0);
}

void bench_set_syn(const struct sc_syn *rule)
{
	__u32 zero = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.syn), &zero, rule, BPF_ANY), 0);
}

void bench_set_flood(const struct sc_flood *flood)
{
	struct sc_flood floods[cpu_cnt];
	__u32 zero = 0;
	int cpu;

	for (cpu = 0; cpu < cpu_cnt; cpu++)
		floods[cpu] = *flood;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.floods), &zero, floods, BPF_ANY), 0);
}

static int limits_fd(void)
{
	return bpf_map__fd(skeleton->maps.limits);
}

void bench_set_limit(__u32 row, enum sc_limit_kind kind, __u32 cnt, __u32 period_s, __u32 burst)
{
	struct sc_limit_row limits;
	struct sc_rate *rate = &limits.rates[kind];

	assert_int_equal(bpf_map_lookup_elem(limits_fd(), &row, &limits), 0);
	limits.kinds &= ~(1U << kind);
	if (period_s) {
		limits.kinds |= 1U << kind;
		rate->interval = (__u64)period_s * 1000000000 * SC_RATE_UNITS_PER_NS / cnt;
		rate->room = rate->interval * burst;
	}
	assert_int_equal(bpf_map_update_elem(limits_fd(), &row, &limits, BPF_ANY), 0);
}

void bench_clear_limits(void)
{
	static const struct sc_limit_row no_limits;
	static const struct sc_buckets full;
	__u32 row, zero = 0;

	for (row = 0; row <= SC_LIMIT_ALL; row++) {
		assert_int_equal(bpf_map_update_elem(limits_fd(), &row, &no_limits, BPF_ANY), 0);
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.buckets), &row, &full, BPF_ANY), 0);
	}
	if (source_table >= 0)
		close(source_table);
	source_table = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "sources", sizeof(struct sc_source), sizeof(__u64),
				      SC_STEER_SOURCES_MAX, NULL);
	assert_true(source_table >= 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.sources), &zero, &source_table, BPF_ANY), 0);
}

static __u64 units_from_now(double seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec * 1000000000ULL + now.tv_nsec + (__s64)(seconds * 1e9)) * SC_RATE_UNITS_PER_NS;
}

void bench_set_total(__u32 row, enum sc_limit_kind kind, double full_in_s)
{
	int fd = bpf_map__fd(skeleton->maps.buckets);
	struct sc_buckets both;

	assert_int_equal(bpf_map_lookup_elem(fd, &row, &both), 0);
	both.full_at[!!(kind & SC_LIMIT_SYN)] = units_from_now(full_in_s);
	assert_int_equal(bpf_map_update_elem(fd, &row, &both, BPF_ANY), 0);
}

void bench_set_sources(double full_in_s)
{
	__u64 full_at = units_from_now(full_in_s);
	struct sc_source key, *last = NULL;

	for (; !bpf_map_get_next_key(source_table, last, &key); last = &key)
		assert_int_equal(bpf_map_update_elem(source_table, &key, &full_at, BPF_EXIST), 0);
}

int bench_source_cnt(void)
{
	struct sc_source key, *last = NULL;
	int cnt = 0;

	for (; !bpf_map_get_next_key(source_table, last, &key); last = &key)
		cnt++;
	return cnt;
}

static const struct bpf_program *chosen(enum bench_program program)
{
	const struct steer_bpf *loaded = skeletons[modules];

	return program == BENCH_STEER ? loaded->progs.steer : loaded->progs.on_cpu;
}

int bench_run(enum bench_program program, const void *bytes, int len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bytes, .data_size_in = len, .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(chosen(program)), &opts), 0);
	return opts.retval;
}

int bench_repeat(enum bench_program program, const struct frame *frame, int times)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes, .data_size_in = frame->len, .repeat = times);

	return bpf_prog_test_run_opts(bpf_program__fd(chosen(program)), &opts);
}

int bench_transform(enum bench_program program, struct frame *frame)
{
	__u8 out[FRAME_LEN_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes, .data_size_in = frame->len, .data_out = out,
		    .data_size_out = sizeof(out), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(chosen(program)), &opts), 0);
	memcpy(frame->bytes, out, opts.data_size_out);
	frame->len = opts.data_size_out;
	return opts.retval;
}

__u64 bench_counter(enum sc_reason reason)
{
	__u32 key = reason;
	__u64 values[cpu_cnt], sum = 0;
	int cpu;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.counters), &key, values), 0);
	for (cpu = 0; cpu < cpu_cnt; cpu++)
		sum += values[cpu];
	return sum;
}

enum sc_reason bench_reason(enum bench_program program, const void *bytes, int len, int *ret_verdict)
{
	__u64 before[SC_REASON_CNT], counted = 0, now;
	int i, reason = 0;

	for (i = 0; i < SC_REASON_CNT; i++)
		before[i] = bench_counter(i);
	*ret_verdict = bench_run(program, bytes, len);
	for (i = 0; i < SC_REASON_CNT; i++) {
		now = bench_counter(i);
		counted += now - before[i];
		if (now > before[i])
			reason = i;
	}
	assert_int_equal(counted, 1);
	return reason;
}

void bench_expect(enum bench_program program, const void *bytes, int len, int verdict, enum sc_reason reason)
{
	__u64 before[SC_REASON_CNT];
	int got, i;

	for (i = 0; i < SC_REASON_CNT; i++)
		before[i] = bench_counter(i);
	got = bench_run(program, bytes, len);
	for (i = 0; i < SC_REASON_CNT; i++)
		if (bench_counter(i) - before[i] != (i == (int)reason))
			fail_msg("length %d: reason %d counted %llu times, %d expected", len, i,
				 (unsigned long long)(bench_counter(i) - before[i]), i == (int)reason);
	if (got != verdict)
		fail_msg("length %d: verdict %d, %d expected", len, got, verdict);
}

struct sc_service_count bench_service_count(__u32 row)
{
	struct sc_service_count values[cpu_cnt], sum = { 0 };
	int cpu;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.service_counts), &row, values), 0);
	for (cpu = 0; cpu < cpu_cnt; cpu++) {
		sum.local += values[cpu].local;
		sum.steered += values[cpu].steered;
		sum.arrived += values[cpu].arrived;
		sum.arrived_bytes += values[cpu].arrived_bytes;
		sum.local_bytes += values[cpu].local_bytes;
		sum.opened += values[cpu].opened;
		sum.closed += values[cpu].closed;
	}
	return sum;
}

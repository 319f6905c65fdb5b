/* SPDX-License-Identifier: MIT */
/* The BPF programs on the bench: run on frames, with their maps in reach. */
#ifndef SC_TEST_BENCH_H
#define SC_TEST_BENCH_H

#include <linux/types.h>

#include <sidecore/steer.h>

#include "frame.h"

/* The programs run on CPU 0; CPU 1 has an entry in the CPU map. */
enum {
	HERE = 0,
	THERE = 1,
};

enum bench_program {
	BENCH_STEER,
	BENCH_ON_CPU,
};

/* Loads the programs and pins this thread. 0, or -1 where there is no right or no second CPU for that. */
int bench_open(void);
void bench_close(void);

/* Fills the indirection table. */
void bench_set_seed(__u32 seed);
void bench_set_all_cpus(__u32 cpu);
void bench_set_cpus(const __u32 cpus[SC_STEER_SLOTS]);

/* Removes all services; adds one on an address (4 or 16 bytes), or on any if that is NULL. */
void bench_clear_services(void);
void bench_add_service(__u8 family, __u8 protocol, __u16 port, const void *addr, __u32 row);

/* The word in map `ports`, which the calls above keep as the loader would. */
void bench_set_port_word(__u8 family, __u8 protocol, __u32 port, __u16 word);

/* The modules that are on, enum sc_module: other programs, the same maps. */
void bench_set_modules(__u32 wanted);

/*
 * New, empty lists in the other set, which is in use from now on; what is known there of the block of an IPv4 address in host order,
 * SC_BLOCK_ASK at first; and a prefix on a list there.
 */
void bench_new_lists(void);
void bench_set_block(__u32 host, __u32 value);
void bench_add_prefix(enum sc_list list, __u8 family, const void *addr, int len);

/* The rule of SC_MODULE_COOKIES, and what each CPU knows of a flood. */
void bench_set_syn(const struct sc_syn *rule);
void bench_set_flood(const struct sc_flood *flood);

/* Sets, or with a period of 0 removes, a rate limit: `cnt` in `period_s`. Removes all, and all buckets. */
void bench_set_limit(__u32 row, enum sc_limit_kind kind, __u32 cnt, __u32 period_s, __u32 burst);
void bench_clear_limits(void);

/* Puts buckets to when they are full again, in seconds from now: the one of a total; those of all sources that have one. */
void bench_set_total(__u32 row, enum sc_limit_kind kind, double full_in_s);
void bench_set_sources(double full_in_s);

/* How many sources have a bucket. */
int bench_source_cnt(void);

/* Runs one program once on the first len bytes; the verdict. */
int bench_run(enum bench_program program, const void *bytes, int len);

/* The same; what it made of the frame replaces the bytes and *len, of which there may be FRAME_LEN_MAX. */
int bench_transform(enum bench_program program, struct frame *frame);

/* Runs and checks that the verdict is as expected and that this reason, and no other, was counted once. */
void bench_expect(enum bench_program program, const void *bytes, int len, int verdict, enum sc_reason reason);

/* Runs one program so often, from any thread, on its CPU. 0 or -errno. */
int bench_repeat(enum bench_program program, const struct frame *frame, int times);

/* A counter, summed. */
__u64 bench_counter(enum sc_reason reason);

/* Runs; the one reason that was counted, once. */
enum sc_reason bench_reason(enum bench_program program, const void *bytes, int len, int *ret_verdict);

/* Counters of a service, summed. */
struct sc_service_count bench_service_count(__u32 row);

#endif

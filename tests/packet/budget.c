// SPDX-License-Identifier: MIT
// What the verifier has to look at in each program, with no module, each and all: growth must be meant.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include <sidecore/steer.h>
#include "steer.skel.h"

enum {
	SKIP = 77,
	STEER_MAX = 80000, /* instructions; the kernel refuses from 1,000,000 on */
	ON_CPU_MAX = 25000,
};

static const struct {
	const char *name;
	__u32 modules;
} sets[] = {
	{ "none", 0 },
	{ "validity", SC_MODULE_VALIDITY },
	{ "lists", SC_MODULE_LISTS | SC_MODULE_HOSTS },
	{ "cookies", SC_MODULE_COOKIES },
	{ "limits", SC_MODULE_LIMITS },
	{ "sockets", SC_MODULE_SOCKETS },
	{ "samples", SC_MODULE_SAMPLES },
	{ "options", SC_MODULE_OPTIONS },
	{ "fragments", SC_MODULE_FRAGMENTS },
	{ "all", ~0U },
};

static void check(const struct bpf_program *program, const char *set, __u32 max)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	assert_int_equal(bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &len), 0);
	printf("# %-10s modules %-8s %6u instructions looked at, %5u bytes of machine code\n",
	       bpf_program__name(program), set, info.verified_insns, info.jited_prog_len);
	if (info.verified_insns > max)
		fail_msg("%s, modules %s: %u instructions looked at, budget %u", bpf_program__name(program), set,
			 info.verified_insns, max);
}

static void check_mode(size_t set, bool skb)
{
	struct steer_bpf *skeleton = steer_bpf__open();

	assert_non_null(skeleton);
	skeleton->rodata_consts->constants.modules = sets[set].modules;
	bpf_map__set_max_entries(skeleton->maps.cpus, libbpf_num_possible_cpus());
	bpf_program__set_autoload(skeleton->progs.steer, !skb);
	bpf_program__set_autoload(skeleton->progs.on_cpu, !skb);
	bpf_program__set_autoload(skeleton->progs.steer_skb, skb);
	bpf_program__set_autoload(skeleton->progs.on_cpu_skb, skb);
	assert_int_equal(steer_bpf__load(skeleton), 0);
	check(skb ? skeleton->progs.steer_skb : skeleton->progs.steer, sets[set].name, STEER_MAX);
	check(skb ? skeleton->progs.on_cpu_skb : skeleton->progs.on_cpu, sets[set].name, ON_CPU_MAX);
	steer_bpf__destroy(skeleton);
}

static void test_budget(void **state)
{
	size_t set;

	(void)state;
	for (set = 0; set < sizeof(sets) / sizeof(sets[0]); set++) {
		check_mode(set, false);
		check_mode(set, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_budget) };

	if (geteuid()) {
		puts("skipped: takes root");
		return SKIP;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

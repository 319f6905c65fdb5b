// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* Not a program to run: its BTF tells how the BPF compiler lays out what abi.h declares. */
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <sidecore/abi.h>

#include "abi_fields.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define INSTANCE(name) struct name instance_of_##name;
ABI_STRUCTS(INSTANCE)

SEC("xdp")
int use(void *ctx)
{
	__u64 sum = 0;

	(void)ctx;
#define USE(name) sum += (__u64)&instance_of_##name;
	ABI_STRUCTS(USE)
	return (int)sum;
}

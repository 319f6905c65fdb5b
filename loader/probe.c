// SPDX-License-Identifier: MIT
// Tries what the XDP programs and their maps rest on, one feature at a time.
#include <linux/bpf.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "object.h"
#include "probe.h"

static bool has_btf(void)
{
	return !access("/sys/kernel/btf/vmlinux", R_OK);
}

/* A program that lets every packet pass. Its descriptor, or -errno. */
static int load(__u32 flags, enum bpf_attach_type type)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = flags, .expected_attach_type = type);

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "sc_probe", "GPL", pass, sizeof(pass) / sizeof(pass[0]), &opts);
}

static bool loads(__u32 flags, enum bpf_attach_type type)
{
	int fd = load(flags, type);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool has_xdp(void)
{
	return loads(0, BPF_XDP);
}

static bool has_frags(void)
{
	return loads(BPF_F_XDP_HAS_FRAGS, BPF_XDP);
}

/* The program must also be taken by an entry: that is another check of the kernel. */
static bool has_cpumap_program(void)
{
	struct bpf_cpumap_val entry = { .qsize = 8 };
	int map, program;
	__u32 cpu = 0;
	bool taken;

	program = load(BPF_F_XDP_HAS_FRAGS, BPF_XDP_CPUMAP);
	map = bpf_map_create(BPF_MAP_TYPE_CPUMAP, "sc_probe", sizeof(cpu), sizeof(entry), 1, NULL);
	entry.bpf_prog.fd = program;
	taken = program >= 0 && map >= 0 && !bpf_map_update_elem(map, &cpu, &entry, BPF_ANY);
	if (program >= 0)
		close(program);
	if (map >= 0)
		close(map);
	return taken;
}

static bool has_mapped_array(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sc_probe", sizeof(__u32), sizeof(__u64), 1, &opts);

	if (map >= 0)
		close(map);
	return map >= 0;
}

static bool has_redirect_map(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_redirect_map, NULL) == 1;
}

static bool has_buff_len(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_get_buff_len, NULL) == 1;
}

static bool takes_programs(enum sc_mode mode)
{
	struct sc_pins pins;
	int err;

	sc_pins_init(&pins);
	err = sc_object_load(&pins, mode, sc_object_modules());
	sc_pins_close(&pins);
	return !err;
}

static bool takes_native(void)
{
	return takes_programs(SC_MODE_NATIVE);
}

static bool takes_skb(void)
{
	return takes_programs(SC_MODE_SKB);
}

const struct sc_probe sc_probes[] = {
	{ "btf", "relocates programs to this kernel", has_btf },
	{ "xdp", "looks at each packet", has_xdp },
	{ "xdp_frags", "packets over several buffers: large MTU in native mode", has_frags },
	{ "xdp_cpumap_program", "takes packets over on their dedicated CPU", has_cpumap_program },
	{ "redirect_map_helper", "sends packets to their dedicated CPU", has_redirect_map },
	{ "xdp_buff_len_helper", "counts bytes", has_buff_len },
	{ "mmapable_array", "lets another process switch CPUs on and off", has_mapped_array },
	{ "xskmap", "hands packets to AF_XDP sockets: service add --xsk", sc_object_has_sockets },
	{ "native_programs", "the programs for native mode, as a whole", takes_native },
	{ "skb_programs", "the programs for skb mode, as a whole", takes_skb },
	{ 0 },
};

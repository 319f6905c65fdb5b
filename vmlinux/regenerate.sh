#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes vmlinux/*.h anew from a kernel's BTF: only the types bpf/ touches, one header per topic.
#
# usage: vmlinux/regenerate.sh [BTF]      default /sys/kernel/btf/vmlinux; bpftool from $BPFTOOL or PATH
set -eu

btf=${1:-/sys/kernel/btf/vmlinux}
bpftool=${BPFTOOL:-$(command -v bpftool || echo /usr/sbin/bpftool)}
out=$(dirname "$0")
dump=$(mktemp)
trap 'rm -f "$dump" "$dump".*' EXIT

fail()
{
	echo "regenerate.sh: $1" >&2
	exit 1
}

[ -r "$btf" ] || fail "$btf: not readable; give the path of a kernel's BTF"
"$bpftool" btf dump file "$btf" format c >"$dump" || fail "$bpftool: cannot dump $btf; install bpftool 7 or later"

# One "typedef ... name;" line.
pick_typedef()
{
	grep -E "^typedef .*[ *]$1;\$" "$dump" || fail "$btf: no typedef $1; is this a kernel's BTF?"
}

# One "struct name { ... };" or "enum name { ... };", which bpftool always closes in the first column.
pick()
{
	awk -v head="$1 {" '$0 == head { on = 1; hit = 1 } on { print } on && /^}/ { on = 0; print "" } END { exit !hit }' \
		"$dump" || fail "$btf: no $1; is this a kernel's BTF?"
}

# The nameless enum that holds constant $1.
pick_flags()
{
	awk -v name="$1" '
		$0 == "enum {" { text = ""; on = 1 }
		on { text = text $0 "\n"; if ($1 == name) hit = 1 }
		on && /^}/ { on = 0; if (hit) { print text; exit } }
		END { exit !hit }' "$dump" || fail "$btf: no constant $1; is this a kernel's BTF?"
}

# $1 = header's name, $2 = its purpose, stdin = its body; replaces the header only when all of it is there.
header()
{
	guard=__VMLINUX_$(echo "$1" | tr "[:lower:]" "[:upper:]")_H__
	cat >"$dump.body"
	{
		printf '/* SPDX-License-Identifier: MIT */\n/* %s Made by vmlinux/regenerate.sh. */\n' "$2"
		printf '#ifndef %s\n#define %s\n\n' "$guard" "$guard"
		[ "$1" = types ] || printf '#include "types.h"\n\n'
		cat "$dump.body"
		printf '#endif\n'
	} >"$dump.new"
	cp "$dump.new" "$out/$1.h"
}

relocatable()
{
	echo '#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)'
	echo
	"$@"
	echo '#pragma clang attribute pop'
	echo
}

base_types()
{
	for name in __u8 __s8 __u16 __s16 __u32 __s32 __u64 __s64 __be16 __be32 __be64 __le16 __le32 __sum16 __wsum; do
		pick_typedef $name
	done
	echo
}

packet_types()
{
	for name in ethhdr vlan_hdr iphdr in6_addr ipv6hdr ipv6_rt_hdr tcphdr udphdr; do
		pick "struct $name"
	done
}

xdp_types()
{
	pick 'struct xdp_md'
	pick 'struct bpf_cpumap_val'
	pick 'struct bpf_sock'
	pick 'struct bpf_sock_tuple'
	pick 'struct bpf_fib_lookup'
}

xdp_enums()
{
	pick 'enum xdp_action'
	pick 'enum bpf_map_type'
	pick_flags BPF_NOEXIST
	pick_flags BPF_F_MMAPABLE
	pick_flags BPF_F_CURRENT_NETNS
	pick_flags BPF_FIB_LKUP_RET_SUCCESS
	pick_flags BPF_TCP_LISTEN
}

# Each body is made before its header is touched: in a pipe a failed pick would go unseen.
base_types >"$dump.types"
{ relocatable packet_types; } >"$dump.packet"
{ xdp_enums && relocatable xdp_types; } >"$dump.xdp"
header types 'Base types of the kernel.' <"$dump.types"
header packet 'Packet headers. Their layout is the wire'"'"'s.' <"$dump.packet"
header xdp 'What an XDP program sees of the kernel.' <"$dump.xdp"

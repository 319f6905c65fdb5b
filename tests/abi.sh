#!/bin/sh
# SPDX-License-Identifier: MIT
# abi.h means the same bytes to gcc and to clang.
set -eu
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM

cat >"$dir/print.c" <<'C'
#include <stddef.h>
#include <stdio.h>
#include <sidecore/abi.h>
#include "abi_fields.h"

int main(void)
{
#define STRUCT(name) printf("struct %s %zu %zu\n", #name, sizeof(struct name), _Alignof(struct name));
	ABI_STRUCTS(STRUCT)
#define FIELD(name, field) \
	printf("%s.%s %zu %zu\n", #name, #field, offsetof(struct name, field), sizeof(((struct name *)0)->field));
	ABI_FIELDS(FIELD)
	return 0;
}
C
echo 1..1
for cc in gcc clang; do
	if ! command -v "$cc" >/dev/null; then
		echo "ok 1 - gcc and clang agree # skip no $cc"
		exit 0
	fi
	"$cc" -std=c11 -Wall -Wextra -Wpadded -Werror -Iinclude -Itests/unit -o "$dir/$cc" "$dir/print.c"
	"$dir/$cc" >"$dir/$cc.txt"
done
if diff "$dir/gcc.txt" "$dir/clang.txt"; then
	echo "ok 1 - gcc and clang agree on $(wc -l <"$dir/gcc.txt") layouts"
else
	echo "not ok 1 - gcc and clang disagree"
	exit 1
fi

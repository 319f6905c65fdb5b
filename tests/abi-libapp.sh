#!/bin/sh
# SPDX-License-Identifier: MIT
# What programs were linked against is there still: symbols and their versions, fields of the structs and values of the constants
# in app.h, compared with tests/libapp.abi. New ones may join. After a change that is meant, and to record what is new:
#   tests/abi-libapp.sh --update
# with a new soversion (Makefile) and a new node in the map if a program built before would break.
set -eu
cd "$(dirname "$0")/.."
build=${SIDECORE_BUILD:-build}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM

[ "${1:-}" = --update ] || echo 1..1
if ! command -v clang >/dev/null; then
	echo "ok 1 - libapp's ABI # skip no clang"
	exit 0
fi

symbols() {
	nm -D --defined-only --with-symbol-versions "$1" | awk '$2 == "T" { sub("@@*", " ", $3); print "symbol", $3 }'
}

# clang prints each struct as "offset | [indent] type name", fields of fields deeper, and closes with its size. Structs that begin
# with their size, and the counters at the end of one, may grow.
layouts() {
	echo '#include <sidecore/app.h>' >"$dir/layout.c"
	clang -std=c11 -Iinclude -fsyntax-only -Xclang -fdump-record-layouts-complete "$dir/layout.c" |
		sed 's/^ *//' | awk -F '[|]' '
			$2 ~ /^ struct sc_[a-z_]*$/ { name = substr($2, 2); grows = name == "struct sc_counters"; next }
			$2 ~ /^ \[sizeof=/ { if (name && !grows) print name $2; name = ""; next }
			/^$/ { name = "" }
			name && $2 ~ /^   size_t size$/ { grows = 1 }
			name && $2 ~ /^   [^ ]/ { print name, "+" $1 substr($2, 4) }'
}

constants() {
	{
		echo '#include <stdio.h>'
		echo '#include <sidecore/app.h>'
		echo 'int main(void) {'
		sed -n '/^enum/,/}/s/.*[[:space:]{]\(SC_[A-Z0-9_]*\)[ ,}=].*/printf("constant \1 %lld\\n", (long long)\1);/p' \
			include/sidecore/app.h
		echo 'return 0; }'
	} >"$dir/constants.c"
	clang -std=c11 -Iinclude -o "$dir/constants" "$dir/constants.c"
	"$dir/constants"
}

{
	symbols "$build/lib/libapp.so"
	constants
	layouts
} | LC_ALL=C sort -V >"$dir/abi"

if [ "${1:-}" = --update ]; then
	cp "$dir/abi" tests/libapp.abi
	echo "tests/libapp.abi: $(wc -l <tests/libapp.abi) lines: read its diff before you commit it"
elif grep -vxF -f "$dir/abi" tests/libapp.abi | sed 's/^/# gone or changed: /' >"$dir/diff"; [ ! -s "$dir/diff" ]; then
	echo "ok 1 - libapp's ABI: $(wc -l <tests/libapp.abi) symbols, constants and fields are as they were"
else
	cat "$dir/diff"
	echo "not ok 1 - libapp's ABI has changed: if that is meant, see the head of $0"
	exit 1
fi

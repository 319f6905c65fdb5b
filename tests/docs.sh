#!/bin/sh
# SPDX-License-Identifier: MIT
# The README's program builds against libapp, the probes that decisions quote compile, every function has a man page and is listed.
set -u
build=${SIDECORE_BUILD:-build}
n=0
status=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

result() { # exit code, name, reason
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		[ ! -s "$scratch/log" ] || sed 's/^/# /' "$scratch/log"
		status=1
	fi
}

compile() { # arguments of the compiler
	"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror -Iinclude "$@" >"$scratch/log" 2>&1
}

# shellcheck disable=SC2016 # the backquotes are Markdown's
# The first C block, which a reader would copy whole.
sed -n '/^```c$/,/^```$/{/^```/!p}' README.md >"$scratch/readme.c"
compile -o "$scratch/readme" "$scratch/readme.c" "$build/lib/libapp.a" -luring
result $? "README.md's program builds against libapp"

for probe in tests/probes/*.c; do
	compile -Wmissing-prototypes -o "$scratch/probe" "$probe" -luring
	result $? "$probe compiles"
done

functions=$(sed -n 's/.*[ *]\(sc_[a-z_]*\)(.*/\1/p' include/sidecore/app.h | sort -u)
for function in $functions; do
	page=docs/man/$function.3
	: >"$scratch/log"
	if [ ! -f "$page" ]; then
		echo "$page is missing" >"$scratch/log"
	else
		target=$(sed -n '1s|^\.so man3/||p' "$page")
		[ -z "$target" ] || page=docs/man/$target
		grep -q "\\\\fB\\**$function\|B.*$function" "$page" || echo "$page does not describe $function" >"$scratch/log"
	fi
	grep -q "\\\\%$function\\>" docs/man/libapp.7 || echo "libapp(7) does not list $function" >>"$scratch/log"
	[ ! -s "$scratch/log" ]
	result $? "$function has a man page"
done

if command -v man >/dev/null; then
	# From docs/man's parent the links' "man3/" must lead somewhere.
	mkdir "$scratch/man3"
	cp docs/man/*.[1-8] "$scratch/man3/"
	cp "$build"/man/*.8 "$scratch/man3/"
	for page in docs/man/*.[1-8]; do
		(cd "$scratch" && LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l "man3/${page##*/}" >/dev/null 2>"$scratch/log")
		[ ! -s "$scratch/log" ]
		result $? "$page has no warnings"
	done
else
	echo "ok $((n + 1)) - man pages have no warnings # skip man is not installed: run sudo ./run deps"
fi
exit $status

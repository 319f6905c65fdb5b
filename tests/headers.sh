#!/bin/sh
# SPDX-License-Identifier: MIT
# Every header compiles alone: the public ones as C11 and as C++17, the inner ones as this project's C.
set -u
n=0
status=0

check() { # name, command that reads the source from stdin ...
	name=$1
	shift
	n=$((n + 1))
	if printf '#include "%s"\n' "$header" | "$@" -fsyntax-only -Iinclude -; then
		echo "ok $n - $header as $name"
	else
		echo "not ok $n - $header as $name"
		status=1
	fi
}

for header in include/sidecore/*.h; do
	[ -e "$header" ] || continue
	check C11 gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -I. -x c
	check C++17 g++ -std=c++17 -Wall -Wextra -Werror -I. -x c++
done
for header in cli/*.h libapp/*.h loader/*.h ringsvc/*.h; do
	[ -e "$header" ] || continue
	check C gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -I"${header%/*}" -x c
done
exit $status

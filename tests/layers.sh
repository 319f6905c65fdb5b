#!/bin/sh
# SPDX-License-Identifier: MIT
# libapp/, loader/ and ringsvc/ use nothing of each other, and nobody's examples, benches or tests; cli/, which loader/ and
# ringsvc/ may use, nothing at all: read from what was compiled.
set -u
build=${SIDECORE_BUILD:-build}
n=0
status=0

for folder in cli libapp loader ringsvc; do
	[ -d "$build/obj/$folder" ] || continue
	case $folder in
	loader | ringsvc) may=cli ;;
	*) may=$folder ;;
	esac
	others=$(echo cli libapp loader ringsvc examples bench tests demo | tr ' ' '\n' | grep -vx -e "$folder" -e "$may" |
		paste -sd '|')
	n=$((n + 1))
	if found=$(find "$build/obj/$folder" -name '*.d' -exec grep -EoH "(^|[ /])($others)/[^ ]*\.h" {} +); then
		echo "$found"
		echo "not ok $n - $folder/ includes headers of a folder that it may not"
		status=1
	else
		echo "ok $n - $folder/ includes only what it may"
	fi
done
exit $status

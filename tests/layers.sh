#!/bin/sh
# SPDX-License-Identifier: MIT
# libapp/, loader/ and ringsvc/ use nothing of each other, and nobody's examples, benches or tests: read from what was compiled.
set -u
build=${SIDECORE_BUILD:-build}
n=0
status=0

for folder in libapp loader ringsvc; do
	[ -d "$build/obj/$folder" ] || continue
	others=$(echo libapp loader ringsvc examples bench tests demo | tr ' ' '\n' | grep -vx "$folder" | paste -sd '|')
	n=$((n + 1))
	if found=$(find "$build/obj/$folder" -name '*.d' -exec grep -EoH "(^|[ /])($others)/[^ ]*\.h" {} +); then
		echo "$found"
		echo "not ok $n - $folder/ includes headers of another folder"
		status=1
	else
		echo "ok $n - $folder/ includes only its own and include/"
	fi
done
exit $status

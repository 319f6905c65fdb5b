#!/bin/sh
# SPDX-License-Identifier: MIT
# The model of sleeping and waking (tests/model/wake.pml) holds, and breaks when any one thing it rests on is taken away.
set -u
command -v spin >/dev/null || { echo "spin is not installed: run sudo ./run deps"; exit 77; }
model=$(cd "$(dirname "$0")" && pwd)/model/wake.pml
n=0
status=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

result() { # exit code, name
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		sed 's/^/# /' log
		echo "not ok $n - $2"
		status=1
	fi
}

# The checker's report is left in log. $1: what pan.c is compiled with, $2: options of pan, others: of spin
check() {
	compiled=$1
	options=$2
	shift 2
	rm -f pan pan.* ./*.trail
	# shellcheck disable=SC2086 # lists of words
	{ spin -a "$@" "$model" && "${CC:-cc}" -O1 $compiled -o pan pan.c && ./pan -m1000000 $options; } >log 2>&1
}

holds() {
	grep -q 'errors: 0' log && ! grep -q 'Search not completed\|max search depth too small' log
}

# What is never reached proves nothing; processes without an end never reach it.
reached() {
	! grep '\.pml:[0-9]*, state' log | grep -v '"-end-"'
}

check '-DSAFETY -DCOLLAPSE' '' -DREQUESTS=2
holds && reached
result $? "nobody sleeps over work"

check '-DCOLLAPSE -DNFAIR=3' '-a -f' -DREQUESTS=1 -DPROGRESS
holds
result $? "every request is answered in the end"

for fault in NO_BARRIER_B NO_PARTNER_B NO_BARRIER_C NO_PARTNER_C NO_LOOK_B NO_LOOK_C EARLY_IS_FLUSHED MARKER_BY_HEAD; do
	check '-DSAFETY -DCOLLAPSE' '' -DREQUESTS=2 -DINTERRUPTS=0 -D$fault
	grep -q 'invalid end state (at depth' log
	result $? "a wake-up is lost with $fault"
done
exit $status

#!/bin/sh
# SPDX-License-Identifier: MIT
# The BPF programs from a newer compiler than the build's: the verifier takes them, within its budget, and they do the same.
set -u
clang=${SIDECORE_NEW_CLANG:-clang-19}
tests='packet_budget packet_steer packet_screen packet_cookie packet_limit'
cd "$(dirname "$0")/.." || exit 1

if ! command -v "$clang" >/dev/null; then
	echo "ok 1 - BPF programs from $clang # skip $clang is not installed: run sudo ./run deps"
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "ok 1 - BPF programs from $clang # skip takes root"
	exit 0
fi
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT INT TERM
n=0
status=0
for test in $tests; do
	n=$((n + 1))
	if make -s "O=$scratch" "BPF_CLANG=$clang" "$scratch/tests/$test" >"$scratch/log" 2>&1 &&
		"$scratch/tests/$test" >"$scratch/log" 2>&1; then
		echo "ok $n - $test with programs from $clang"
	else
		echo "not ok $n - $test with programs from $clang"
		tail -n 20 "$scratch/log" | sed 's/^/# /'
		status=1
	fi
done
exit $status

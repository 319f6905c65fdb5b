#!/bin/sh
# SPDX-License-Identifier: MIT
# systemd takes our units, which name programs that are built.
command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not installed: install systemd"; exit 77; }
build=${SIDECORE_BUILD:-build}
n=0
status=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

for unit in ringsvc/*.service pkg/*.service; do
	n=$((n + 1))
	name=${unit##*/}
	sed "s|@bindir@|$build/bin|g" "$unit" >"$scratch/$name"
	if systemd-analyze verify --man=no "$scratch/$name" >"$scratch/log" 2>&1 && [ ! -s "$scratch/log" ]; then
		echo "ok $n - $unit"
	else
		sed 's/^/# /' "$scratch/log"
		echo "not ok $n - $unit"
		status=1
	fi
done
exit $status

#!/bin/sh
# SPDX-License-Identifier: MIT
# Our shell scripts pass shellcheck.
command -v shellcheck >/dev/null || { echo "shellcheck is not installed: run sudo ./run deps"; exit 77; }
find . \( -path ./.git -o -path ./build \) -prune -o -name '*.sh' -exec shellcheck run .ci/run tests/kernel/run {} +

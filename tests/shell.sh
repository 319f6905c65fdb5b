#!/bin/sh
# SPDX-License-Identifier: MIT
# Our shell scripts pass shellcheck.
command -v shellcheck >/dev/null || { echo "shellcheck is not installed: run sudo ./run deps"; exit 77; }
git ls-files -co --exclude-standard 2>/dev/null | grep -E '(^|/)run$|\.sh$' | xargs shellcheck

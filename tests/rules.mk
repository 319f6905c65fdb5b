# SPDX-License-Identifier: MIT
tests += abi_layout
tests_plain += abi_layout
abi_layout_src := tests/unit/abi_layout.c
abi_layout_dirs := tests/unit
abi_layout_bpf := tests/unit/abi_layout
abi_layout_libs := -lbpf

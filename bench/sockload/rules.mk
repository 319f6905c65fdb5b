# SPDX-License-Identifier: MIT
programs += sockload
sockload_src := $(wildcard bench/sockload/*.c) bench/listen.c
sockload_objs := cli/usage.c examples/signals.c
sockload_dirs := bench/sockload bench/ops bench/xdpload

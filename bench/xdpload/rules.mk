# SPDX-License-Identifier: MIT
programs += xdpload
xdpload_src := $(filter-out %.bpf.c,$(wildcard bench/xdpload/*.c))
xdpload_objs := cli/usage.c
xdpload_bpf := bench/xdpload/xdpload
xdpload_libs := -lbpf

# SPDX-License-Identifier: MIT
programs += sidecore-loader
sidecore-loader_src := $(wildcard loader/*.c)
sidecore-loader_objs := cli/usage.c
sidecore-loader_bpf := steer
sidecore-loader_libs := -lbpf -ljansson -lcap

tests += steer_spec steer_cpulist steer_spread steer_prefix
steer_spec_src := tests/unit/steer_spec.c
steer_spec_objs := loader/spec.c
steer_cpulist_src := tests/unit/steer_cpulist.c
steer_cpulist_objs := loader/cpulist.c
steer_spread_src := tests/unit/steer_spread.c
steer_spread_objs := loader/spread.c
steer_prefix_src := tests/unit/steer_prefix.c
steer_prefix_objs := loader/prefix.c

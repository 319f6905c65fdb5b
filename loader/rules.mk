# SPDX-License-Identifier: MIT
programs += sidecore-loader
sidecore-loader_src := $(wildcard loader/*.c)
sidecore-loader_objs := cli/usage.c
sidecore-loader_bpf := steer
sidecore-loader_libs := -lbpf -ljansson -lcap -lmnl

tests += steer_spec steer_cpulist steer_spread steer_prefix steer_knob steer_config steer_blocks
steer_spec_src := tests/unit/steer_spec.c
steer_spec_objs := loader/spec.c
steer_cpulist_src := tests/unit/steer_cpulist.c
steer_cpulist_objs := loader/cpulist.c
steer_spread_src := tests/unit/steer_spread.c
steer_spread_objs := loader/spread.c
steer_prefix_src := tests/unit/steer_prefix.c
steer_prefix_objs := loader/prefix.c
steer_blocks_src := tests/unit/steer_blocks.c
steer_blocks_objs := loader/blocks.c
steer_knob_src := tests/unit/steer_knob.c
steer_knob_objs := loader/knob.c loader/files.c loader/cpulist.c loader/ethtool.c loader/kthread.c loader/napi.c loader/caps.c \
	loader/log.c
steer_knob_libs := -lbpf -lcap -lmnl
steer_config_src := tests/unit/steer_config.c
steer_config_objs := $(filter-out loader/main.c,$(wildcard loader/*.c)) cli/usage.c
steer_config_libs := $(sidecore-loader_libs)

# SPDX-License-Identifier: MIT
programs += sidecore-loader
sidecore-loader_src := $(wildcard loader/*.c)
sidecore-loader_bpf := steer
sidecore-loader_libs := -lbpf -ljansson -lcap

# SPDX-License-Identifier: MIT
programs += ops_libapp ops_epoll
ops_libapp_src := bench/ops/ops_libapp.c bench/ops/ops.c bench/listen.c
ops_libapp_objs := $(addprefix examples/,engine.c options.c report.c signals.c) cli/usage.c
ops_libapp_dirs := bench/ops
ops_libapp_libs := $(libapp)

ops_epoll_src := bench/ops/ops_epoll.c bench/ops/ops.c bench/listen.c
ops_epoll_objs := $(addprefix examples/,options.c report.c signals.c) cli/usage.c
ops_epoll_dirs := bench/ops

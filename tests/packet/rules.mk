# SPDX-License-Identifier: MIT
tests += packet_steer packet_screen packet_cookie packet_limit
packet_steer_src := tests/packet/steer.c tests/packet/frame.c tests/packet/bench.c
packet_steer_bpf := steer
packet_steer_libs := -lbpf
packet_screen_src := tests/packet/screen.c tests/packet/frame.c tests/packet/bench.c
packet_screen_bpf := steer
packet_screen_libs := -lbpf
packet_cookie_src := tests/packet/cookie.c tests/packet/frame.c tests/packet/bench.c
packet_cookie_bpf := steer
packet_cookie_libs := -lbpf
packet_limit_src := tests/packet/limit.c tests/packet/frame.c tests/packet/bench.c
packet_limit_bpf := steer
packet_limit_libs := -lbpf -lpthread

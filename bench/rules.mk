# SPDX-License-Identifier: MIT
# The baselines share all of examples/httpd but its I/O. ($(http_server) is set in examples/rules.mk, read later.)
baseline := $(addprefix bench/,baseline.c listen.c workers.c)

programs += httpd_epoll
httpd_epoll_src := bench/httpd_epoll.c bench/backlog.c $(baseline)
httpd_epoll_objs = $(http_server) cli/usage.c
httpd_epoll_libs := -lllhttp

programs += httpd_uring
httpd_uring_src := bench/httpd_uring.c bench/uring.c $(baseline)
httpd_uring_objs = $(http_server) examples/input.c cli/usage.c
httpd_uring_libs := -lllhttp -luring

# SPDX-License-Identifier: MIT
# What every HTTP server shares, whatever moves its bytes; bench/ borrows it.
http_server := $(addprefix examples/,date.c files.c handler.c http.c linger.c mime.c options.c report.c respond.c \
	signals.c site.c target.c work.c)

programs += httpd
httpd_src := $(addprefix examples/,httpd.c connection.c engine.c input.c pool.c) $(http_server)
httpd_objs := cli/usage.c
httpd_libs := $(libapp) -lllhttp

programs += echo
echo_src := $(addprefix examples/,echo.c engine.c options.c report.c signals.c)
echo_objs := cli/usage.c
echo_libs := $(libapp)

programs += udp_echo
udp_echo_src := $(addprefix examples/,udp_echo.c engine.c options.c report.c signals.c)
udp_echo_objs := cli/usage.c
udp_echo_libs := $(libapp)

programs += proxy
proxy_src := $(addprefix examples/,proxy.c relay.c engine.c options.c report.c signals.c)
proxy_objs := cli/usage.c
proxy_libs := $(libapp)

tests += http_request
http_request_src := tests/unit/http_request.c
http_request_objs := examples/http.c examples/target.c
http_request_libs := -lllhttp

tests += http_respond
http_respond_src := tests/unit/http_respond.c
http_respond_objs := $(addprefix examples/,date.c files.c handler.c http.c mime.c respond.c target.c work.c)
http_respond_libs := -lllhttp

tests += files_cache
files_cache_src := tests/unit/files_cache.c
files_cache_objs := examples/files.c examples/mime.c

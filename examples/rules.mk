# SPDX-License-Identifier: MIT
# What every HTTP server shares, whatever moves its bytes; bench/ borrows it.
http_server := $(addprefix examples/,date.c files.c handler.c http.c linger.c mime.c options.c report.c respond.c \
	signals.c site.c target.c work.c)

programs += httpd
httpd_src := $(addprefix examples/,httpd.c connection.c engine.c input.c pool.c) $(http_server)
httpd_libs := $(libapp) -lllhttp

programs += echo
echo_src := $(addprefix examples/,echo.c engine.c options.c report.c signals.c)
echo_libs := $(libapp)

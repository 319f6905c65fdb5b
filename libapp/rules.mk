# SPDX-License-Identifier: MIT
libs += libapp
libapp_src := $(wildcard libapp/*.c)
libapp_libs := -luring

tests += app app_connect arena channel conn control random
app_src := tests/unit/app.c tests/unit/app_server.c tests/unit/app_peer.c tests/unit/app_service.c
app_libs := $(libapp) -lpthread
app_connect_src := $(addprefix tests/unit/,app_connect.c app_server.c app_peer.c app_service.c)
app_connect_libs := $(libapp) -lpthread
arena_src := tests/unit/arena.c
arena_objs := libapp/arena.c
conn_src := tests/unit/conn.c
conn_objs := $(wildcard libapp/*.c)
conn_libs := -luring
random_src := tests/unit/random.c tests/unit/random_app.c tests/unit/random_model.c tests/unit/random_peer.c \
	tests/unit/random_wire.c tests/unit/app_peer.c tests/unit/app_service.c
random_dirs := libapp
random_libs := $(libapp) -lpthread
channel_src := tests/unit/channel.c
channel_objs := libapp/channel.c libapp/reason.c
control_src := tests/unit/control.c
control_objs := libapp/control.c libapp/reason.c

ifeq ($(SAN)$(TSAN),)
$(O)/tests/app $(O)/tests/app_connect $(O)/tests/random: | $(O)/bin/sidecore-ringsvc
endif

# SPDX-License-Identifier: MIT
libs += libapp
libapp_src := $(wildcard libapp/*.c)
libapp_libs := -luring

tests += app arena channel conn control
app_src := tests/unit/app.c tests/unit/app_peer.c tests/unit/app_service.c
app_libs := $(libapp) -lpthread
arena_src := tests/unit/arena.c
arena_objs := libapp/arena.c
conn_src := tests/unit/conn.c
conn_objs := $(wildcard libapp/*.c)
conn_libs := -luring
channel_src := tests/unit/channel.c
channel_objs := libapp/channel.c libapp/reason.c
control_src := tests/unit/control.c
control_objs := libapp/control.c libapp/reason.c

ifeq ($(SAN)$(TSAN),)
$(O)/tests/app: | $(O)/bin/sidecore-ringsvc
endif

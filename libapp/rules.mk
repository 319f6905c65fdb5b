# SPDX-License-Identifier: MIT
libs += libapp
libapp_src := $(wildcard libapp/*.c)
libapp_libs := -luring

# Programs of scenarios that run on every engine: tests/unit/NAME.c
scenarios := $(filter-out app_pair app_peer app_server app_service,$(basename $(notdir $(wildcard tests/unit/app*.c))))
$(foreach s,$(scenarios),$(eval $s_src := $(addprefix tests/unit/,$s.c app_server.c app_peer.c app_service.c)))
$(foreach s,$(scenarios),$(eval $s_libs := $(libapp) -lpthread))

app_job_src += tests/unit/app_pair.c
app_mode_src += tests/unit/app_pair.c
app_sync_src += tests/unit/app_pair.c
app_pressure_dirs := libapp
app_faults_dirs := libapp
# The functions that tests/unit/app_faults.c names
app_faults_ldflags := $(shell sed -n 's/^FAULT\(_RING\)*[^a-z]\(void \*, \|int, \|ssize_t, \)*\([a-z_0-9]*\),.*/-Wl,--wrap=\3/p' \
	tests/unit/app_faults.c)

tests += $(scenarios) arena channel conn control handover job priority random udp zerocopy
arena_src := tests/unit/arena.c
arena_objs := libapp/arena.c
conn_src := tests/unit/conn.c tests/unit/conn_fake.c
conn_objs := $(wildcard libapp/*.c)
conn_libs := -luring
handover_src := tests/unit/handover.c tests/unit/conn_fake.c
handover_objs := $(wildcard libapp/*.c)
handover_libs := -luring
job_src := tests/unit/job.c tests/unit/conn_fake.c
job_objs := $(wildcard libapp/*.c)
job_libs := -luring
priority_src := tests/unit/priority.c tests/unit/conn_fake.c
priority_objs := $(wildcard libapp/*.c)
priority_libs := -luring
zerocopy_src := tests/unit/zerocopy.c tests/unit/conn_fake.c
zerocopy_objs := $(wildcard libapp/*.c)
zerocopy_libs := -luring
udp_src := tests/unit/udp.c tests/unit/conn_fake.c
udp_objs := $(wildcard libapp/*.c)
udp_libs := -luring
random_src := tests/unit/random.c tests/unit/random_app.c tests/unit/random_model.c tests/unit/random_peer.c \
	tests/unit/random_wire.c tests/unit/app_peer.c tests/unit/app_service.c
random_dirs := libapp
random_libs := $(libapp) -lpthread
channel_src := tests/unit/channel.c
channel_objs := libapp/channel.c libapp/reason.c
control_src := tests/unit/control.c
control_objs := libapp/control.c libapp/reason.c

ifeq ($(SAN)$(TSAN),)
$(scenarios:%=$(O)/tests/%) $(O)/tests/random: | $(O)/bin/sidecore-ringsvc
endif

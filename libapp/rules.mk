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

# Programs that need no kernel: tests/unit/NAME.c on a fake lane
fakes := conn gather handover job priority segment udp zerocopy
$(foreach f,$(fakes),$(eval $f_src := tests/unit/$f.c tests/unit/conn_fake.c))
$(foreach f,$(fakes),$(eval $f_objs := $(wildcard libapp/*.c)))
$(foreach f,$(fakes),$(eval $f_libs := -luring))

tests += $(scenarios) $(fakes) arena channel control random
arena_src := tests/unit/arena.c
arena_objs := libapp/arena.c
random_src := tests/unit/random.c tests/unit/random_app.c tests/unit/random_mail.c tests/unit/random_model.c tests/unit/random_peer.c \
	tests/unit/random_wire.c tests/unit/app_peer.c tests/unit/app_service.c
random_dirs := libapp
random_libs := $(libapp) -lpthread
channel_src := tests/unit/channel.c
channel_objs := libapp/channel.c libapp/reason.c
control_src := tests/unit/control.c
control_objs := libapp/control.c libapp/reason.c

$(scenarios:%=$(O)/tests/%) $(O)/tests/random: | $(service)

# SPDX-License-Identifier: MIT
# What the network tests run against the service, beside honest applications.
programs += hostile
hostile_src := $(addprefix tests/hostile/,hostile.c attack.c session.c)

programs += norights
norights_src := tests/hostile/norights.c
norights_libs := -lseccomp

# SPDX-License-Identifier: MIT
programs += lanes
lanes_src := tests/lanes/lanes.c
lanes_libs := $(libapp)

# SPDX-License-Identifier: MIT
programs += sidecore-ringsvc
sidecore-ringsvc_src := $(wildcard ringsvc/*.c)
sidecore-ringsvc_libs := -luring -lcap -lseccomp

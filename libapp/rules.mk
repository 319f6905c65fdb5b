# SPDX-License-Identifier: MIT
libs += libapp
libapp_src := $(wildcard libapp/*.c)
libapp_libs := -luring

# SPDX-License-Identifier: MIT
tests += wake
wake_src := tests/unit/wake.c tests/unit/app_peer.c tests/unit/app_service.c
wake_libs := $(libapp) -lpthread

# Sanitizers make system calls of their own.
tests += quiet
tests_plain += quiet
quiet_src := tests/unit/quiet.c tests/unit/app_peer.c tests/unit/app_service.c
quiet_libs := $(libapp) -lpthread

$(O)/tests/wake $(O)/tests/quiet: | $(service)

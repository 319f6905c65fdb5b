# SPDX-License-Identifier: MIT
tests += wake
wake_src := tests/unit/wake.c tests/unit/app_peer.c tests/unit/app_service.c
wake_libs := $(libapp) -lpthread

ifeq ($(SAN)$(TSAN),)
$(O)/tests/wake: | $(O)/bin/sidecore-ringsvc
endif

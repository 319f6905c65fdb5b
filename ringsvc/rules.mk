# SPDX-License-Identifier: MIT
programs += sidecore-ringsvc
sidecore-ringsvc_src := $(wildcard ringsvc/*.c)
sidecore-ringsvc_objs := cli/usage.c
sidecore-ringsvc_libs := -luring -lcap -lseccomp

tests += ringsvc_cpulist ringsvc_request ringsvc_layout ringsvc_quota
ringsvc_cpulist_src := tests/unit/ringsvc_cpulist.c
ringsvc_cpulist_objs := ringsvc/cpulist.c
ringsvc_request_src := tests/unit/ringsvc_request.c
ringsvc_request_objs := ringsvc/request.c
ringsvc_layout_src := tests/unit/ringsvc_layout.c
ringsvc_layout_objs := ringsvc/layout.c ringsvc/request.c
ringsvc_quota_src := tests/unit/ringsvc_quota.c
ringsvc_quota_objs := ringsvc/quota.c

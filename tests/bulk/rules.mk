# SPDX-License-Identifier: MIT
programs += bulk
bulk_src := tests/bulk/bulk.c
bulk_libs := $(libapp)

/* SPDX-License-Identifier: MIT */
/* The kernel's types for BPF programs: the part that we use. The headers below come from regenerate.sh. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include "types.h"
#include "packet.h"
#include "xdp.h"

#endif

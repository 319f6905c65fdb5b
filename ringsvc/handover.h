/* SPDX-License-Identifier: MIT */
/* What broker and engine say to each other over their socket pair; both sides check all of it. */
#ifndef RINGSVC_HANDOVER_H
#define RINGSVC_HANDOVER_H

#include <linux/types.h>

enum sc_handover_limit {
	SC_HANDOVER_MAGIC = 0x4f444e48,
	SC_REPORT_MAGIC = 0x54504552,
	SC_SESSIONS_MAX = 64, /* per engine; the broker counts */
};

/* broker -> engine, with two descriptors: a connection and the pidfd of the process at its other end. */
struct sc_handover {
	__u32 magic;
	__u32 session; /* what the engine's report is to call it, below SC_SESSIONS_MAX */
};

/* engine -> broker: this session has ended, and nothing is left of it. */
struct sc_report {
	__u32 magic;
	__u32 session;
};

#endif

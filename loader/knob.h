/* SPDX-License-Identifier: MIT */
/* What decides, besides XDP, on which CPU the packets of a device are worked on: each setting is a knob of some kind. */
#ifndef SC_LOADER_KNOB_H
#define SC_LOADER_KNOB_H

#include <net/if.h>
#include <sched.h>
#include <stdbool.h>

enum sc_tuned {
	SC_TUNED_IRQ = 1, /* interrupts, RSS, RPS, XPS */
	SC_TUNED_BUSY_POLL = 2, /* threaded NAPI */
	SC_TUNED_NO_RT = 4, /* how, not what: its threads stay at normal priority */
};

/* Where the knobs of a device are. */
struct sc_panel {
	int sysfs; /* root of a sysfs that shows the device */
	int proc;
	char ifname[IF_NAMESIZE];
	int ifindex;
	bool no_rt;
};

struct sc_knob_kind {
	const char *name; /* one word */
	enum sc_tuned part;
	const char *what; /* in messages */
	const char *without; /* what to do where a device has none: "reason; next step" */
	/* Calls visit for the name of each: one word. 0; -ENOENT, -EOPNOTSUPP: the device has none; else -errno. */
	int (*list)(const struct sc_panel *panel, int (*visit)(void *context, const char *name), void *context);
	/* The setting as one line, allocated. 0 or -errno. */
	int (*read)(const struct sc_panel *panel, const char *name, char **ret_line);
	int (*write)(const struct sc_panel *panel, const char *name, const char *line);
	/* What the one of that index is to be for these CPUs, allocated; NULL without memory. */
	char *(*wanted)(const struct sc_panel *panel, int index, const cpu_set_t *cpus);
};

/* In the order in which they are set; ends with a NULL name. */
extern const struct sc_knob_kind sc_knob_kinds[];

#endif

/* SPDX-License-Identifier: MIT */
/* What an interface is to be, once attach is done. */
#ifndef SC_LOADER_PLAN_H
#define SC_LOADER_PLAN_H

#include <sched.h>
#include <stdbool.h>

#include "buckets.h"
#include "cookies.h"
#include "device.h"
#include "filters.h"
#include "lists.h"
#include "pins.h"
#include "spec.h"
#include "wish.h"

enum {
	SC_SPARED_MAX = 1024, /* ports that are never dropped, of one plan */
};

struct sc_plan {
	cpu_set_t cpus;
	enum sc_mode mode;
	int spec_cnt;
	struct sc_spec specs[SC_STEER_SERVICES_MAX];
	int xsk_cnt;
	struct sc_spec xsk[SC_STEER_SERVICES_MAX]; /* those of them whose packets are for AF_XDP sockets */
	int spared_cnt;
	struct sc_spec spared[SC_SPARED_MAX];
	bool is_whole; /* services, spared ports and limits that are not in it go */
	enum sc_wish filters[SC_FILTERS];
	enum sc_wish irq; /* SC_TUNED_IRQ */
	enum sc_wish busy_poll; /* SC_TUNED_BUSY_POLL */
	enum sc_wish syn; /* SYN cookies, by this rule if on */
	struct sc_cookies cookies;
	int limit_cnt;
	struct sc_limit_entry limits[SC_LIMITS_MAX];
	/* By enum sc_list. */
	bool has_list[SC_LIST_ALLOW + 1]; /* without, a list stays as it is */
	struct sc_prefixes lists[SC_LIST_ALLOW + 1];
};

/* Modules that are to be on while the plan is carried out, of an interface where `now` are. */
__u32 sc_plan_modules(const struct sc_plan *plan, __u32 now);

/*
 * Ports that are spared, and the rule of SYN cookies: due before programs run that might drop their packets, or obey it. Says why not. 0
 * or -errno.
 */
int sc_plan_prepare(const struct sc_plan *plan, const struct sc_place *place, const struct sc_pins *pins);

/* The lists: due when programs run that look into them. 0 or -errno. */
int sc_plan_fill_lists(const struct sc_plan *plan, const struct sc_pins *pins);

/* Parts (enum sc_tuned) that are to be tuned, of an interface where `now` are. */
unsigned int sc_plan_tuned(const struct sc_plan *plan, unsigned int now);

/* Services, their limits and CPUs, and then away with what a whole plan does not have. 0 or -errno. */
int sc_plan_carry_out(const struct sc_plan *plan, const struct sc_pins *pins);

#endif

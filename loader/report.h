/* SPDX-License-Identifier: MIT */
/* What is known of one attached interface, and how it is shown. */
#ifndef SC_LOADER_REPORT_H
#define SC_LOADER_REPORT_H

#include <jansson.h>
#include <sched.h>

#include "buckets.h"
#include "cookies.h"
#include "device.h"
#include "pins.h"
#include "place.h"
#include "plan.h"
#include "services.h"

/* schema_version of all JSON: changes when a key changes its name or meaning, not when one is added. */
#define SC_REPORT_SCHEMA 1

struct sc_service_report {
	struct sc_spec spec;
	struct sc_service_count sum; /* over all CPUs */
	__u64 arrived[CPU_SETSIZE]; /* by CPU */
};

struct sc_report {
	const struct sc_place *place;
	enum sc_mode mode;
	__u32 program_id;
	char program_name[16];
	unsigned char program_tag[8];
	__u32 modules; /* that are on */
	int spared_cnt; /* may be more than are kept */
	struct sc_spec spared[SC_SPARED_MAX];
	bool is_pending; /* a change waits to be confirmed */
	unsigned int left_s; /* until it is taken back, 0: nobody will */
	unsigned int tuned; /* enum sc_tuned */
	cpu_set_t cpus; /* dedicated */
	unsigned int slots[CPU_SETSIZE]; /* of the indirection table, by CPU */
	struct sc_cookies cookies;
	int limit_cnt;
	struct sc_limit_entry limits[SC_LIMITS_MAX];
	__u64 counters[SC_REASON_CNT];
	int service_cnt;
	struct sc_service_report *services;
};

/* Gathers all. 0 or -errno; sc_report_exit() after 0. */
int sc_report_init(struct sc_report *report, const struct sc_place *place, const struct sc_pins *pins);
void sc_report_exit(struct sc_report *report);

/* Prints for a reader. */
void sc_report_text(const struct sc_report *report);

/* The object for one interface, NULL without memory. */
json_t *sc_report_json(const struct sc_report *report);

/* Prints the document of status for one interface. Says why not. 0 or -errno. */
int sc_report_one(const struct sc_place *place, const struct sc_pins *pins);

/* Tells that something was done to an interface: "detached", say. 0 or -errno. */
int sc_report_done(const char *ifname, const char *what, bool json);

/* Prints root to stdout and gives it up. 0 or -errno, then said why. */
int sc_report_print(json_t *root);

#endif

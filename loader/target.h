/* SPDX-License-Identifier: MIT */
/* The command line of commands that work on an interface that is attached: [IF] [WORD...] [OPTION...]. */
#ifndef SC_LOADER_TARGET_H
#define SC_LOADER_TARGET_H

#include <sched.h>
#include <stdbool.h>

#include "cli.h"
#include "pins.h"
#include "place.h"
#include "spec.h"

struct sc_target;

/* What must follow IF: one word, or several. */
struct sc_operand {
	const char *name; /* in --help, such as PREFIX... or FILE; dots: may be repeated */
	const char *what; /* in messages, such as "prefix" */
	/* Takes a word, or ends the program by sc_usage(). */
	void (*take)(struct sc_target *target, const char *word, struct argp_state *state);
};

extern const struct sc_operand sc_operand_cpus; /* into target->cpus */
extern const struct sc_operand sc_operand_services; /* into target->specs */

/* May be the first member of what a command keeps of its own command line. */
struct sc_target {
	struct sc_common common;
	/* What the command takes; set by the caller. */
	const char *doc;
	const struct sc_operand *operand; /* NULL: nothing follows IF */
	bool takes_json;
	bool ifname_optional;
	bool takes_older; /* what an older version has pinned is opened too */
	const struct argp *extra; /* options of the command itself, may be NULL */
	void *extra_input;
	/* What was given. */
	const char *ifname;
	bool json;
	int operand_cnt;
	cpu_set_t cpus;
	int spec_cnt;
	struct sc_spec specs[SC_STEER_SERVICES_MAX];
};

/* Parses or exits. */
void sc_target_parse(struct sc_target *target, int argc, char **argv);

/* Opens place and pins of target->ifname; says why not. 0 or -errno; sc_target_close() after 0. */
int sc_target_open(const struct sc_target *target, struct sc_place *place, struct sc_pins *pins);
void sc_target_close(struct sc_place *place, struct sc_pins *pins);

/* Opens the pins of a place; says why not. */
int sc_target_open_pins(const struct sc_place *place, struct sc_pins *pins);

/* Says that the interface is not attached, and whose program is there if one is. */
void sc_target_say_absent(const struct sc_place *place);

/* Says why its pins, which are there, cannot be used: an error of sc_pins_open(). */
void sc_target_say_unreadable(const struct sc_place *place, int err);

#endif

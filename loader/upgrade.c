// SPDX-License-Identifier: MIT
// Command upgrade: the programs of this binary in the place of those that run, and back if steering suffers.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "cli.h"
#include "health.h"
#include "hint.h"
#include "log.h"
#include "modules.h"
#include "object.h"
#include "pending.h"
#include "probation.h"
#include "report.h"
#include "signals.h"
#include "steering.h"
#include "target.h"
#include "usage.h"

enum {
	OPTION_HEALTH = 0x200,
};

/* Others wait for the lock up to 10 s. */
static const double health_max_s = 5;

struct options {
	struct sc_target target;
	double health_s;
	unsigned int rollback_s;
	bool from_older; /* version */
	char anew[256]; /* maps that it has in another shape */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->rollback_s;
		return 0;
	case OPTION_HEALTH:
		options->health_s = strtod(arg, &end);
		/* Written so that "nan" fails too. */
		if (end == arg || *end || !(options->health_s >= 0 && options->health_s <= health_max_s))
			sc_usage(state, "--health %s: not a number of seconds from 0 to 5", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "health", OPTION_HEALTH, "SECONDS", 0, "Time of the check that steering still works, 0 to 5 (default 2)", 0 },
	{ 0 },
};

static const struct argp_child children[] = { { .argp = &sc_probation_argp }, { 0 } };
static const struct argp extra = { .options = option_table, .parser = parse, .children = children };

static __u32 program_id(int program)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(program, &info, &len) ? 0 : info.id;
}

static int show(const struct options *options, const struct sc_place *place, const struct sc_health *health,
		__u32 before, __u32 now)
{
	if (options->target.json)
		return sc_report_print(json_pack(
			"{s:i, s:s, s:I, s:I, s:f, s:I, s:I, s:s}", "schema_version", SC_REPORT_SCHEMA, "interface",
			place->ifname, "program_before", (json_int_t)before, "program", (json_int_t)now, "health_s",
			options->health_s, "packets_before", (json_int_t)health->before.received, "packets_after",
			(json_int_t)health->after.received, "maps_anew", options->anew));
	printf("%s: program %u in the place of %u", place->ifname, now, before);
	if (options->health_s > 0)
		printf("; packets in %g s before: %llu, after: %llu", options->health_s / 2,
		       (unsigned long long)health->before.received, (unsigned long long)health->after.received);
	if (options->anew[0])
		printf("; begun anew: %s", options->anew);
	puts("");
	fflush(stdout);
	return 0;
}

/* From here on the maps are this version's, and the way back is closed. */
static int take_over(const struct sc_place *place, const struct sc_pins *pins)
{
	int err = sc_pins_replace(pins, place->dir);

	err = err ?: sc_steering_renew_schema(pins);
	if (err)
		sc_hint_error(place->dir, SC_STEP_PIN, err);
	return err;
}

static int drop_unfit(struct options *options, const struct sc_place *place, struct sc_pins *pins)
{
	int err = sc_object_drop_unfit(pins, options->anew, sizeof(options->anew));

	if (err)
		sc_hint_error(place->ifname, SC_STEP_LOAD, err);
	return err;
}

/* Takes the programs back at once if the check fails. */
static int exchange(struct options *options, const struct sc_place *place, struct sc_pins *pins, struct sc_undo *undo)
{
	struct sc_health health = { 0 };
	const char *why = NULL;
	__u32 modules;
	int err;

	err = sc_modules_keep(place, pins, &modules);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_SWAP, err);
		return err;
	}
	if (options->health_s > 0)
		err = sc_health_init(&health, place, pins, options->health_s);
	if (err == -EINTR)
		sc_error("%s: asked to end, nothing changed; run it again", place->ifname);
	if (!err && options->from_older)
		err = drop_unfit(options, place, pins);
	err = err ?: sc_swap_init(&undo->swap, place, pins, modules);
	if (err)
		return err;
	undo->was_attached = true;
	if (options->health_s > 0)
		why = sc_health_judge(&health, place, pins);
	if (!why && options->from_older && take_over(place, pins))
		why = "its maps cannot be pinned";
	if (!why)
		return show(options, place, &health, program_id(undo->swap.steer), program_id(pins->steer));
	err = sc_undo_run(undo, place, pins);
	if (!err)
		sc_error("%s: %s: the programs before run again; see sidecore-loader doctor %s", place->ifname, why,
			 place->ifname);
	return err ?: -ECANCELED;
}

/* Its maps could not come back with its programs. */
static int refuse_rollback(const struct options *options)
{
	if (!options->from_older || !options->rollback_s)
		return 0;
	sc_error("%s: attached by an older version, there is no way back to it; run it without --rollback-after",
		 options->target.ifname);
	return -EINVAL;
}

int sc_cmd_upgrade(int argc, char **argv)
{
	static struct options options = {
		.target.doc =
			"Puts the programs of this version in the place of those on IF, without loss of a packet, and goes back "
			"to those before if steering does not work any more.",
		.target.takes_json = true,
		.target.takes_older = true,
		.target.extra = &extra,
		.target.extra_input = &options,
		.health_s = 2,
	};
	static struct sc_undo undo;
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&options.target, argc, argv);
	if (sc_target_open(&options.target, &place, &pins))
		return SC_EXIT_FAILURE;
	sc_undo_init(&undo);
	sc_signals_hold();
	options.from_older = sc_steering_check(pins.steering) == -ESTALE;
	err = refuse_rollback(&options);
	err = err ?: sc_pending_refuse(&place);
	err = err ?: exchange(&options, &place, &pins, &undo);
	if (!err && options.rollback_s)
		err = sc_probation(&place, &pins, &undo, options.rollback_s, options.target.json);
	sc_undo_exit(&undo);
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

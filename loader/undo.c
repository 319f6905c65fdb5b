// SPDX-License-Identifier: MIT
// Remembers an attached interface as a plan and its programs as descriptors, and brings them back.
#include <errno.h>
#include <string.h>

#include "hint.h"
#include "log.h"
#include "modules.h"
#include "ports.h"
#include "services.h"
#include "steering.h"
#include "tuning.h"
#include "undo.h"

void sc_undo_init(struct sc_undo *undo)
{
	memset(undo, 0, sizeof(*undo));
	undo->swap = (struct sc_swap){ .steer = -1, .on_cpu = -1 };
}

void sc_undo_exit(struct sc_undo *undo)
{
	sc_prefixes_free(&undo->plan.lists[SC_LIST_DENY]);
	sc_prefixes_free(&undo->plan.lists[SC_LIST_ALLOW]);
	if (undo->swap.steer >= 0)
		sc_swap_exit(&undo->swap);
	sc_undo_init(undo);
}

static int remember_services(struct sc_plan *plan, const struct sc_pins *pins)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	int i, cnt = sc_services_list(pins, entries);

	for (i = 0; i < cnt && i < SC_STEER_SERVICES_MAX; i++)
		plan->specs[plan->spec_cnt++] = entries[i].spec;
	return cnt < 0 ? cnt : 0;
}

static int remember_xsk(struct sc_plan *plan, const struct sc_pins *pins)
{
	int cnt = sc_ports_marked(pins, SC_PORT_SOCKET, plan->xsk, SC_STEER_SERVICES_MAX);

	plan->xsk_cnt = cnt < 0 ? 0 : cnt;
	return cnt < 0 ? cnt : 0;
}

static int remember_lists(struct sc_plan *plan, const struct sc_pins *pins, const struct sc_plan *next)
{
	int list, err = 0;

	for (list = SC_LIST_DENY; list <= SC_LIST_ALLOW && !err; list++) {
		/* A prefix that comes to one list leaves the other. */
		plan->has_list[list] = next->has_list[SC_LIST_DENY] || next->has_list[SC_LIST_ALLOW];
		if (plan->has_list[list])
			err = sc_lists_read(pins, list, &plan->lists[list]);
	}
	return err;
}

static int remember_spared(struct sc_plan *plan, const struct sc_pins *pins)
{
	int cnt = sc_modules_spared(pins, plan->spared, SC_SPARED_MAX);

	if (cnt > SC_SPARED_MAX)
		return -E2BIG;
	plan->spared_cnt = cnt < 0 ? 0 : cnt;
	return cnt < 0 ? cnt : 0;
}

static int remember_cookies(struct sc_plan *plan, const struct sc_pins *pins)
{
	int err = sc_cookies_read(pins, &plan->cookies);

	plan->syn = plan->cookies.on ? SC_WISH_ON : SC_WISH_OFF;
	return err;
}

static int remember_limits(struct sc_plan *plan, const struct sc_pins *pins)
{
	int cnt = sc_limits_list(pins, plan->limits);

	plan->limit_cnt = cnt < 0 ? 0 : cnt;
	return cnt < 0 ? cnt : 0;
}

int sc_undo_remember(struct sc_undo *undo, const struct sc_place *place, const struct sc_pins *pins,
		     const struct sc_plan *next)
{
	struct sc_plan *plan = &undo->plan;
	int err;

	plan->is_whole = true;
	err = sc_steering_get_cpus(pins, &plan->cpus);
	err = err ?: remember_services(plan, pins);
	err = err ?: remember_xsk(plan, pins);
	err = err ?: remember_spared(plan, pins);
	err = err ?: remember_lists(plan, pins, next);
	err = err ?: remember_cookies(plan, pins);
	err = err ?: remember_limits(plan, pins);
	err = err ?: sc_tuning_get(place, &undo->tuned);
	undo->was_attached = undo->has_plan = !err;
	if (err == -E2BIG)
		sc_error(
			"%s: more than %d ports are spared, too many to change it; run sidecore-loader screen %s --may-drop PORT",
			place->ifname, SC_SPARED_MAX, place->ifname);
	else if (err)
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
	return err;
}

/* The programs that look into the lists come before what is on them. */
static int bring_back_lists(const struct sc_plan *plan, const struct sc_place *place, struct sc_pins *pins)
{
	int err;

	err = sc_plan_prepare(plan, place, pins);
	if (err)
		return err;
	err = sc_modules_switch(place, pins, sc_plan_modules(plan, 0), true);
	if (err)
		return err;
	err = sc_plan_fill_lists(plan, pins);
	if (err)
		sc_hint_error(place->ifname, SC_STEP_LISTS, err);
	return err;
}

static int bring_back(struct sc_undo *undo, const struct sc_place *place, struct sc_pins *pins)
{
	int err = 0;

	if (undo->has_plan)
		err = bring_back_lists(&undo->plan, place, pins);
	if (!err && undo->swap.steer >= 0)
		err = sc_swap_undo(&undo->swap, place, pins);
	if (err || !undo->has_plan)
		return err;
	err = sc_plan_carry_out(&undo->plan, pins);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
		return err;
	}
	return sc_tuning_set(place, &undo->plan.cpus, undo->tuned);
}

int sc_undo_run(struct sc_undo *undo, const struct sc_place *place, struct sc_pins *pins)
{
	int err;

	if (undo->was_attached)
		return bring_back(undo, place, pins);
	sc_pins_close(pins);
	(void)sc_tuning_restore(place);
	err = sc_place_remove_dir(place);
	if (err)
		sc_error("%s: cannot remove: %s; remove the files in it", place->dir, strerror(-err));
	return err;
}

// SPDX-License-Identifier: MIT
// Brings the maps of an interface to what a plan says.
#include <errno.h>
#include <string.h>

#include "hint.h"
#include "knob.h"
#include "modules.h"
#include "plan.h"
#include "ports.h"
#include "services.h"
#include "steering.h"

static __u32 turn(__u32 bits, __u32 bit, bool on)
{
	return on ? bits | bit : bits & ~bit;
}

static __u32 fulfil(__u32 bits, __u32 bit, enum sc_wish wish)
{
	return wish == SC_WISH_NONE ? bits : turn(bits, bit, wish == SC_WISH_ON);
}

__u32 sc_plan_modules(const struct sc_plan *plan, __u32 now)
{
	now = sc_filters_modules(plan->filters, now);
	now = fulfil(now, SC_MODULE_COOKIES, plan->syn);
	if (plan->is_whole || plan->limit_cnt)
		now = turn(now, SC_MODULE_LIMITS, plan->limit_cnt);
	if (plan->is_whole || plan->xsk_cnt)
		now = turn(now, SC_MODULE_SOCKETS, plan->xsk_cnt);
	return now | sc_prefixes_modules(&plan->lists[SC_LIST_DENY]) | sc_prefixes_modules(&plan->lists[SC_LIST_ALLOW]);
}

unsigned int sc_plan_tuned(const struct sc_plan *plan, unsigned int now)
{
	now = fulfil(now, SC_TUNED_IRQ, plan->irq);
	return fulfil(now, SC_TUNED_BUSY_POLL, plan->busy_poll);
}

int sc_plan_prepare(const struct sc_plan *plan, const struct sc_place *place, const struct sc_pins *pins)
{
	int i, err = 0;

	for (i = 0; i < plan->spared_cnt && !err; i++)
		err = sc_modules_spare(pins, &plan->spared[i], true);
	if (err)
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
	else if (plan->syn == SC_WISH_ON)
		err = sc_cookies_write_rule(place, pins, &plan->cookies.rule);
	return err;
}

int sc_plan_fill_lists(const struct sc_plan *plan, const struct sc_pins *pins)
{
	int err = 0;

	if (plan->has_list[SC_LIST_ALLOW])
		err = sc_lists_replace(pins, SC_LIST_ALLOW, &plan->lists[SC_LIST_ALLOW]);
	if (!err && plan->has_list[SC_LIST_DENY])
		err = sc_lists_replace(pins, SC_LIST_DENY, &plan->lists[SC_LIST_DENY]);
	return err;
}

static bool has_family(const struct sc_plan *plan, const struct sc_spec *spec)
{
	const struct sc_spec *ours;

	for (ours = plan->specs; ours < plan->specs + plan->spec_cnt; ours++)
		if (ours->protocol == spec->protocol && ours->port == spec->port &&
		    (!ours->family || ours->family == spec->family) &&
		    !memcmp(ours->addr, spec->addr, sizeof(spec->addr)))
			return true;
	return false;
}

/* Family by family: one on any address of both may stand in the plan as two, or with one of them. */
static int drop_other_families(const struct sc_plan *plan, const struct sc_pins *pins, const struct sc_spec *there)
{
	static const __u8 families[] = { SC_STEER_IPV4, SC_STEER_IPV6 };
	struct sc_spec spec = *there;
	int i, err = 0;

	for (i = 0; i < 2 && !err; i++) {
		spec.family = families[i];
		if ((!there->family || there->family == spec.family) && !has_family(plan, &spec))
			err = sc_services_del(pins, &spec);
	}
	return err;
}

static int drop_other_services(const struct sc_plan *plan, const struct sc_pins *pins)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	int i, err = 0, cnt = sc_services_list(pins, entries);

	if (cnt < 0)
		return cnt;
	for (i = 0; i < cnt && !err; i++)
		err = drop_other_families(plan, pins, &entries[i].spec);
	return err;
}

static bool has_port(const struct sc_spec *specs, int cnt, const struct sc_spec *port)
{
	int i;

	for (i = 0; i < cnt; i++)
		if (specs[i].protocol == port->protocol && specs[i].port == port->port)
			return true;
	return false;
}

static int drop_other_xsk(const struct sc_plan *plan, const struct sc_pins *pins)
{
	struct sc_spec specs[SC_STEER_SERVICES_MAX];
	int i, err = 0, cnt = sc_ports_marked(pins, SC_PORT_SOCKET, specs, SC_STEER_SERVICES_MAX);

	if (cnt < 0)
		return cnt;
	for (i = 0; i < cnt && !err; i++)
		if (!has_port(plan->xsk, plan->xsk_cnt, &specs[i]))
			err = sc_ports_mark(pins, &specs[i], SC_PORT_SOCKET, false);
	return err;
}

static int drop_other_spared(const struct sc_plan *plan, const struct sc_pins *pins)
{
	struct sc_spec specs[2 * SC_SPARED_MAX];
	const int max = sizeof(specs) / sizeof(specs[0]);
	int i, cnt, err = 0;

	/* Of more than max, those of the plan are fewer: each round takes some away. */
	do {
		cnt = sc_modules_spared(pins, specs, max);
		if (cnt < 0)
			return cnt;
		for (i = 0; i < cnt && i < max && !err; i++)
			if (!has_port(plan->spared, plan->spared_cnt, &specs[i]))
				err = sc_modules_spare(pins, &specs[i], false);
	} while (!err && cnt > max);
	return err;
}

static bool has_limit(const struct sc_plan *plan, const struct sc_limit_entry *entry)
{
	int i;

	for (i = 0; i < plan->limit_cnt; i++)
		if (sc_limit_is_same(&plan->limits[i], entry))
			return true;
	return false;
}

static int drop_other_limits(const struct sc_plan *plan, const struct sc_pins *pins)
{
	static struct sc_limit_entry entries[SC_LIMITS_MAX];
	int i, err = 0, cnt = sc_limits_list(pins, entries);

	if (cnt < 0)
		return cnt;
	for (i = 0; i < cnt && !err; i++)
		if (!has_limit(plan, &entries[i]))
			err = sc_limits_del(pins, &entries[i]);
	return err;
}

int sc_plan_carry_out(const struct sc_plan *plan, const struct sc_pins *pins)
{
	int i, err = 0;

	for (i = 0; i < plan->spec_cnt && !err; i++)
		err = sc_services_add(pins, &plan->specs[i]);
	for (i = 0; i < plan->xsk_cnt && !err; i++)
		err = sc_services_add_xsk(pins, &plan->xsk[i]);
	for (i = 0; i < plan->limit_cnt && !err; i++)
		err = sc_limits_set(pins, &plan->limits[i]);
	err = err ?: sc_steering_set_cpus(pins, &plan->cpus);
	if (err || !plan->is_whole)
		return err;
	err = drop_other_limits(plan, pins);
	err = err ?: drop_other_xsk(plan, pins);
	err = err ?: drop_other_services(plan, pins);
	return err ?: drop_other_spared(plan, pins);
}

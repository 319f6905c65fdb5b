// SPDX-License-Identifier: MIT
// The options that say how an interface is to be, and what values they take.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpulist.h"
#include "log.h"
#include "services.h"
#include "settings.h"
#include "usage.h"

enum {
	OPTION_NO_FIFO = 0x300,
	OPTION_VALIDITY, /* this and the next by enum sc_filter */
	OPTION_OPTIONS,
	OPTION_FRAGMENTS,
	OPTION_NEVER_DROP,
	OPTION_XSK,
	OPTION_DENY_FILE,
	OPTION_ALLOW_FILE,
	OPTION_IRQ,
	OPTION_BUSY_POLL,
	OPTION_SYN,
	OPTION_SYN_RATE,
	OPTION_SYN_MSS,
	OPTION_LIMIT,
};

static const struct argp_option table[] = {
	{ "cpus", 'c', "LIST", 0,
	  "Dedicated CPUs, such as 1 or 1,3-5, which must be online; they replace those of an earlier attach", 0 },
	{ "mode", 'm', "native|skb|auto", 0,
	  "native: in the driver, or fail (default); skb: in the stack, slower; auto: native, or else skb, and say so",
	  0 },
	{ "service", 's', "SERVICE", 0,
	  "Steer this one, may be repeated: tcp/8080, udp/53, tcp/10.0.0.1:80, tcp/[fd00::1]:80; those of an earlier "
	  "attach stay",
	  0 },
	{ "validity", OPTION_VALIDITY, "on|off", 0, "Drop packets that cannot be right, see screen", 0 },
	{ "options", OPTION_OPTIONS, "pass|drop", 0,
	  "Whether packets with IP options that route them or record their way are dropped, see screen", 0 },
	{ "fragments", OPTION_FRAGMENTS, "pass|drop", 0, "Whether IP fragments are dropped, see screen", 0 },
	{ "xsk", OPTION_XSK, "SERVICE", 0,
	  "Steer this one too, of UDP on any address, and hand its packets to AF_XDP sockets while there are some, see "
	  "service; may be repeated",
	  0 },
	{ "never-drop", OPTION_NEVER_DROP, "PORT", 0,
	  "Never drop packets to this port, such as tcp/22; may be repeated", 0 },
	{ "deny-file", OPTION_DENY_FILE, "FILE", 0, "Drop packets from the prefixes in this file, see deny import", 0 },
	{ "allow-file", OPTION_ALLOW_FILE, "FILE", 0, "Exceptions to the deny list: the prefixes in this file", 0 },
	{ "syn", OPTION_SYN, "auto|on|off", 0,
	  "Answer SYNs with SYN cookies: while there is a flood, always or never, see syn", 0 },
	{ "syn-rate", OPTION_SYN_RATE, "N", 0,
	  "With --syn auto: SYNs per second on one CPU that are a flood (default 10000)", 0 },
	{ "syn-mss", OPTION_SYN_MSS, "N", 0, "With --syn auto or on: offer no larger segments than this", 0 },
	{ "limit", OPTION_LIMIT, "LIMIT", 0,
	  "Drop what comes faster, may be repeated, see limit: a rate, and behind commas what it is for, such as 1000/s or "
	  "tcp/8080,per-source,syn,30/m,burst=10",
	  0 },
	{ "irq", OPTION_IRQ, NULL, 0,
	  "Turn interrupts, RSS, RPS and XPS to the dedicated CPUs too, as far as the driver lets; detach puts them back",
	  0 },
	{ "busy-poll", OPTION_BUSY_POLL, NULL, 0,
	  "Poll by threads on the dedicated CPUs (threaded NAPI), not in interrupts; detach puts it back", 0 },
	{ "no-fifo", OPTION_NO_FIFO, NULL, 0,
	  "Leave the kernel threads of the CPU map and of --busy-poll at normal priority", 0 },
	{ 0 },
};

static const char *take_cpus(struct sc_settings *settings, const char *value)
{
	static char why[64];
	int err = sc_cpulist_parse(value, &settings->plan.cpus);

	if (err == -ERANGE) {
		snprintf(why, sizeof(why), "no CPU has a number of %d or more", CPU_SETSIZE);
		return why;
	}
	return err ? "not a list of CPUs such as 1,3-5" : NULL;
}

static const char *take_service(struct sc_plan *plan, const char *value)
{
	static char why[64];

	if (plan->spec_cnt == SC_STEER_SERVICES_MAX) {
		snprintf(why, sizeof(why), "%d services are the limit", SC_STEER_SERVICES_MAX);
		return why;
	}
	return sc_spec_parse(value, &plan->specs[plan->spec_cnt++]) ?
		       "not a service such as tcp/8080, udp/53, tcp/10.0.0.1:80, tcp/[fd00::1]:80" :
		       NULL;
}

static const char *take_xsk(struct sc_plan *plan, const char *value)
{
	const char *why = take_service(plan, value);
	const struct sc_spec *spec;

	if (why)
		return why;
	spec = &plan->specs[plan->spec_cnt - 1]; /* the one just taken; there is none if it was refused */
	if (!sc_services_may_xsk(spec))
		return "only for UDP on any address, such as udp/53";
	plan->xsk[plan->xsk_cnt++] = *spec;
	return NULL;
}

static const char *take_port(struct sc_plan *plan, const char *value)
{
	struct sc_spec *spec = &plan->spared[plan->spared_cnt];
	static char why[64];

	if (plan->spared_cnt == SC_SPARED_MAX) {
		snprintf(why, sizeof(why), "%d ports are the limit", SC_SPARED_MAX);
		return why;
	}
	if (sc_spec_parse(value, spec) || spec->family)
		return "not a port such as tcp/22";
	plan->spared_cnt++;
	return NULL;
}

static const char *take_syn(struct sc_settings *settings, const char *value)
{
	const char *why = sc_cookies_take_mode(&settings->plan.cookies, value);

	if (!why)
		settings->plan.syn = settings->plan.cookies.on ? SC_WISH_ON : SC_WISH_OFF;
	return why;
}

/* Kept apart until all is there: it may stand before what it is a part of. */
static const char *take_syn_rate(struct sc_settings *settings, const char *value)
{
	struct sc_cookies checked;

	settings->syn_rate = value;
	return sc_cookies_take_rate(&checked, value);
}

/* The later of two for the same packets counts. */
static const char *take_limit(struct sc_plan *plan, const char *value)
{
	struct sc_limit_entry entry;
	const char *why = sc_limit_parse(value, &entry);
	int i;

	if (why)
		return why;
	for (i = 0; i < plan->limit_cnt; i++)
		if (sc_limit_is_same(&plan->limits[i], &entry))
			break;
	if (i == SC_LIMITS_MAX)
		return "too many limits";
	plan->limits[i] = entry;
	if (i == plan->limit_cnt)
		plan->limit_cnt++;
	return NULL;
}

const char *sc_settings_take(struct sc_settings *settings, int key, const char *value)
{
	enum sc_filter filter;

	switch (key) {
	case 'c':
		return take_cpus(settings, value);
	case 'm':
		settings->plan.mode = sc_mode_parse(value);
		return settings->plan.mode == SC_MODE_UNSET ? "not one of native, skb, auto" : NULL;
	case 's':
		return take_service(&settings->plan, value);
	case OPTION_VALIDITY:
	case OPTION_OPTIONS:
	case OPTION_FRAGMENTS:
		filter = SC_FILTER_VALIDITY + key - OPTION_VALIDITY;
		return sc_filter_take(filter, value, &settings->plan.filters[filter]);
	case OPTION_XSK:
		return take_xsk(&settings->plan, value);
	case OPTION_NEVER_DROP:
		return take_port(&settings->plan, value);
	case OPTION_DENY_FILE:
		settings->deny_file = value;
		return NULL;
	case OPTION_ALLOW_FILE:
		settings->allow_file = value;
		return NULL;
	case OPTION_IRQ:
		settings->plan.irq = SC_WISH_ON;
		return NULL;
	case OPTION_BUSY_POLL:
		settings->plan.busy_poll = SC_WISH_ON;
		return NULL;
	case OPTION_SYN:
		return take_syn(settings, value);
	case OPTION_SYN_RATE:
		return take_syn_rate(settings, value);
	case OPTION_SYN_MSS:
		return sc_cookies_take_mss(&settings->plan.cookies, value);
	case OPTION_LIMIT:
		return take_limit(&settings->plan, value);
	default: /* OPTION_NO_FIFO: no other is in the table */
		settings->no_fifo = true;
		return NULL;
	}
}

bool sc_settings_adds(int key)
{
	return key == 's' || key == OPTION_XSK || key == OPTION_NEVER_DROP || key == OPTION_LIMIT;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	const struct argp_option *option;
	const char *why;

	for (option = table; option->name && option->key != key; option++)
		;
	if (!option->name)
		return ARGP_ERR_UNKNOWN;
	why = sc_settings_take(state->input, key, arg);
	if (why)
		sc_usage(state, "--%s %s: %s", option->name, arg, why);
	return 0;
}

const struct argp sc_settings_argp = { .options = table, .parser = parse };

static int load(struct sc_plan *plan, enum sc_list list, const char *path)
{
	if (!path)
		return 0;
	plan->has_list[list] = true;
	return sc_prefixes_read(&plan->lists[list], path);
}

static bool has_service(const struct sc_plan *plan, const struct sc_spec *spec)
{
	int i;

	for (i = 0; i < plan->spec_cnt; i++)
		if (!memcmp(&plan->specs[i], spec, sizeof(*spec)))
			return true;
	return false;
}

/* What can be seen only when all is there. A plan that is not whole adds to services that it does not name. */
static int check(struct sc_settings *settings)
{
	const struct sc_plan *plan = &settings->plan;
	char text[SC_SPEC_LEN];
	int i;

	if (settings->syn_rate && !plan->cookies.rule.rate) {
		sc_error("syn-rate %s: there is no auto for it; set syn to auto", settings->syn_rate);
		return -EINVAL;
	}
	if (plan->cookies.rule.mss_max && plan->syn != SC_WISH_ON) {
		sc_error("syn-mss %u: SYN cookies are not switched on; set syn to auto or on",
			 plan->cookies.rule.mss_max);
		return -EINVAL;
	}
	for (i = 0; i < plan->limit_cnt && plan->is_whole; i++) {
		if (plan->limits[i].all || has_service(plan, &plan->limits[i].spec))
			continue;
		sc_error("limit of %s: there is no such service; name it as a service too",
			 sc_spec_format(&plan->limits[i].spec, text));
		return -EINVAL;
	}
	if (settings->syn_rate)
		sc_cookies_take_rate(&settings->plan.cookies, settings->syn_rate);
	return 0;
}

int sc_settings_load(struct sc_settings *settings)
{
	int err = check(settings);

	err = err ?: load(&settings->plan, SC_LIST_DENY, settings->deny_file);

	return err ?: load(&settings->plan, SC_LIST_ALLOW, settings->allow_file);
}

void sc_settings_exit(struct sc_settings *settings)
{
	sc_prefixes_free(&settings->plan.lists[SC_LIST_DENY]);
	sc_prefixes_free(&settings->plan.lists[SC_LIST_ALLOW]);
}

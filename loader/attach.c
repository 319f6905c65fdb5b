// SPDX-License-Identifier: MIT
// Command attach: its command line, what is checked before, and what is said after.
#include <errno.h>
#include <stdio.h>

#include "caps.h"
#include "checks.h"
#include "cli.h"
#include "cpulist.h"
#include "dedicate.h"
#include "install.h"
#include "log.h"
#include "services.h"
#include "trial.h"
#include "usage.h"

enum {
	OPTION_NO_FIFO = 0x200,
	OPTION_DRY_RUN,
};

struct options {
	struct sc_common common;
	const char *ifname;
	struct sc_plan plan;
	bool no_fifo;
	bool dry_run;
	bool json;
};

static void parse_cpus(struct options *options, const char *text, struct argp_state *state)
{
	int err = sc_cpulist_parse(text, &options->plan.cpus);

	if (err == -ERANGE)
		sc_usage(state, "--cpus %s: no CPU has a number of %d or more", text, CPU_SETSIZE);
	if (err)
		sc_usage(state, "--cpus %s: not a list of CPUs such as 1,3-5", text);
}

static void parse_service(struct options *options, const char *text, struct argp_state *state)
{
	if (options->plan.spec_cnt == SC_STEER_SERVICES_MAX)
		sc_usage(state, "--service %s: %d services are the limit", text, SC_STEER_SERVICES_MAX);
	if (sc_spec_parse(text, &options->plan.specs[options->plan.spec_cnt++]))
		sc_usage(state,
			 "--service %s: not a service such as tcp/8080, udp/53, tcp/10.0.0.1:80, tcp/[fd00::1]:80",
			 text);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case 'c':
		parse_cpus(options, arg, state);
		return 0;
	case 'm':
		options->plan.mode = sc_mode_parse(arg);
		if (options->plan.mode == SC_MODE_UNSET)
			sc_usage(state, "--mode %s: not one of native, skb, auto", arg);
		return 0;
	case 's':
		parse_service(options, arg, state);
		return 0;
	case OPTION_NO_FIFO:
		options->no_fifo = true;
		return 0;
	case OPTION_DRY_RUN:
		options->dry_run = true;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->ifname)
			sc_usage(state, "%s: one interface at a time", arg);
		options->ifname = arg;
		return 0;
	case ARGP_KEY_END:
		if (!options->ifname)
			sc_usage(state, "no interface given");
		if (!CPU_COUNT(&options->plan.cpus))
			sc_usage(state, "no CPUs given, --cpus LIST is needed");
		if (options->json && !options->dry_run)
			sc_usage(state, "--json: only with --dry-run");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "cpus", 'c', "LIST", 0, "Dedicated CPUs, such as 1 or 1,3-5; they replace those of an earlier attach", 0 },
	{ "mode", 'm', "native|skb|auto", 0,
	  "native: in the driver, or fail (default); skb: in the stack, slower; auto: native, or else skb", 0 },
	{ "service", 's', "SERVICE", 0,
	  "Steer this one, may be repeated: tcp/8080, udp/53, tcp/10.0.0.1:80, tcp/[fd00::1]:80; those of an earlier "
	  "attach stay",
	  0 },
	{ "no-fifo", OPTION_NO_FIFO, NULL, 0, "Leave the CPU map's kernel threads at normal priority", 0 },
	{ "dry-run", OPTION_DRY_RUN, NULL, 0, "Check, load, verify and show, and change nothing", 0 },
	{ "json", 'j', NULL, 0, "With --dry-run: print JSON", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.args_doc = "IF --cpus LIST",
	.doc = "Steers packets of services that arrive on IF to dedicated CPUs. An attached IF is changed in place, without "
	       "loss of a packet.",
	.children = sc_common_children,
};

static void say_done(const struct sc_place *place, const struct sc_pins *pins, const struct options *options,
		     enum sc_mode mode)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	char list[SC_CPULIST_LEN];
	int cnt;

	cnt = sc_services_list(pins, entries);
	printf("%s: attached in %s mode, CPUs %s, %d service%s\n", place->ifname, sc_mode_name(mode),
	       sc_cpulist_format(&options->plan.cpus, list, sizeof(list)), cnt, cnt == 1 ? "" : "s");
	if (!cnt)
		sc_warn("%s: no service yet, every packet passes; run sidecore-loader service add %s tcp/PORT",
			place->ifname, place->ifname);
}

int sc_cmd_attach(int argc, char **argv)
{
	static struct options options;
	struct sc_place place;
	struct sc_pins pins;
	enum sc_mode mode;
	int err;

	sc_cli_parse(&argp, argc, argv, &options.common);
	if (sc_caps_limit() || sc_dedicate_check(&options.plan.cpus))
		return SC_EXIT_FAILURE;
	if (sc_place_open(&place, options.common.bpffs, options.ifname))
		return SC_EXIT_FAILURE;
	if (options.dry_run) {
		err = sc_trial(&place, &options.plan, options.json);
		sc_place_close(&place);
		return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
	}
	sc_pins_init(&pins);
	err = sc_install(&place, &pins, &options.plan, &mode);
	if (!err) {
		if (!options.no_fifo)
			sc_dedicate_set_fifo(&pins, &options.plan.cpus);
		sc_checks_warn(&place, mode);
		say_done(&place, &pins, &options, mode);
	}
	sc_pins_close(&pins);
	sc_place_close(&place);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

// SPDX-License-Identifier: MIT
// Command attach: its command line, what is checked before, and what is said after.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "caps.h"
#include "checks.h"
#include "cli.h"
#include "config.h"
#include "cpulist.h"
#include "dedicate.h"
#include "install.h"
#include "log.h"
#include "object.h"
#include "probation.h"
#include "report.h"
#include "services.h"
#include "settings.h"
#include "signals.h"
#include "trial.h"
#include "tuning.h"
#include "usage.h"

enum {
	OPTION_DRY_RUN = 0x200,
};

struct options {
	struct sc_common common;
	const char *ifname;
	struct sc_settings settings;
	const char *file; /* NULL: none */
	struct sc_config config;
	bool is_bad; /* the file, and it was said why */
	unsigned int rollback_s; /* 0: none */
	bool dry_run;
	bool json;
};

/* Where -f stands the file is read: what stands behind it on the command line replaces or adds. */
static void read_file(struct options *options, const char *path, struct argp_state *state)
{
	if (options->file)
		sc_usage(state, "--file %s: one file at a time", path);
	options->file = path;
	options->is_bad = sc_config_init(&options->config, path, &options->settings);
}

static void check(struct options *options, struct argp_state *state)
{
	const char *ifname = options->config.ifname;

	if (options->is_bad)
		return;
	if (options->ifname && ifname && strcmp(options->ifname, ifname))
		sc_usage(state, "%s: the file is for %s", options->ifname, ifname);
	options->ifname = options->ifname ?: ifname;
	if (!options->ifname)
		sc_usage(state, "no interface given");
	if (!CPU_COUNT(&options->settings.plan.cpus))
		sc_usage(state, "no CPUs given, --cpus LIST is needed");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		state->child_inputs[1] = &options->settings;
		state->child_inputs[2] = &options->rollback_s;
		return 0;
	case 'f':
		read_file(options, arg, state);
		return 0;
	case OPTION_DRY_RUN:
		options->dry_run = true;
		return 0;
	case 'j':
		options->json = true;
		sc_log_json();
		return 0;
	case ARGP_KEY_ARG:
		if (options->ifname)
			sc_usage(state, "%s: one interface at a time", arg);
		options->ifname = arg;
		return 0;
	case ARGP_KEY_END:
		check(options, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "file", 'f', "FILE", 0,
	  "Read these options from a file, see sidecore.conf(5); services and ports that are not in it go", 0 },
	{ "dry-run", OPTION_DRY_RUN, NULL, 0, "Check, load, verify and show, and change nothing", 0 },
	{ "json", 'j', NULL, 0, "Print JSON: what status would show, or with --dry-run what would be", 0 },
	{ 0 },
};

static const struct argp_child children[] = { { .argp = &sc_common_argp },
					      { .argp = &sc_settings_argp },
					      { .argp = &sc_probation_argp },
					      { 0 } };

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.args_doc = "IF --cpus LIST",
	.doc = "Steers packets of services that arrive on IF to dedicated CPUs. An attached IF is changed in place, without "
	       "loss of a packet. With --file, IF and --cpus may stand in the file.",
	.children = children,
};

static void say_done(const struct sc_place *place, const struct sc_pins *pins, const struct options *options,
		     enum sc_mode mode)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	char list[SC_CPULIST_LEN];
	int cnt;

	cnt = sc_services_list(pins, entries);
	printf("%s: attached in %s mode, CPUs %s, %d service%s\n", place->ifname, sc_mode_name(mode),
	       sc_cpulist_format(&options->settings.plan.cpus, list, sizeof(list)), cnt, cnt == 1 ? "" : "s");
	if (!cnt)
		sc_warn("%s: no service yet, every packet passes; run sidecore-loader service add %s tcp/PORT",
			place->ifname, place->ifname);
}

static int tune(const struct sc_place *place, const struct sc_settings *settings)
{
	unsigned int parts;
	int err = sc_tuning_get(place, &parts);

	if (err) {
		sc_error("%s: cannot read its pins: %s; run as the user who attached it", place->dir, strerror(-err));
		return err;
	}
	parts = sc_plan_tuned(&settings->plan, parts) | (settings->no_fifo ? SC_TUNED_NO_RT : 0);
	return sc_tuning_set(place, &settings->plan.cpus, parts);
}

static int tell(const struct sc_place *place, const struct sc_pins *pins, const struct options *options,
		enum sc_mode mode)
{
	const struct sc_settings *settings = &options->settings;

	sc_checks_warn(place, mode);
	if (settings->plan.syn == SC_WISH_ON)
		sc_checks_warn_cookies(place, pins);
	if (options->json)
		return sc_report_one(place, pins);
	say_done(place, pins, options, mode);
	return 0;
}

static int attach(struct sc_place *place, const struct options *options)
{
	const struct sc_settings *settings = &options->settings;
	static struct sc_undo undo;
	struct sc_pins pins;
	enum sc_mode mode;
	int err;

	sc_pins_init(&pins);
	sc_undo_init(&undo);
	if (options->rollback_s)
		sc_signals_hold();
	err = sc_install(place, &pins, &settings->plan, &mode, &undo);
	if (err)
		goto out;
	if (!settings->no_fifo)
		sc_dedicate_set_fifo(&pins, &settings->plan.cpus);
	err = tune(place, settings);
	if (err) {
		(void)sc_undo_run(&undo, place, &pins);
		goto out;
	}
	err = tell(place, &pins, options, mode);
	if (options->rollback_s)
		err = sc_probation(place, &pins, &undo, options->rollback_s, options->json);
out:
	sc_undo_exit(&undo);
	sc_pins_close(&pins);
	return err;
}

/* Programs that look for them would not load, and the kernel would say no more than that. */
static int check_sockets(const struct sc_plan *plan)
{
	char text[SC_SPEC_LEN];

	if (!plan->xsk_cnt || sc_object_has_sockets())
		return 0;
	sc_error("%s: the kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS); make it a service without xsk",
		 sc_spec_format(&plan->xsk[0], text));
	return -EOPNOTSUPP;
}

int sc_cmd_attach(int argc, char **argv)
{
	static struct options options;
	struct sc_place place;
	int err;

	sc_cli_parse(&argp, argc, argv, &options.common);
	if (options.is_bad)
		return SC_EXIT_FAILURE;
	err = sc_settings_load(&options.settings);
	err = err ?: sc_caps_limit();
	err = err ?: check_sockets(&options.settings.plan);
	err = err ?: sc_dedicate_check(&options.settings.plan.cpus);
	err = err ?: sc_place_open(&place, options.common.bpffs, options.ifname);
	if (!err) {
		err = options.dry_run ? sc_trial(&place, &options.settings.plan, options.json) :
					attach(&place, &options);
		sc_place_close(&place);
	}
	sc_settings_exit(&options.settings);
	sc_config_exit(&options.config);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

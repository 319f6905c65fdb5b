// SPDX-License-Identifier: MIT
// Command cpus: changes the dedicated CPUs of an attached interface while packets pass.
#include <jansson.h>
#include <stdio.h>

#include "cli.h"
#include "cpulist.h"
#include "dedicate.h"
#include "hint.h"
#include "log.h"
#include "report.h"
#include "steering.h"
#include "target.h"
#include "tuning.h"

enum {
	OPTION_NO_FIFO = 0x200,
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	bool *no_fifo = state->input;

	(void)arg;
	if (key != OPTION_NO_FIFO)
		return ARGP_ERR_UNKNOWN;
	*no_fifo = true;
	return 0;
}

static const struct argp_option option_table[] = {
	{ "no-fifo", OPTION_NO_FIFO, NULL, 0, "Leave the kernel threads at the priority they have", 0 },
	{ 0 },
};

static const struct argp extra = { .options = option_table, .parser = parse };

static int print_json(const struct sc_place *place, const cpu_set_t *cpus)
{
	json_t *list = json_array();
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, cpus))
			json_array_append_new(list, json_integer(cpu));
	return sc_report_print(json_pack("{s:i, s:s, s:o}", "schema_version", SC_REPORT_SCHEMA, "interface",
					 place->ifname, "cpus", list));
}

static int print_text(const struct sc_place *place, const cpu_set_t *cpus)
{
	char list[SC_CPULIST_LEN];

	return printf("%s: CPUs %s\n", place->ifname, sc_cpulist_format(cpus, list, sizeof(list))) < 0;
}

int sc_cmd_cpus(int argc, char **argv)
{
	static bool no_fifo;
	static struct sc_target target = {
		.doc = "Makes the CPUs of LIST the dedicated ones of IF, without loss of a packet. As few flows move as an even share "
		       "allows.",
		.operand = &sc_operand_cpus,
		.takes_json = true,
		.extra = &extra,
		.extra_input = &no_fifo,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&target, argc, argv);
	if (sc_dedicate_check(&target.cpus) || sc_target_open(&target, &place, &pins))
		return SC_EXIT_FAILURE;
	err = sc_steering_set_cpus(&pins, &target.cpus);
	if (err)
		sc_hint_error(place.ifname, SC_STEP_MAPS, err);
	else if (!no_fifo)
		sc_dedicate_set_fifo(&pins, &target.cpus);
	if (!err)
		err = sc_tuning_follow(&place, &target.cpus, no_fifo);
	if (!err)
		err = target.json ? print_json(&place, &target.cpus) : print_text(&place, &target.cpus);
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

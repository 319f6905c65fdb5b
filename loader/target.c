// SPDX-License-Identifier: MIT
// Parses command lines that name an attached interface, and opens what is pinned for it.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "caps.h"
#include "cpulist.h"
#include "device.h"
#include "log.h"
#include "target.h"
#include "usage.h"

static void take_cpus(struct sc_target *target, const char *word, struct argp_state *state)
{
	if (sc_cpulist_parse(word, &target->cpus))
		sc_usage(state, "%s: not a list of CPUs below %d such as 1,3-5", word, CPU_SETSIZE);
}

const struct sc_operand sc_operand_cpus = { "LIST", "list of CPUs", take_cpus };

static void take_service(struct sc_target *target, const char *word, struct argp_state *state)
{
	if (target->spec_cnt == SC_STEER_SERVICES_MAX)
		sc_usage(state, "%s: %d services are the limit", word, SC_STEER_SERVICES_MAX);
	if (sc_spec_parse(word, &target->specs[target->spec_cnt++]))
		sc_usage(state, "%s: not a service such as tcp/8080, udp/53, tcp/10.0.0.1:80, tcp/[fd00::1]:80", word);
}

const struct sc_operand sc_operand_services = { "SERVICE...", "service", take_service };

static void take_word(struct sc_target *target, const char *word, struct argp_state *state)
{
	const struct sc_operand *operand = target->operand;

	if (!target->ifname) {
		target->ifname = word;
		return;
	}
	if (!operand)
		sc_usage(state, "%s: one interface at a time", word);
	if (target->operand_cnt && !strchr(operand->name, '.'))
		sc_usage(state, "%s: one %s at a time", word, operand->what);
	operand->take(target, word, state);
	target->operand_cnt++;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct sc_target *target = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &target->common;
		if (target->extra)
			state->child_inputs[1] = target->extra_input;
		return 0;
	case 'j':
		target->json = true;
		sc_log_json();
		return 0;
	case ARGP_KEY_ARG:
		take_word(target, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (!target->ifname && !target->ifname_optional)
			sc_usage(state, "no interface given");
		if (target->operand && !target->operand_cnt)
			sc_usage(state, "no %s given", target->operand->what);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void sc_target_parse(struct sc_target *target, int argc, char **argv)
{
	static const struct argp_option json[] = { { "json", 'j', NULL, 0, "Print JSON", 0 }, { 0 } };
	const struct argp_child children[] = { sc_common_children[0], { .argp = target->extra }, { 0 } };
	char words[32];
	const struct argp argp = {
		.options = target->takes_json ? json : NULL,
		.parser = parse,
		.args_doc = words,
		.doc = target->doc,
		.children = children,
	};

	snprintf(words, sizeof(words), "%s%s%s", target->ifname_optional ? "[IF]" : "IF", target->operand ? " " : "",
		 target->operand ? target->operand->name : "");
	sc_cli_parse(&argp, argc, argv, &target->common);
}

void sc_target_say_absent(const struct sc_place *place)
{
	enum sc_mode mode;
	char name[64];
	__u32 id = 0;

	if (!sc_device_query(place->ifindex, &id, &mode) && id)
		sc_error(
			"%s: not attached, and XDP program %s (id %u) on it is not ours; choose the --bpffs that holds its pins, "
			"or use its own tool",
			place->ifname, sc_program_name(id, name, sizeof(name)), id);
	else
		sc_error("%s: not attached; run sidecore-loader attach %s --cpus LIST", place->ifname, place->ifname);
}

void sc_target_say_unreadable(const struct sc_place *place, int err)
{
	if (err == -EPROTO)
		sc_error(
			"%s: attached by another version; run sidecore-loader detach %s, then attach again with all options: "
			"services, lists and limits are lost",
			place->ifname, place->ifname);
	else if (err == -ESTALE)
		sc_error(
			"%s: attached by an older version; run sidecore-loader upgrade %s, which keeps all but counters",
			place->ifname, place->ifname);
	else if (err == -EPERM) /* bpf() itself, whatever is there: a file's permissions would be EACCES */
		sc_error(
			"%s: bpf(): %s; run it as root outside a user namespace, with kernel lockdown and seccomp filters off",
			place->ifname, strerror(-err));
	else
		sc_error("%s: %s; run as the user who attached it", place->dir, strerror(-err));
}

static int open_pins(const struct sc_place *place, struct sc_pins *pins, bool takes_older)
{
	int err = takes_older ? sc_pins_open_older(pins, place->dir) : sc_pins_open(pins, place->dir);

	if (err == -ESTALE && takes_older)
		return 0;
	/* Pins of a device that is gone, whose index has a new owner, are nobody's. */
	if (err == -ENOENT || err == -ENODEV)
		sc_target_say_absent(place);
	else if (err)
		sc_target_say_unreadable(place, err);
	return err;
}

int sc_target_open_pins(const struct sc_place *place, struct sc_pins *pins)
{
	return open_pins(place, pins, false);
}

int sc_target_open(const struct sc_target *target, struct sc_place *place, struct sc_pins *pins)
{
	int err;

	err = sc_caps_limit();
	err = err ?: sc_place_open(place, target->common.bpffs, target->ifname);
	if (err)
		return err;
	err = open_pins(place, pins, target->takes_older);
	if (err)
		sc_place_close(place);
	return err;
}

void sc_target_close(struct sc_place *place, struct sc_pins *pins)
{
	sc_pins_close(pins);
	sc_place_close(place);
}

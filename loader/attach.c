// SPDX-License-Identifier: MIT
// Command attach: the first attach of an interface, and changes in place of one that is attached.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "caps.h"
#include "checks.h"
#include "cli.h"
#include "cpulist.h"
#include "device.h"
#include "hint.h"
#include "kthread.h"
#include "log.h"
#include "object.h"
#include "services.h"
#include "steering.h"
#include "target.h"

enum {
	OPTION_NO_FIFO = 0x200,
};

struct options {
	struct sc_common common;
	const char *ifname;
	cpu_set_t cpus;
	enum sc_mode mode;
	bool no_fifo;
	int spec_cnt;
	struct sc_spec specs[SC_STEER_SERVICES_MAX];
};

static void parse_cpus(struct options *options, const char *text, struct argp_state *state)
{
	int err = sc_cpulist_parse(text, &options->cpus);

	if (err == -ERANGE)
		sc_usage(state, "--cpus %s: no CPU has a number of %d or more", text, CPU_SETSIZE);
	if (err)
		sc_usage(state, "--cpus %s: not a list of CPUs such as 1,3-5", text);
}

static void parse_service(struct options *options, const char *text, struct argp_state *state)
{
	if (options->spec_cnt == SC_STEER_SERVICES_MAX)
		sc_usage(state, "--service %s: %d services are the limit", text, SC_STEER_SERVICES_MAX);
	if (sc_spec_parse(text, &options->specs[options->spec_cnt++]))
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
		options->mode = sc_mode_parse(arg);
		if (options->mode == SC_MODE_UNSET)
			sc_usage(state, "--mode %s: not one of native, skb, auto", arg);
		return 0;
	case 's':
		parse_service(options, arg, state);
		return 0;
	case OPTION_NO_FIFO:
		options->no_fifo = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->ifname)
			sc_usage(state, "%s: one interface at a time", arg);
		options->ifname = arg;
		return 0;
	case ARGP_KEY_END:
		if (!options->ifname)
			sc_usage(state, "no interface given");
		if (!CPU_COUNT(&options->cpus))
			sc_usage(state, "no CPUs given, --cpus LIST is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "cpus", 'c', "LIST", 0, "Dedicated CPUs, such as 1 or 1,3-5; they replace those of an earlier attach", 0 },
	{ "mode", 'm', "MODE", 0,
	  "native: in the driver, or fail (default); skb: in the stack, slower; auto: native, or else skb", 0 },
	{ "service", 's', "SERVICE", 0,
	  "Steer this one, may be repeated: tcp/8080, udp/53, tcp/10.0.0.1:80, tcp/[fd00::1]:80; those of an earlier "
	  "attach stay",
	  0 },
	{ "no-fifo", OPTION_NO_FIFO, NULL, 0, "Leave the CPU map's kernel threads at normal priority", 0 },
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

static int check_cpus(const cpu_set_t *cpus)
{
	int possible = libbpf_num_possible_cpus(), cpu, err;
	char list[SC_CPULIST_LEN];
	cpu_set_t online;

	err = sc_cpulist_online(&online);
	if (err) {
		sc_error("/sys/devices/system/cpu/online: %s; mount sysfs on /sys", strerror(-err));
		return err;
	}
	sc_cpulist_format(&online, list, sizeof(list));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, cpus) || CPU_ISSET(cpu, &online))
			continue;
		if (cpu >= possible)
			sc_error("CPU %d: this machine has none of that number; choose from %s", cpu, list);
		else
			sc_error("CPU %d: offline, packets sent to it would be lost; choose from %s", cpu, list);
		return -ENODEV;
	}
	return 0;
}

/* Another's program is never displaced. */
static int check_foreign(const struct sc_place *place)
{
	enum sc_mode mode;
	char name[64];
	__u32 id;
	int err;

	err = sc_device_query(place->ifindex, &id, &mode);
	if (err) {
		sc_error("%s: cannot ask for its XDP program: %s; see ip link show %s", place->ifname, strerror(-err),
			 place->ifname);
		return err;
	}
	if (!id)
		return 0;
	sc_error(
		"%s: XDP program %s (id %u, %s mode) is there and not ours; remove it by its own tool, or choose the --bpffs "
		"that holds its pins if it is",
		place->ifname, sc_program_name(id, name, sizeof(name)), id, sc_mode_name(mode));
	return -EBUSY;
}

static int add_services(const struct sc_pins *pins, const struct options *options)
{
	int i, err = 0;

	for (i = 0; i < options->spec_cnt && !err; i++)
		err = sc_services_add(pins, &options->specs[i]);
	return err;
}

static bool mode_is_refused(int err)
{
	return err == -EOPNOTSUPP || err == -ERANGE || err == -EINVAL || err == -ENOSPC || err == -ENOMEM;
}

/* Stores the link in pins. -EAGAIN: the device refuses native mode, and skb mode is to be tried instead. */
static int bind_device(const struct sc_place *place, struct sc_pins *pins, enum sc_mode mode, bool may_fall_back)
{
	int link = sc_device_attach(place->ifindex, pins->steer, mode);

	if (link < 0 && may_fall_back && mode_is_refused(link)) {
		sc_warn("%s: native mode refused: %s; taking skb mode, which is slower", place->ifname,
			sc_hint_reason(link));
		return -EAGAIN;
	}
	if (link < 0) {
		sc_hint_error(place->ifname, mode == SC_MODE_SKB ? SC_STEP_ATTACH_SKB : SC_STEP_ATTACH_NATIVE, link);
		return link;
	}
	pins->link = link;
	return 0;
}

/* Everything is in the maps before the first packet meets the program. */
static int fill_maps(const struct sc_pins *pins, const struct options *options)
{
	int err;

	err = sc_steering_init(pins);
	err = err ?: add_services(pins, options);
	return err ?: sc_steering_set_cpus(pins, &options->cpus, false);
}

static int attach_in_mode(const struct sc_place *place, struct sc_pins *pins, const struct options *options,
			  enum sc_mode mode, bool may_fall_back)
{
	int err;

	/* Left by a device that is gone, or by an attach that was killed. */
	err = sc_place_remove_dir(place);
	err = err ?: sc_place_make_dir(place);
	if (err) {
		sc_hint_error(place->dir, SC_STEP_PIN, err);
		return err;
	}
	err = sc_object_load(pins, mode);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_LOAD, err);
		goto err_dir;
	}
	err = fill_maps(pins, options);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
		goto err_dir;
	}
	err = sc_pins_store(pins, place->dir);
	if (err) {
		sc_hint_error(place->dir, SC_STEP_PIN, err);
		goto err_dir;
	}
	err = bind_device(place, pins, mode, may_fall_back);
	if (err)
		goto err_dir;
	/* An unpinned link ends with this process: whoever kills it here leaves no program on the device. */
	err = sc_pins_store_link(pins, place->dir);
	if (err) {
		sc_hint_error(place->dir, SC_STEP_PIN, err);
		goto err_dir;
	}
	return 0;

err_dir:
	(void)sc_place_remove_dir(place);
	sc_pins_close(pins);
	return err;
}

/* Puts the mode that was got into *mode. */
static int attach_first(const struct sc_place *place, struct sc_pins *pins, const struct options *options,
			enum sc_mode *mode)
{
	bool may_fall_back = *mode == SC_MODE_AUTO;
	int err;

	err = check_foreign(place);
	if (err)
		return err;
	if (*mode != SC_MODE_SKB)
		*mode = SC_MODE_NATIVE;
	err = attach_in_mode(place, pins, options, *mode, may_fall_back);
	if (err != -EAGAIN)
		return err;
	/* All anew: skb mode takes other programs, and a CPU map is bound to the kind it met first. */
	*mode = SC_MODE_SKB;
	return attach_in_mode(place, pins, options, *mode, false);
}

static int keep_mode(const struct sc_place *place, enum sc_mode *mode)
{
	enum sc_mode now;
	__u32 id;
	int err;

	err = sc_device_query(place->ifindex, &id, &now);
	if (err) {
		sc_error("%s: cannot ask for its XDP mode: %s; see ip link show %s", place->ifname, strerror(-err),
			 place->ifname);
		return err;
	}
	if (*mode != SC_MODE_UNSET && *mode != SC_MODE_AUTO && *mode != now) {
		sc_error("%s: attached in %s mode, which cannot change in place; run sidecore-loader detach %s first",
			 place->ifname, sc_mode_name(now), place->ifname);
		return -EBUSY;
	}
	*mode = now;
	return 0;
}

static bool same_program(int left, int right)
{
	struct bpf_prog_info l = { 0 }, r = { 0 };
	__u32 len = sizeof(l);

	if (bpf_prog_get_info_by_fd(left, &l, &len))
		return false;
	len = sizeof(r);
	return !bpf_prog_get_info_by_fd(right, &r, &len) && !memcmp(l.tag, r.tag, sizeof(l.tag));
}

/* Maps stay, so nothing is lost or forgotten; the device goes from the old program to the new between two packets. */
static int attach_again(const struct sc_place *place, struct sc_pins *pins, const struct options *options,
			enum sc_mode *mode)
{
	int old_on_cpu, err;
	bool renew;

	err = keep_mode(place, mode);
	if (err)
		return err;
	old_on_cpu = dup(pins->on_cpu);
	err = sc_object_load(pins, *mode);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_LOAD, err);
		goto out;
	}
	renew = !same_program(old_on_cpu, pins->on_cpu);
	err = add_services(pins, options);
	err = err ?: sc_steering_set_cpus(pins, &options->cpus, renew);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
		goto out;
	}
	if (bpf_link_update(pins->link, pins->steer, NULL)) {
		err = -errno;
		sc_hint_error(place->ifname, *mode == SC_MODE_SKB ? SC_STEP_ATTACH_SKB : SC_STEP_ATTACH_NATIVE, err);
		goto out;
	}
	err = sc_pins_replace_programs(pins, place->dir);
	if (err)
		sc_hint_error(place->dir, SC_STEP_PIN, err);
out:
	close(old_on_cpu);
	return err;
}

static int attach(const struct sc_place *place, struct sc_pins *pins, const struct options *options, enum sc_mode *mode)
{
	int err = sc_pins_open(pins, place->dir);

	if (!err)
		return attach_again(place, pins, options, mode);
	if (err == -ENOENT || err == -ENODEV)
		return attach_first(place, pins, options, mode);
	if (err == -EPROTO)
		sc_error("%s: attached by another version; run sidecore-loader detach %s, then attach again",
			 place->ifname, place->ifname);
	else
		sc_error("%s: %s; run as the user who attached it", place->dir, strerror(-err));
	return err;
}

static void set_fifo(const struct sc_pins *pins, const cpu_set_t *cpus)
{
	int err = sc_kthread_set_fifo(pins->cpus, cpus);

	if (err)
		sc_warn("cpumap kernel threads: no real-time priority: %s; run chrt -f -p 1 PID on each outside containers, or "
			"attach with --no-fifo",
			strerror(-err));
}

static void say_done(const struct sc_place *place, const struct sc_pins *pins, const struct options *options,
		     enum sc_mode mode)
{
	static struct sc_service_entry entries[SC_STEER_KEYS_MAX];
	char list[SC_CPULIST_LEN];
	int cnt;

	cnt = sc_services_list(pins, entries);
	printf("%s: attached in %s mode, CPUs %s, %d service%s\n", place->ifname, sc_mode_name(mode),
	       sc_cpulist_format(&options->cpus, list, sizeof(list)), cnt, cnt == 1 ? "" : "s");
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
	mode = options.mode;
	if (sc_caps_limit() || check_cpus(&options.cpus))
		return SC_EXIT_FAILURE;
	if (sc_place_open(&place, options.common.bpffs, options.ifname))
		return SC_EXIT_FAILURE;
	sc_pins_init(&pins);
	err = attach(&place, &pins, &options, &mode);
	if (!err) {
		if (!options.no_fifo)
			set_fifo(&pins, &options.cpus);
		sc_checks_warn(&place, mode);
		say_done(&place, &pins, &options, mode);
	}
	sc_pins_close(&pins);
	sc_place_close(&place);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

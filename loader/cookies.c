// SPDX-License-Identifier: MIT
// Reads, changes and shows the SYN cookies of an interface.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cookies.h"
#include "cpulist.h"
#include "device.h"
#include "ethtool.h"
#include "hint.h"
#include "log.h"
#include "modules.h"

enum {
	RATE_MIN = 100, /* a window of time must be able to hold a few */
	RATE_MAX = 1000000000,
	RATE_DEFAULT = 10000,
	MSS_MIN = 536,
	MSS_MAX = 65495,
};

const char *sc_cookies_mode(const struct sc_cookies *cookies)
{
	return !cookies->on ? "off" : cookies->rule.rate ? "auto" : "on";
}

const char *sc_cookies_take_mode(struct sc_cookies *cookies, const char *text)
{
	bool is_auto = !strcmp(text, "auto");

	if (!is_auto && strcmp(text, "on") && strcmp(text, "off"))
		return "not one of auto, on, off";
	cookies->on = strcmp(text, "off");
	cookies->rule.rate = is_auto ? RATE_DEFAULT : 0;
	return NULL;
}

static const char *take_number(const char *text, unsigned long min, unsigned long max, unsigned long *ret_number)
{
	static char why[64];
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || number < min || number > max) {
		snprintf(why, sizeof(why), "not a number from %lu to %lu", min, max);
		return why;
	}
	*ret_number = number;
	return NULL;
}

const char *sc_cookies_take_rate(struct sc_cookies *cookies, const char *text)
{
	unsigned long rate;
	const char *why = take_number(text, RATE_MIN, RATE_MAX, &rate);

	if (!why)
		cookies->rule.rate = rate;
	return why;
}

const char *sc_cookies_take_mss(struct sc_cookies *cookies, const char *text)
{
	unsigned long mss;
	const char *why = take_number(text, MSS_MIN, MSS_MAX, &mss);

	if (!why)
		cookies->rule.mss_max = mss;
	return why;
}

/* A flood that nobody has looked at since is over when its time is. */
static bool is_flooded(const struct sc_flood *flood)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return flood->on && flood->until_ns > now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int read_floods(const struct sc_pins *pins, cpu_set_t *ret_set)
{
	int cpu_cnt = libbpf_num_possible_cpus(), cpu, err = 0;
	struct sc_flood *floods;
	__u32 key = 0;

	if (cpu_cnt < 0)
		return cpu_cnt;
	floods = calloc(cpu_cnt, sizeof(*floods));
	if (!floods)
		return -ENOMEM;
	if (bpf_map_lookup_elem(pins->floods, &key, floods))
		err = -errno;
	for (cpu = 0; cpu < cpu_cnt && cpu < CPU_SETSIZE; cpu++)
		if (is_flooded(&floods[cpu]))
			CPU_SET(cpu, ret_set);
	free(floods);
	return err;
}

int sc_cookies_read(const struct sc_pins *pins, struct sc_cookies *ret_cookies)
{
	__u32 key = 0, modules;
	int err;

	err = sc_modules_get(pins, &modules);
	if (err)
		return err;
	*ret_cookies = (struct sc_cookies){ .on = modules & SC_MODULE_COOKIES };
	/* What else there is then is the rule of another time. */
	if (!ret_cookies->on)
		return 0;
	if (bpf_map_lookup_elem(pins->syn, &key, &ret_cookies->rule))
		return -errno;
	return ret_cookies->rule.rate ? read_floods(pins, &ret_cookies->flooded) : 0;
}

int sc_cookies_write_rule(const struct sc_place *place, const struct sc_pins *pins, const struct sc_syn *rule)
{
	struct sc_syn own = *rule;
	__u32 key = 0;
	int err;

	err = sc_device_mac(place->ifname, own.mac);
	if (err == -EAFNOSUPPORT) {
		sc_error("%s: it is no Ethernet device, SYN cookies take one; leave them off", place->ifname);
		return err;
	}
	own.flags = sc_ethtool_is_veth(place->ifname) ? SC_SYN_REDIRECT : 0;
	if (!err && bpf_map_update_elem(pins->syn, &key, &own, BPF_ANY))
		err = -errno;
	if (err)
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
	return err;
}

int sc_cookies_write(const struct sc_place *place, struct sc_pins *pins, const struct sc_cookies *cookies)
{
	int err = 0;

	if (cookies->on)
		err = sc_cookies_write_rule(place, pins, &cookies->rule);
	return err ?: sc_modules_switch(place, pins, SC_MODULE_COOKIES, cookies->on);
}

void sc_cookies_text(const struct sc_cookies *cookies)
{
	char list[SC_CPULIST_LEN];

	printf("SYN cookies %s", sc_cookies_mode(cookies));
	if (cookies->on && cookies->rule.rate)
		printf(", from %u SYN/s on one CPU", cookies->rule.rate);
	if (cookies->on && cookies->rule.mss_max)
		printf(", MSS at most %u", cookies->rule.mss_max);
	if (CPU_COUNT(&cookies->flooded))
		printf(", flood now on CPUs %s", sc_cpulist_format(&cookies->flooded, list, sizeof(list)));
	putchar('\n');
}

json_t *sc_cookies_json(const struct sc_cookies *cookies)
{
	json_t *flooded = json_array();
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cookies->flooded))
			json_array_append_new(flooded, json_integer(cpu));
	return json_pack("{s:s, s:I, s:i, s:o}", "mode", sc_cookies_mode(cookies), "rate",
			 (json_int_t)cookies->rule.rate, "mss_max", cookies->rule.mss_max, "flooded_cpus", flooded);
}

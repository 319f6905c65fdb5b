// SPDX-License-Identifier: MIT
// Reads, changes and shows the SYN cookies of an interface.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

const char *sc_cookies_mode(const struct sc_cookies *cookies)
{
	return !cookies->on ? "off" : cookies->rule.rate ? "auto" : "on";
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
	ret_cookies->on = modules & SC_MODULE_COOKIES;
	if (bpf_map_lookup_elem(pins->syn, &key, &ret_cookies->rule))
		return -errno;
	CPU_ZERO(&ret_cookies->flooded);
	return ret_cookies->on && ret_cookies->rule.rate ? read_floods(pins, &ret_cookies->flooded) : 0;
}

int sc_cookies_write(const struct sc_place *place, struct sc_pins *pins, const struct sc_cookies *cookies)
{
	struct sc_syn rule = cookies->rule;
	__u32 key = 0;
	int err;

	err = sc_device_mac(place->ifname, rule.mac);
	if (err == -EAFNOSUPPORT) {
		sc_error("%s: it is no Ethernet device, SYN cookies take one; leave them off", place->ifname);
		return err;
	}
	rule.flags = sc_ethtool_is_veth(place->ifname) ? SC_SYN_REDIRECT : 0;
	if (!err && bpf_map_update_elem(pins->syn, &key, &rule, BPF_ANY))
		err = -errno;
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
		return err;
	}
	return sc_modules_switch(place, pins, SC_MODULE_COOKIES, cookies->on);
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

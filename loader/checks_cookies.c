// SPDX-License-Identifier: MIT
// Checks of what answering with SYN cookies rests on: the kernel's sysctl, the device's address, the way back.
#include <linux/netdev.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "checks.h"
#include "cookies.h"
#include "ethtool.h"
#include "sysctl.h"

static void check_sysctl(bool always, struct sc_diagnosis *diagnosis)
{
	static const char name[] = "net.ipv4.tcp_syncookies";
	long value;

	if (!sc_sysctl_read("net/ipv4/tcp_syncookies", &value))
		return;
	if (!value)
		sc_diagnosis_add(
			diagnosis, SC_GRADE_PROBLEM, name,
			"it is 0: the kernel makes no SYN cookies, and every SYN goes to its listener; run sysctl -w %s=1",
			name);
	else if (value == 1 && always)
		sc_diagnosis_add(
			diagnosis, SC_GRADE_NOTE, name,
			"it is 1: the kernel makes no SYN cookies for a listener whose queue has room; run sysctl -w %s=2 "
			"to have all SYNs answered with one",
			name);
	else
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, name, "it is %ld", value);
}

static void check_address(const struct sc_place *place, const struct sc_syn *rule, struct sc_diagnosis *diagnosis)
{
	__u8 mac[6];

	if (!sc_device_mac(place->ifname, mac) && memcmp(mac, rule->mac, sizeof(mac)))
		sc_diagnosis_add(
			diagnosis, SC_GRADE_PROBLEM, place->ifname,
			"its MAC address has changed, and SYNs to the new one are not answered with cookies; run "
			"sidecore-loader syn %s --mode %s",
			place->ifname, rule->rate ? "auto" : "on");
}

/* A veth takes what is to go out of it only while its peer polls, and shows that as a feature of its own. */
static void check_way_back(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	if (sc_ethtool_is_veth(place->ifname) && !bpf_xdp_query(place->ifindex, 0, &opts) &&
	    !(opts.feature_flags & NETDEV_XDP_ACT_NDO_XMIT))
		sc_diagnosis_add(
			diagnosis, SC_GRADE_PROBLEM, place->ifname,
			"its peer has neither GRO nor an XDP program, and SYN cookies are lost; run ethtool -K PEER "
			"gro on where the peer is");
}

void sc_checks_cookies(const struct sc_place *place, const struct sc_pins *pins, enum sc_mode mode,
		       struct sc_diagnosis *diagnosis)
{
	struct sc_cookies cookies;

	if (sc_cookies_read(pins, &cookies) || !cookies.on)
		return;
	check_sysctl(!cookies.rule.rate, diagnosis);
	check_address(place, &cookies.rule, diagnosis);
	if (mode == SC_MODE_NATIVE)
		check_way_back(place, diagnosis);
}

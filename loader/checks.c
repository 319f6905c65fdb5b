// SPDX-License-Identifier: MIT
// Warnings about offloads and daemons that spoil steering.
#include <linux/ethtool.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "checks.h"
#include "ethtool.h"
#include "kthread.h"
#include "log.h"
#include "peer.h"

static bool has_tx_checksums(const char *ifname)
{
	__u32 on;

	return !sc_ethtool_value(ifname, ETHTOOL_GTXCSUM, &on) && on;
}

/*
 * A veth's peer hands packets over with their checksum yet to be filled in, and the CPU map forgets that it is. In skb
 * mode packets keep that mark.
 */
static void check_veth_peer(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	char name[IF_NAMESIZE];
	int peer;

	if (!sc_ethtool_is_veth(place->ifname))
		return;
	peer = sc_peer_ifindex(place->ifindex);
	if (peer > 0 && if_indextoname(peer, name)) {
		if (has_tx_checksums(name))
			sc_diagnosis_add(
				diagnosis, SC_GRADE_PROBLEM, place->ifname,
				"packets from its peer %s will arrive without checksums and TCP will fail; run "
				"ethtool -K %s tx off",
				name, name);
		return;
	}
	sc_diagnosis_add(diagnosis, SC_GRADE_NOTE, place->ifname,
			 "its peer is in another network namespace and not checked: TCP fails while the peer leaves "
			 "checksums to the device; run ethtool -K PEER tx off txvlan off there");
}

/* A tag that the device takes off is not in the packet any more, and the CPU map forgets it. */
static void check_vlans(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	char line[256], name[IF_NAMESIZE], base[IF_NAMESIZE];
	bool has_vlans = false;
	__u32 flags;
	FILE *file;

	if (sc_ethtool_value(place->ifname, ETHTOOL_GFLAGS, &flags) || !(flags & ETH_FLAG_RXVLAN))
		return;
	file = fopen("/proc/self/net/vlan/config", "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " %15[^| ] | %*u | %15s", name, base) == 2 && !strcmp(base, place->ifname))
			has_vlans = true;
	fclose(file);
	if (has_vlans)
		sc_diagnosis_add(
			diagnosis, SC_GRADE_PROBLEM, place->ifname,
			"VLAN tags that the device strips are lost to steered packets; run ethtool -K %s rxvlan off",
			place->ifname);
}

void sc_checks_offloads(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	check_veth_peer(place, diagnosis);
	check_vlans(place, diagnosis);
}

/* A note: whether its list of banned CPUs is right cannot be seen from here. */
void sc_checks_daemons(struct sc_diagnosis *diagnosis)
{
	if (sc_process_exists("irqbalance"))
		sc_diagnosis_add(diagnosis, SC_GRADE_NOTE, "irqbalance",
				 "it moves interrupts onto dedicated CPUs; stop it, or ban the CPUs by "
				 "IRQBALANCE_BANNED_CPULIST");
}

static void warn(struct sc_diagnosis *diagnosis, const struct sc_finding *finding)
{
	(void)diagnosis;
	if (finding->grade != SC_GRADE_OK)
		sc_warn("%s: %s; %s", finding->object, finding->reason, finding->fix);
}

void sc_checks_warn(const struct sc_place *place, enum sc_mode mode)
{
	struct sc_diagnosis diagnosis = { .take = warn };

	if (mode == SC_MODE_NATIVE)
		sc_checks_offloads(place, &diagnosis);
	sc_checks_daemons(&diagnosis);
}

void sc_checks_warn_cookies(const struct sc_place *place, const struct sc_pins *pins)
{
	struct sc_diagnosis diagnosis = { .take = warn };
	enum sc_mode mode = SC_MODE_UNSET;
	__u32 id;

	(void)sc_device_query(place->ifindex, &id, &mode);
	sc_checks_cookies(place, pins, mode, &diagnosis);
}

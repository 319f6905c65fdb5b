// SPDX-License-Identifier: MIT
// Warnings about offloads and daemons that spoil steering.
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "checks.h"
#include "kthread.h"
#include "log.h"
#include "peer.h"

/* The devices of this process's network namespace. */
static int ethtool(const char *ifname, void *request)
{
	struct ifreq ifr = { .ifr_data = request };
	int fd, err = 0;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCETHTOOL, &ifr))
		err = -errno;
	close(fd);
	return err;
}

static bool is_veth(const char *ifname)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	return !ethtool(ifname, &info) && !strcmp(info.driver, "veth");
}

static bool has_tx_checksums(const char *ifname)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GTXCSUM };

	return !ethtool(ifname, &value) && value.data;
}

/*
 * A veth's peer hands packets over with their checksum yet to be filled in, and the CPU map forgets that it is. In skb
 * mode packets keep that mark.
 */
static void check_veth_peer(const struct sc_place *place)
{
	char name[IF_NAMESIZE];
	int peer;

	if (!is_veth(place->ifname))
		return;
	peer = sc_peer_ifindex(place->ifindex);
	if (peer > 0 && if_indextoname(peer, name)) {
		if (has_tx_checksums(name))
			sc_warn("%s: packets from its peer %s will arrive without checksums and TCP will fail; run "
				"ethtool -K %s tx off",
				place->ifname, name, name);
		return;
	}
	sc_warn("%s: its peer is in another network namespace and not checked: TCP fails while the peer leaves checksums to "
		"the device; run ethtool -K PEER tx off txvlan off there",
		place->ifname);
}

/* A tag that the device takes off is not in the packet any more, and the CPU map forgets it. */
static void check_vlans(const struct sc_place *place)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GFLAGS };
	char line[256], name[IF_NAMESIZE], base[IF_NAMESIZE];
	bool has_vlans = false;
	FILE *file;

	if (ethtool(place->ifname, &value) || !(value.data & ETH_FLAG_RXVLAN))
		return;
	file = fopen("/proc/self/net/vlan/config", "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " %15[^| ] | %*u | %15s", name, base) == 2 && !strcmp(base, place->ifname))
			has_vlans = true;
	fclose(file);
	if (has_vlans)
		sc_warn("%s: VLAN tags that the device strips are lost to steered packets; run ethtool -K %s rxvlan off",
			place->ifname, place->ifname);
}

static void check_irqbalance(void)
{
	if (sc_process_exists("irqbalance"))
		sc_warn("irqbalance: it moves interrupts onto dedicated CPUs; stop it, or ban the CPUs by "
			"IRQBALANCE_BANNED_CPULIST");
}

void sc_checks_warn(const struct sc_place *place, enum sc_mode mode)
{
	if (mode == SC_MODE_NATIVE) {
		check_veth_peer(place);
		check_vlans(place);
	}
	check_irqbalance();
}

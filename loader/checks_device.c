// SPDX-License-Identifier: MIT
// Checks of one device: is it up, what its driver can, queues, MTU, offloads.
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/netdev.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "checks.h"
#include "ethtool.h"
#include "peer.h"

enum {
	/* One page less headroom and the kernel's own tail: what a driver without multi-buffer XDP takes (veth: 3506). */
	SINGLE_BUFFER_MTU_MAX = 3498,
};

static int link_request(const struct sc_place *place, unsigned long request, struct ifreq *ret_answer)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	memset(ret_answer, 0, sizeof(*ret_answer));
	memcpy(ret_answer->ifr_name, place->ifname, sizeof(ret_answer->ifr_name));
	if (ioctl(fd, request, ret_answer))
		err = -errno;
	close(fd);
	return err;
}

static void check_up(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	struct ifreq answer;

	if (!link_request(place, SIOCGIFFLAGS, &answer) && !(answer.ifr_flags & IFF_UP))
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, place->ifname,
				 "it is down, no packet arrives; run ip link set %s up", place->ifname);
}

static bool check_driver(const struct sc_place *place, enum sc_mode mode, __u64 flags, struct sc_diagnosis *diagnosis)
{
	char driver[32];
	bool can_native = (flags & NETDEV_XDP_ACT_BASIC) && (flags & NETDEV_XDP_ACT_REDIRECT);

	sc_ethtool_driver(place->ifname, driver, sizeof(driver));
	if (can_native)
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, place->ifname, "driver %s has native XDP with redirection",
				 driver);
	else if (mode == SC_MODE_SKB)
		sc_diagnosis_add(
			diagnosis, SC_GRADE_NOTE, place->ifname,
			"driver %s has no native XDP with redirection: skb mode is slower; use a device that has it",
			driver);
	else if (mode == SC_MODE_UNSET)
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, place->ifname,
				 "driver %s has no native XDP with redirection; attach with --mode skb or --mode auto",
				 driver);
	return can_native;
}

static void check_mtu(const struct sc_place *place, __u64 flags, struct sc_diagnosis *diagnosis)
{
	struct ifreq answer;

	if (link_request(place, SIOCGIFMTU, &answer))
		return;
	if (answer.ifr_mtu > SINGLE_BUFFER_MTU_MAX && !(flags & NETDEV_XDP_ACT_RX_SG))
		sc_diagnosis_add(
			diagnosis, SC_GRADE_PROBLEM, place->ifname,
			"MTU %d, and its driver has no XDP over several buffers; run ip link set %s mtu 1500, or "
			"attach with --mode skb",
			answer.ifr_mtu, place->ifname);
	else
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, place->ifname, "MTU %d", answer.ifr_mtu);
}

/*
 * Both devices of a pair in sight: one that has fewer queues than the other sends on is refused native XDP, and says that its
 * driver has none. false: so it is.
 */
static bool check_queues(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	__u32 rx, tx, peer_rx, peer_tx;
	char name[IF_NAMESIZE];
	int peer;

	if (sc_ethtool_queues(place->ifname, &rx, &tx))
		return true;
	peer = sc_ethtool_is_veth(place->ifname) ? sc_peer_ifindex(place->ifindex) : 0;
	if (peer > 0 && if_indextoname(peer, name) && !sc_ethtool_queues(name, &peer_rx, &peer_tx) && peer_tx > rx) {
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, place->ifname,
				 "%u rx queues, fewer than the %u its peer %s sends on; run ethtool -L %s tx %u", rx,
				 peer_tx, name, name, rx);
		return false;
	}
	sc_diagnosis_add(diagnosis, SC_GRADE_OK, place->ifname, "%u rx queue%s, %u tx", rx, rx == 1 ? "" : "s", tx);
	return true;
}

static void check_merging(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	bool lro = sc_ethtool_feature(place->ifname, "rx-lro"), gro_hw = sc_ethtool_feature(place->ifname, "rx-gro-hw");

	if (lro || gro_hw)
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, place->ifname,
				 "%s merges packets before XDP sees them; run ethtool -K %s %s off",
				 lro ? "LRO" : "GRO_HW", place->ifname,
				 lro && gro_hw ? "lro off rx-gro-hw" :
				 lro	       ? "lro" :
						 "rx-gro-hw");
	else
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, place->ifname, "LRO and GRO_HW are off");
}

void sc_checks_device(const struct sc_place *place, enum sc_mode mode, struct sc_diagnosis *diagnosis)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	int err = bpf_xdp_query(place->ifindex, 0, &opts);

	check_up(place, diagnosis);
	if (err) {
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, place->ifname,
				 "cannot ask for its XDP features: %s; see ip link show %s", strerror(-err),
				 place->ifname);
		return;
	}
	if (mode == SC_MODE_SKB || check_queues(place, diagnosis)) {
		if (!check_driver(place, mode, opts.feature_flags, diagnosis) || mode == SC_MODE_SKB)
			return;
		check_mtu(place, opts.feature_flags, diagnosis);
	}
	check_merging(place, diagnosis);
	sc_checks_offloads(place, diagnosis);
}

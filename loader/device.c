// SPDX-License-Identifier: MIT
// Asks a device for its XDP program and binds ours.
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "caps.h"
#include "device.h"
#include "log.h"

static const char *const mode_names[] = {
	[SC_MODE_NATIVE] = "native",
	[SC_MODE_SKB] = "skb",
	[SC_MODE_AUTO] = "auto",
};

const char *sc_mode_name(enum sc_mode mode)
{
	return mode > SC_MODE_UNSET && mode <= SC_MODE_AUTO ? mode_names[mode] : "other";
}

enum sc_mode sc_mode_parse(const char *name)
{
	enum sc_mode mode;

	for (mode = SC_MODE_NATIVE; mode <= SC_MODE_AUTO; mode++)
		if (!strcmp(name, mode_names[mode]))
			return mode;
	return SC_MODE_UNSET;
}

int sc_device_mac(const char *ifname, __u8 ret_mac[6])
{
	struct ifreq answer = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	snprintf(answer.ifr_name, sizeof(answer.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCGIFHWADDR, &answer))
		err = -errno;
	close(fd);
	if (err)
		return err;
	if (answer.ifr_hwaddr.sa_family != ARPHRD_ETHER && answer.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK)
		return -EAFNOSUPPORT;
	memcpy(ret_mac, answer.ifr_hwaddr.sa_data, 6);
	return 0;
}

int sc_device_query(int ifindex, __u32 *ret_program, enum sc_mode *ret_mode)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	int err;

	err = bpf_xdp_query(ifindex, 0, &opts);
	if (err)
		return err;
	switch (opts.attach_mode) {
	case XDP_ATTACHED_NONE:
		*ret_program = 0;
		*ret_mode = SC_MODE_UNSET;
		return 0;
	case XDP_ATTACHED_DRV:
		*ret_mode = SC_MODE_NATIVE;
		break;
	case XDP_ATTACHED_SKB:
		*ret_mode = SC_MODE_SKB;
		break;
	default:
		*ret_mode = SC_MODE_OTHER;
	}
	*ret_program = opts.prog_id ?: opts.drv_prog_id ?: opts.skb_prog_id ?: opts.hw_prog_id;
	return 0;
}

/*
 * A failed link gives errno alone; the kernel tells its reason only by netlink. So the same is tried there, and undone at
 * once should it succeed.
 */
static void ask_for_reason(int ifindex, int program, __u32 flags)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, ours, .old_prog_fd = program);

	sc_log_forget();
	if (!bpf_xdp_attach(ifindex, program, flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL))
		(void)bpf_xdp_detach(ifindex, flags, &ours);
}

int sc_device_attach(int ifindex, int program, enum sc_mode mode)
{
	__u32 flags = mode == SC_MODE_SKB ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int link, err;

	link = bpf_link_create(program, ifindex, BPF_XDP, &opts);
	if (link >= 0)
		return link;
	err = -errno;
	ask_for_reason(ifindex, program, flags);
	return err;
}

const char *sc_program_name(__u32 id, char *buf, size_t len)
{
	struct bpf_prog_info info = { 0 };
	__u32 info_len = sizeof(info);
	int fd;

	snprintf(buf, len, "?");
	/* Reaching into another's program is the one thing here that needs more than BPF and network rights. */
	sc_caps_admin(true);
	fd = bpf_prog_get_fd_by_id(id);
	sc_caps_admin(false);
	if (fd < 0)
		return buf;
	if (!bpf_prog_get_info_by_fd(fd, &info, &info_len) && info.name[0])
		snprintf(buf, len, "%s", info.name);
	close(fd);
	return buf;
}

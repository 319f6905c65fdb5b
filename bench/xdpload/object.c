// SPDX-License-Identifier: MIT
// The XDP program on its interface: the only user of the BPF skeleton.
#include <err.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "object.h"
#include "xdpload.skel.h"

struct sc_object {
	struct xdpload_bpf *skel;
	struct xdpload_stats *percpu; /* one per possible CPU */
	int cpus_cnt;
	int link_fd;
};

static char kernel_text[256]; /* what libbpf last warned of: the kernel's reason for a refusal */

static int keep_warning(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN) {
		(void)vsnprintf(kernel_text, sizeof(kernel_text), format, args);
		kernel_text[strcspn(kernel_text, "\n")] = '\0';
	}
	return 0;
}

static const char *attach_hint(int err)
{
	switch (-err) {
	case EBUSY:
		return "another XDP program is attached: detach it first (ip link set dev IF xdp off, or its own tool)";
	case EOPNOTSUPP:
		return "the driver has no native XDP: use a veth or a NIC whose driver has";
	case ERANGE:
		return "the MTU is too large for a program without fragments: set 1500 on both ends";
	case EPERM:
		return "needs root, or CAP_NET_ADMIN and CAP_BPF";
	default:
		return "see the kernel's reason";
	}
}

/* The program keeps its connections without a lock: two queues would mean two packets at a time. */
static int check_one_queue(const char *ifname)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq request = { .ifr_data = (void *)&channels };
	__u32 queues = 0;
	int fd;

	strncpy(request.ifr_name, ifname, sizeof(request.ifr_name) - 1);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !ioctl(fd, SIOCETHTOOL, &request)) /* a driver without it has one queue */
		queues = channels.rx_count + channels.combined_count;
	if (fd >= 0)
		close(fd);
	if (queues <= 1)
		return 0;
	warnx("%s: has %u receive queues, xdpload needs one: `ethtool -L %s rx 1`, after `tx 1` on the server's end",
	      ifname, queues, ifname);
	return -EINVAL;
}

static int attach(struct sc_object *o, const char *ifname, int ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int err;

	o->link_fd = bpf_link_create(bpf_program__fd(o->skel->progs.xdpload), ifindex, BPF_XDP, &opts);
	if (o->link_fd >= 0)
		return 0;
	err = -errno;
	warnx("%s: cannot attach: %s%s%s: %s", ifname, strerror(-err), kernel_text[0] ? ": " : "", kernel_text,
	      attach_hint(err));
	return err;
}

static int load(struct sc_object *o, __u32 conns_cnt)
{
	int err;

	o->skel = xdpload_bpf__open();
	if (!o->skel) {
		err = -errno;
		warnx("XDP program: cannot open: %s: rebuild xdpload", strerror(-err));
		return err;
	}
	err = bpf_map__set_max_entries(o->skel->maps.conns, conns_cnt);
	if (!err)
		err = xdpload_bpf__load(o->skel);
	if (err)
		warnx("XDP program: cannot load: %s%s%s: %s", strerror(-err), kernel_text[0] ? ": " : "", kernel_text,
		      err == -EPERM ? "needs root, or CAP_BPF and CAP_NET_ADMIN" : "needs Linux 6.12 with BTF");
	return err;
}

struct sc_object *sc_object_create(const char *ifname, __u32 conns_cnt)
{
	int ifindex = (int)if_nametoindex(ifname);
	struct sc_object *o;

	if (!ifindex) {
		warnx("%s: no such interface: see `ip link`, and start xdpload in the client's network namespace",
		      ifname);
		return NULL;
	}
	libbpf_set_print(keep_warning);
	o = calloc(1, sizeof(*o));
	if (!o)
		goto err_memory;
	o->link_fd = -1;
	o->cpus_cnt = libbpf_num_possible_cpus();
	o->percpu = o->cpus_cnt > 0 ? calloc((size_t)o->cpus_cnt, sizeof(*o->percpu)) : NULL;
	if (!o->percpu)
		goto err_memory;
	if (check_one_queue(ifname) || load(o, conns_cnt) || attach(o, ifname, ifindex))
		goto err_free;
	return o;

err_memory:
	warnx("%s: out of memory: free some", ifname);
err_free:
	sc_object_free(o);
	return NULL;
}

void sc_object_free(struct sc_object *o)
{
	if (!o)
		return;
	if (o->link_fd >= 0)
		close(o->link_fd);
	xdpload_bpf__destroy(o->skel);
	free(o->percpu);
	free(o);
}

struct xdpload_config *sc_object_config(struct sc_object *o)
{
	return &o->skel->bss->config;
}

const volatile struct xdpload_peer *sc_object_peer(struct sc_object *o)
{
	return &o->skel->bss->peer;
}

int sc_object_conns_fd(struct sc_object *o)
{
	return bpf_map__fd(o->skel->maps.conns);
}

int sc_object_stats(struct sc_object *o, struct xdpload_stats *ret_stats)
{
	__u64 *sum = (__u64 *)ret_stats;
	__u32 key = 0;
	int err;

	if (bpf_map_lookup_elem(bpf_map__fd(o->skel->maps.stats), &key, o->percpu)) {
		err = -errno;
		warnx("counters: cannot read: %s: this is a bug", strerror(-err));
		return err;
	}
	memset(ret_stats, 0, sizeof(*ret_stats));
	for (int cpu = 0; cpu < o->cpus_cnt; cpu++) {
		const __u64 *value = (const __u64 *)&o->percpu[cpu];

		for (size_t i = 0; i < sizeof(*ret_stats) / sizeof(*sum); i++)
			sum[i] += value[i];
	}
	return 0;
}

double sc_object_ns_per_packet(struct sc_object *o)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(o->skel->progs.xdpload), &info, &len) || !info.run_cnt)
		return 0;
	return (double)info.run_time_ns / (double)info.run_cnt;
}

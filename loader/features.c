// SPDX-License-Identifier: MIT
// Command features: what this kernel and a device can, as far as it matters here.
#include <jansson.h>
#include <linux/netdev.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "caps.h"
#include "cli.h"
#include "log.h"
#include "probe.h"
#include "report.h"
#include "target.h"

/* Names as the kernel's netdev family has them. */
static const struct {
	const char *name;
	__u64 flag;
	const char *use;
} device_features[] = {
	{ "basic", NETDEV_XDP_ACT_BASIC, "native mode" },
	{ "redirect", NETDEV_XDP_ACT_REDIRECT, "steering in native mode" },
	{ "ndo-xmit", NETDEV_XDP_ACT_NDO_XMIT, "sends what others redirect to it; not used" },
	{ "xsk-zerocopy", NETDEV_XDP_ACT_XSK_ZEROCOPY, "AF_XDP without copies; not used" },
	{ "hw-offload", NETDEV_XDP_ACT_HW_OFFLOAD, "programs in the device; not used" },
	{ "rx-sg", NETDEV_XDP_ACT_RX_SG, "large MTU in native mode" },
	{ "ndo-xmit-sg", NETDEV_XDP_ACT_NDO_XMIT_SG, "sends large packets that others redirect to it; not used" },
};

#define DEVICE_FEATURE_CNT (sizeof(device_features) / sizeof(device_features[0]))

static void add(json_t *object, const char *name, bool there, const char *use)
{
	if (object)
		json_object_set_new(object, name, json_pack("{s:b, s:s}", "supported", there, "use", use));
	else
		printf("  %-20s %-4s %s\n", name, there ? "yes" : "no", use);
}

/* json: NULL prints text. */
static void show_kernel(json_t *json)
{
	const struct sc_probe *probe;

	if (!json)
		printf("kernel:\n");
	for (probe = sc_probes; probe->name; probe++)
		add(json, probe->name, probe->run(), probe->use);
}

static int show_device(const char *ifname, json_t *json)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	unsigned int ifindex = if_nametoindex(ifname);
	int err;
	size_t i;

	if (!ifindex) {
		sc_error("%s: no such interface in this network namespace; see ip link", ifname);
		return -1;
	}
	err = bpf_xdp_query(ifindex, 0, &opts);
	if (err) {
		sc_error("%s: cannot ask for its XDP features: %s; see ip link show %s", ifname, strerror(-err),
			 ifname);
		return err;
	}
	if (!json)
		printf("%s:\n", ifname);
	for (i = 0; i < DEVICE_FEATURE_CNT; i++)
		add(json, device_features[i].name, opts.feature_flags & device_features[i].flag,
		    device_features[i].use);
	return 0;
}

int sc_cmd_features(int argc, char **argv)
{
	static struct sc_target target = {
		.doc = "Tries each feature of the kernel that steering rests on, and asks the driver of IF for its XDP features.",
		.takes_json = true,
		.ifname_optional = true,
	};
	json_t *kernel = NULL, *device = NULL;
	int err = 0;

	sc_target_parse(&target, argc, argv);
	if (sc_caps_limit())
		return SC_EXIT_FAILURE;
	if (target.json) {
		kernel = json_object();
		device = target.ifname ? json_object() : NULL;
	}
	if (target.ifname)
		err = show_device(target.ifname, device);
	if (!err)
		show_kernel(kernel);
	if (!err && target.json)
		err = sc_report_print(json_pack("{s:i, s:O, s:s?, s:O?}", "schema_version", SC_REPORT_SCHEMA, "kernel",
						kernel, "interface", target.ifname, "device", device));
	json_decref(kernel);
	json_decref(device);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

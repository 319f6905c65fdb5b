// SPDX-License-Identifier: MIT
// Asks devices by SIOCETHTOOL.
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ethtool.h"

enum {
	FEATURES_MAX = 1024, /* the kernel has less than a tenth of it */
};

static int ask(const char *ifname, void *request)
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

const char *sc_ethtool_driver(const char *ifname, char *buf, size_t len)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	snprintf(buf, len, "%s", ask(ifname, &info) || !info.driver[0] ? "unknown" : info.driver);
	return buf;
}

bool sc_ethtool_is_veth(const char *ifname)
{
	char driver[32];

	return !strcmp(sc_ethtool_driver(ifname, driver, sizeof(driver)), "veth");
}

int sc_ethtool_value(const char *ifname, __u32 command, __u32 *ret_value)
{
	struct ethtool_value value = { .cmd = command };
	int err = ask(ifname, &value);

	if (!err)
		*ret_value = value.data;
	return err;
}

int sc_ethtool_queues(const char *ifname, __u32 *ret_rx, __u32 *ret_tx)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	int err = ask(ifname, &channels);

	if (!err) {
		*ret_rx = channels.rx_count + channels.combined_count;
		*ret_tx = channels.tx_count + channels.combined_count;
	}
	return err;
}

/* Room for the largest table; freed by the caller, NULL without memory. */
static struct ethtool_rxfh_indir *rss_request(__u32 command)
{
	struct ethtool_rxfh_indir *request = calloc(1, sizeof(*request) + SC_RSS_MAX * sizeof(__u32));

	if (request)
		request->cmd = command;
	return request;
}

int sc_ethtool_rss(const char *ifname, struct sc_rss *ret_rss)
{
	struct ethtool_rxfh_indir *request = rss_request(ETHTOOL_GRXFHINDIR);
	int err = request ? ask(ifname, request) : -ENOMEM;

	/* Asked with no room it tells how much it takes. */
	if (!err && (!request->size || request->size > SC_RSS_MAX))
		err = -EOPNOTSUPP;
	err = err ?: ask(ifname, request);
	if (!err) {
		ret_rss->cnt = request->size;
		memcpy(ret_rss->queues, request->ring_index, ret_rss->cnt * sizeof(__u32));
	}
	free(request);
	return err;
}

int sc_ethtool_set_rss(const char *ifname, const struct sc_rss *rss)
{
	struct ethtool_rxfh_indir *request = rss_request(ETHTOOL_SRXFHINDIR);
	int err;

	if (!request)
		return -ENOMEM;
	request->size = rss->cnt;
	memcpy(request->ring_index, rss->queues, rss->cnt * sizeof(__u32));
	err = ask(ifname, request);
	free(request);
	return err;
}

/* The feature's bit, -1 if this kernel knows none of that name. *ret_cnt: how many there are. */
static int find_feature(const char *ifname, const char *name, __u32 *ret_cnt)
{
	union {
		struct ethtool_sset_info head;
		__u32 words[sizeof(struct ethtool_sset_info) / sizeof(__u32) + 1]; /* with room for one answer */
	} info = { .head = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES } };
	struct ethtool_gstrings *strings;
	int bit = -1;
	__u32 i, cnt;

	if (ask(ifname, &info) || !info.head.sset_mask || info.head.data[0] > FEATURES_MAX)
		return -1;
	cnt = info.head.data[0];
	strings = calloc(1, sizeof(*strings) + (size_t)cnt * ETH_GSTRING_LEN);
	if (!strings)
		return -1;
	strings->cmd = ETHTOOL_GSTRINGS;
	strings->string_set = ETH_SS_FEATURES;
	strings->len = cnt;
	if (!ask(ifname, strings))
		for (i = 0; i < cnt && bit < 0; i++)
			if (!strncmp((char *)&strings->data[i * ETH_GSTRING_LEN], name, ETH_GSTRING_LEN))
				bit = i;
	free(strings);
	*ret_cnt = cnt;
	return bit;
}

bool sc_ethtool_feature(const char *ifname, const char *name)
{
	struct ethtool_gfeatures *features;
	bool active = false;
	__u32 cnt, words;
	int bit;

	bit = find_feature(ifname, name, &cnt);
	if (bit < 0)
		return false;
	words = (cnt + 31) / 32;
	features = calloc(1, sizeof(*features) + words * sizeof(features->features[0]));
	if (!features)
		return false;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = words;
	if (!ask(ifname, features))
		active = features->features[bit / 32].active & (1U << bit % 32);
	free(features);
	return active;
}

/* SPDX-License-Identifier: MIT */
/* Settings of a device of this network namespace, asked by ethtool's ioctl. */
#ifndef SC_LOADER_ETHTOOL_H
#define SC_LOADER_ETHTOOL_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

/* Writes the driver's name to buf, "unknown" if the device does not tell; returns buf. */
const char *sc_ethtool_driver(const char *ifname, char *buf, size_t len);

/* Whether it is one end of a veth pair. */
bool sc_ethtool_is_veth(const char *ifname);

/* An ETHTOOL_G... command that answers one number. 0 or -errno. */
int sc_ethtool_value(const char *ifname, __u32 command, __u32 *ret_value);

/* Queues in use, combined ones included. 0 or -errno: many drivers do not tell. */
int sc_ethtool_queues(const char *ifname, __u32 *ret_rx, __u32 *ret_tx);

/* Queue of each slot of the table that spreads flows over queues. */
enum {
	SC_RSS_MAX = 4096,
};

struct sc_rss {
	__u32 cnt;
	__u32 queues[SC_RSS_MAX];
};

/* 0; -EOPNOTSUPP: there is no such table; else -errno. */
int sc_ethtool_rss(const char *ifname, struct sc_rss *ret_rss);
int sc_ethtool_set_rss(const char *ifname, const struct sc_rss *rss);

/* Whether the feature of that name, as `ethtool -k` shows it in the kernel's own words, is on. */
bool sc_ethtool_feature(const char *ifname, const char *name);

#endif

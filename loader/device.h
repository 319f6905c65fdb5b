/* SPDX-License-Identifier: MIT */
/* The XDP side of a network device: what is attached, in which mode, and attaching. */
#ifndef SC_LOADER_DEVICE_H
#define SC_LOADER_DEVICE_H

#include <linux/types.h>
#include <stddef.h>

enum sc_mode {
	SC_MODE_UNSET, /* first attach: native; later: as it is */
	SC_MODE_NATIVE,
	SC_MODE_SKB,
	SC_MODE_AUTO, /* native, or skb where the device refuses that */
	SC_MODE_OTHER, /* hardware, or several at once: never ours */
};

/* "native", "skb", ...; the words of --mode. */
const char *sc_mode_name(enum sc_mode mode);

/* SC_MODE_UNSET if no mode of --mode has that name. */
enum sc_mode sc_mode_parse(const char *name);

/* Its hardware address. 0 or -errno; -EAFNOSUPPORT: it is no Ethernet device. */
int sc_device_mac(const char *ifname, __u8 ret_mac[6]);

/* Id of the XDP program on the device, 0 if none, and its mode. 0 or -errno. */
int sc_device_query(int ifindex, __u32 *ret_program, enum sc_mode *ret_mode);

/*
 * Binds the program to the device by a link, in native or skb mode. The link, which the caller closes, or -errno: then
 * sc_log_kernel_words() tells what the kernel said.
 */
int sc_device_attach(int ifindex, int program, enum sc_mode mode);

/* Writes the name of a loaded program to buf, "?" if this process may not know; returns buf. */
const char *sc_program_name(__u32 id, char *buf, size_t len);

#endif

/* SPDX-License-Identifier: MIT */
/* A channel: the sealed memfd of a session, mapped and checked. */
#ifndef LIBAPP_CHANNEL_H
#define LIBAPP_CHANNEL_H

#include <stddef.h>

#include <sidecore/abi.h>

/*
 * Maps the memfd, copies its header to *ret_header once and checks that every offset lies inside, so that the copy can be
 * relied on. Returns the mapping (header.channel_len bytes, the caller unmaps), or NULL with a reason and *ret_err:
 * -EPROTO not a channel of this version; -EBADMSG an offset out of bounds, or not sealed; -ENOMEM.
 */
void *sc_channel_map(int memfd, struct sc_channel *ret_header, int *ret_err);

/* Maps a segment's memfd of len bytes; as sc_channel_map, but -EBADMSG is a length that is not len, or not sealed. */
void *sc_channel_map_segment(int memfd, size_t len, int *ret_err);

#endif

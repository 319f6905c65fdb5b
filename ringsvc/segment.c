// SPDX-License-Identifier: MIT
// Adds segments of memory to a session and takes them away.
#include "segment.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channel.h"
#include "lane.h"

static bool within_bounds(const struct sc_segments *segments, const struct sc_ctl_msg *add)
{
	__u64 len = add->mem_len;

	return add->slot < SC_SEGMENTS_MAX && len && len <= SC_ARENA_LEN_MAX && !(len % sysconf(_SC_PAGESIZE)) &&
	       len <= SC_SEGMENTS_LEN_MAX - segments->len;
}

int sc_segment_add(struct sc_segments *segments, const struct sc_ctl_msg *add, __u64 *ret_base,
		   enum sc_refusal *ret_reason)
{
	struct sc_segment *segment;
	int memfd;

	*ret_reason = SC_REFUSED_LIMIT;
	if (!within_bounds(segments, add))
		return -EINVAL;
	segment = &segments->at[add->slot];
	if (segment->len)
		return -EBUSY;
	*ret_reason = SC_REFUSED_MEMORY;
	memfd = sc_channel_create(add->mem_len, &segment->base);
	if (memfd < 0)
		return memfd;
	*ret_reason = SC_REFUSED_NONE;
	segment->len = add->mem_len;
	segments->len += segment->len;
	*ret_base = (unsigned long)segment->base;
	return memfd;
}

bool sc_segment_register(const struct sc_segments *segments, unsigned int slot, const int *rings, unsigned int cnt)
{
	const struct sc_segment *segment = &segments->at[slot];
	unsigned int done = 0;

	while (done < cnt && !sc_lane_buffer_set(rings[done], slot, segment->base, segment->len))
		done++;
	if (done == cnt)
		return true;
	while (done--)
		(void)sc_lane_buffer_set(rings[done], slot, NULL, 0);
	return false;
}

int sc_segment_del(struct sc_segments *segments, unsigned int slot, const int *rings, unsigned int cnt)
{
	if (slot >= SC_SEGMENTS_MAX || !segments->at[slot].len)
		return -EINVAL;
	for (unsigned int i = 0; i < cnt; i++)
		(void)sc_lane_buffer_set(rings[i], slot, NULL, 0); // none there is fine
	(void)munmap(segments->at[slot].base, segments->at[slot].len);
	segments->len -= segments->at[slot].len;
	segments->at[slot].len = 0;
	return 0;
}

void sc_segments_exit(struct sc_segments *segments)
{
	for (unsigned int slot = 0; slot < SC_SEGMENTS_MAX; slot++)
		if (segments->at[slot].len)
			(void)munmap(segments->at[slot].base, segments->at[slot].len);
	*segments = (struct sc_segments){ 0 };
}

// SPDX-License-Identifier: MIT
// Counts failures per user. Of each user by itself: whoever makes many must not hide what befalls others.
#include "quota.h"

#define PLACES_END (quota->places + SC_QUOTA_USERS + 1)

static struct sc_quota_place *find(struct sc_quota *quota, uid_t uid, uint64_t now_ms)
{
	struct sc_quota_place *others = PLACES_END - 1, *unused = others;

	for (struct sc_quota_place *place = quota->places; place < PLACES_END; place++) {
		if (place->end_ms <= now_ms && !place->untold)
			*place = (struct sc_quota_place){ 0 };
		if (place->end_ms && place->uid == uid)
			return place;
		if (!place->end_ms && unused == others)
			unused = place;
	}
	if (!unused->end_ms)
		*unused = (struct sc_quota_place){
			.end_ms = now_ms + SC_QUOTA_MS,
			.uid = unused == others ? SC_QUOTA_OTHERS : uid,
		};
	return unused;
}

bool sc_quota_admit(struct sc_quota *quota, uid_t uid, uint64_t now_ms)
{
	struct sc_quota_place *place = find(quota, uid, now_ms);

	if (place->told == SC_QUOTA_TOLD) {
		place->untold++;
		return false;
	}
	place->told++;
	return true;
}

bool sc_quota_take_due(struct sc_quota *quota, uint64_t now_ms, uid_t *ret_uid, unsigned int *ret_untold)
{
	for (struct sc_quota_place *place = quota->places; place < PLACES_END; place++) {
		if (!place->untold || place->end_ms > now_ms)
			continue;
		*ret_uid = place->uid;
		*ret_untold = place->untold;
		*place = (struct sc_quota_place){ 0 };
		return true;
	}
	return false;
}

int sc_quota_timeout_ms(const struct sc_quota *quota, uint64_t now_ms)
{
	uint64_t next_ms = UINT64_MAX;

	for (const struct sc_quota_place *place = quota->places; place < PLACES_END; place++)
		if (place->untold && place->end_ms < next_ms)
			next_ms = place->end_ms;
	if (next_ms == UINT64_MAX)
		return -1;
	return next_ms > now_ms ? (int)(next_ms - now_ms) : 0;
}

// SPDX-License-Identifier: MIT
/* A group: the sessions opened together, one per thread, and what they have in common. */
#include <stdlib.h>

#include "control.h"
#include "group.h"
#include "handover.h"

struct group *sc_group_create(unsigned int session_cnt)
{
	struct group *group = calloc(1, sizeof(*group));

	if (!group)
		return NULL;
	group->session_cnt = session_cnt;
	group->refs = session_cnt;
	group->control = -1;
	(void)pthread_mutex_init(&group->control_lock, NULL);
	return group;
}

void sc_group_free(struct group *group)
{
	for (unsigned int i = 0; i < group->session_cnt; i++)
		sc_parcels_free(sc_mailbox_take(&group->mailboxes[i]));
	(void)pthread_mutex_destroy(&group->control_lock);
	free(group);
}

bool sc_group_is_last(const struct group *group)
{
	return __atomic_load_n(&group->refs, __ATOMIC_ACQUIRE) == 1;
}

/* What each session did to the common memory comes before its end. */
bool sc_group_put(struct group *group)
{
	return __atomic_sub_fetch(&group->refs, 1, __ATOMIC_ACQ_REL) == 0;
}

int sc_group_call(struct group *group, struct sc_ctl_msg *msg, int fd, int *fds, unsigned int *fd_cnt)
{
	int err;

	(void)pthread_mutex_lock(&group->control_lock);
	err = sc_control_call(group->control, msg, fd, fds, fd_cnt);
	(void)pthread_mutex_unlock(&group->control_lock);
	return err;
}

unsigned int sc_group_slot_get(struct group *group)
{
	_Static_assert(SC_SEGMENTS_MAX == 64, "a bit for each");
	uint64_t used = __atomic_load_n(&group->segment_slots, __ATOMIC_RELAXED);
	unsigned int slot;

	do {
		if (!~used)
			return SC_SEGMENTS_MAX;
		slot = (unsigned int)__builtin_ctzll(~used);
	} while (!__atomic_compare_exchange_n(&group->segment_slots, &used, used | 1ULL << slot, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return slot;
}

void sc_group_slot_put(struct group *group, unsigned int slot)
{
	(void)__atomic_and_fetch(&group->segment_slots, ~(1ULL << slot), __ATOMIC_RELAXED);
}

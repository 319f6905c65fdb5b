// SPDX-License-Identifier: MIT
/* A group: the sessions opened together, one per thread, and what they have in common. */
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "group.h"
#include "handover.h"

struct group *sc_group_create(unsigned int session_cnt)
{
	struct group *group = aligned_alloc(_Alignof(struct group), sizeof(*group));

	if (!group)
		return NULL;
	memset(group, 0, sizeof(*group));
	group->session_cnt = session_cnt;
	group->refs = session_cnt;
	group->control = -1;
	(void)pthread_mutex_init(&group->control_lock, NULL);
	(void)pthread_mutex_init(&group->segments_lock, NULL);
	sc_segments_init(group);
	return group;
}

void sc_group_free(struct group *group)
{
	for (unsigned int i = 0; i < group->session_cnt; i++)
		sc_parcels_free(sc_mailbox_take(&group->mailboxes[i]));
	(void)pthread_mutex_destroy(&group->segments_lock);
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

// SPDX-License-Identifier: MIT
/* The mailbox of a session: where others of its group leave what it is to take. */
#include <errno.h>
#include <stddef.h>

#include "handover.h"
#include "mailbox.h"

/* Announce, then look; the other side closes, then looks: not both miss the other. */
int sc_mailbox_enter(struct mailbox *box)
{
	(void)__atomic_fetch_add(&box->senders, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&box->closed, __ATOMIC_SEQ_CST))
		return 0;
	sc_mailbox_leave(box);
	return -ESHUTDOWN;
}

void sc_mailbox_leave(struct mailbox *box)
{
	(void)__atomic_fetch_sub(&box->senders, 1, __ATOMIC_RELEASE);
}

void sc_mailbox_post(struct mailbox *box, struct parcel *parcel)
{
	parcel->next = __atomic_load_n(&box->head, __ATOMIC_RELAXED);
	/* E: what is in the parcel before the head; matches the exchange in sc_mailbox_take. */
	while (!__atomic_compare_exchange_n(&box->head, &parcel->next, parcel, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	sc_mailbox_leave(box);
}

struct parcel *sc_mailbox_take(struct mailbox *box)
{
	struct parcel *youngest = __atomic_exchange_n(&box->head, NULL, __ATOMIC_ACQUIRE), *eldest = NULL;

	while (youngest) {
		struct parcel *next = youngest->next;

		youngest->next = eldest;
		eldest = youngest;
		youngest = next;
	}
	return eldest;
}

void sc_mailbox_close(struct mailbox *box)
{
	__atomic_store_n(&box->closed, true, __ATOMIC_SEQ_CST);
}

bool sc_mailbox_expects(const struct mailbox *box)
{
	return __atomic_load_n(&box->senders, __ATOMIC_SEQ_CST) || __atomic_load_n(&box->head, __ATOMIC_ACQUIRE);
}

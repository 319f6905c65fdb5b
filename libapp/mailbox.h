/* SPDX-License-Identifier: MIT */
/* The mailbox of a session: where others of its group leave what it is to take. */
#ifndef LIBAPP_MAILBOX_H
#define LIBAPP_MAILBOX_H

#include <stdbool.h>

struct parcel;

struct mailbox {
	int ring_fd; /* of the session's lane, as a MSG_RING calls it; set before threads come into play */
	struct parcel *head; /* atomic: posted and not taken, the youngest first */
	unsigned int senders; /* atomic: who may still post */
	bool closed; /* atomic */
};

/* Announces a sender, who must post or leave. -ESHUTDOWN: the session is being closed. Any thread. */
int sc_mailbox_enter(struct mailbox *box);
void sc_mailbox_leave(struct mailbox *box);
/* Leaves the parcel, which is the taker's from here on, and leaves. */
void sc_mailbox_post(struct mailbox *box, struct parcel *parcel);

/* What is there, the eldest first. The session's thread, as the rest. */
struct parcel *sc_mailbox_take(struct mailbox *box);
/* From here on nobody enters. */
void sc_mailbox_close(struct mailbox *box);
bool sc_mailbox_expects(const struct mailbox *box);

#endif

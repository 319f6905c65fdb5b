/* SPDX-License-Identifier: MIT */
/* What a hostile application tries. */
#ifndef HOSTILE_ATTACK_H
#define HOSTILE_ATTACK_H

#include "session.h"

/* One random attack on a session that is connected; it may be closed or without a channel afterwards. */
void attack(struct session *session, struct chance *chance);

/* What was let through and should not have been; NULL: nothing. */
const char *attack_succeeded(void);

#endif

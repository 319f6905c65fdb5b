/* SPDX-License-Identifier: MIT */
/* Sessions and fork: in a child its parent's sessions are lost from the beginning. */
#ifndef LIBAPP_FORK_H
#define LIBAPP_FORK_H

struct sc_session;

/* From here to the end a child finds the session lost by -ESTALE, with that told. */
void sc_fork_watch(struct sc_session *session);
void sc_fork_forget(struct sc_session *session);

#endif

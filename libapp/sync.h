/* SPDX-License-Identifier: MIT */
/* Waiting for one thing while what comes for others is kept. */
#ifndef LIBAPP_SYNC_H
#define LIBAPP_SYNC_H

#include <stdbool.h>

#include <sidecore/app.h>

/*
 * Turns the session until `done`, at least once unless it is done already. 1; 0 time is over (timeout_ms < 0: never); -EINTR,
 * -ENOBUFS, or session->lost when nothing is left to come.
 */
int sc_wait_until(struct sc_session *session, bool (*done)(void *), void *arg, int timeout_ms);

#endif

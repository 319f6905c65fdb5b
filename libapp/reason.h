/* SPDX-License-Identifier: MIT */
/* The last failure of this thread, told in words. */
#ifndef LIBAPP_REASON_H
#define LIBAPP_REASON_H

/* Keeps the text and returns err, so that a failing path reads `return sc_reason_set(-EINVAL, "...")`. */
int sc_reason_set(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

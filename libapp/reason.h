/* SPDX-License-Identifier: MIT */
/* The last refusal of this thread, told in words. */
#ifndef LIBAPP_REASON_H
#define LIBAPP_REASON_H

/* Keeps the text and returns err, so that a failing path reads `return sc_reason_set(-EINVAL, "...")`. */
int sc_reason_set(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same without a copy, for paths where a refusal is part of the work: text is there for ever. */
int sc_refuse(int err, const char *text);

#endif

/* SPDX-License-Identifier: MIT */
/* From what the kernel refused to what the user can do. */
#ifndef SC_LOADER_HINT_H
#define SC_LOADER_HINT_H

enum sc_step {
	SC_STEP_LOAD,
	SC_STEP_ATTACH_NATIVE,
	SC_STEP_ATTACH_SKB,
	SC_STEP_PIN,
	SC_STEP_MAPS,
	SC_STEP_LISTS,
	SC_STEP_SWAP,
};

/* Writes "object: cannot do it: reason (the kernel's words); next step" for a -errno. Uses sc_log_kernel_words(). */
void sc_hint_error(const char *object, enum sc_step step, int err);

/* The next step alone. */
const char *sc_hint_fix(enum sc_step step, int err);

/* The reason alone: errno's text and the kernel's words, in a static buffer. */
const char *sc_hint_reason(int err);

#endif

/* SPDX-License-Identifier: MIT */
/* What attach can be told about an interface: by options of its command line, or by the same names in a file. */
#ifndef SC_LOADER_SETTINGS_H
#define SC_LOADER_SETTINGS_H

#include <argp.h>
#include <stdbool.h>

#include "plan.h"

struct sc_settings {
	struct sc_plan plan;
	bool no_fifo;
	const char *syn_rate; /* NULL: none given */
	/* Read into the plan by sc_settings_load(). */
	const char *deny_file;
	const char *allow_file;
};

/* Its options, which are the keys of a file too; input is a struct sc_settings. */
extern const struct argp sc_settings_argp;

/* Whether an option may be given again, to add to what is there. */
bool sc_settings_adds(int key);

/*
 * Takes the value of one option; `value`, NULL for an option without, must live on. NULL, or what is wrong with it in a static
 * buffer.
 */
const char *sc_settings_take(struct sc_settings *settings, int key, const char *value);

/* Checks what hangs together, and reads the files that were named. Says why not. 0 or -errno; sc_settings_exit() is due all the same. */
int sc_settings_load(struct sc_settings *settings);
void sc_settings_exit(struct sc_settings *settings);

#endif

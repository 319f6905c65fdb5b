/* SPDX-License-Identifier: MIT */
/* Configuration files: a key and a value per line, the keys being the options of attach. */
#ifndef SC_LOADER_CONFIG_H
#define SC_LOADER_CONFIG_H

#include "settings.h"

struct sc_config {
	char *text; /* of the whole file: values in the settings point into it */
	const char *ifname; /* NULL: the file names none */
};

/*
 * Reads the file into *settings, strictly: what is not understood is an error, said with file and line. 0 or -errno;
 * sc_config_exit() after 0, once the settings are not used any more.
 */
int sc_config_init(struct sc_config *config, const char *path, struct sc_settings *settings);
void sc_config_exit(struct sc_config *config);

#endif

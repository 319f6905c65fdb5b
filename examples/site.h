/* SPDX-License-Identifier: MIT */
/* What an HTTP server serves, and what it costs: the options for that, and the handler made from them. */
#ifndef EXAMPLES_SITE_H
#define EXAMPLES_SITE_H

#include <argp.h>
#include <stdbool.h>

#include "files.h"
#include "handler.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sc_site_options {
	const char *root;
	unsigned int work_us;
};
#define SC_SITE_OPTIONS_INIT \
	{                    \
		.root = "."  \
	}

/* Its input is a struct sc_site_options. */
extern const struct argp sc_site_argp;

/* Lists the files and calibrates the work. False after a message. Ends with sc_site_exit. */
bool sc_site_init(struct sc_handler *handler, const struct sc_site_options *options);

/* Reads the files into memory of sc_files_bytes, which stays the caller's; NULL fails. False after a message. */
bool sc_site_load(struct sc_handler *handler, void *bodies);

void sc_site_exit(struct sc_handler *handler);

#ifdef __cplusplus
}
#endif
#endif

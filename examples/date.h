/* SPDX-License-Identifier: MIT */
/* The Date field of a response, written anew once a second. */
#ifndef EXAMPLES_DATE_H
#define EXAMPLES_DATE_H

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SC_DATE_LEN = 37 }; /* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" */

struct sc_date {
	time_t second;
	char field[SC_DATE_LEN + 1];
};

/* Call it once per turn of the main loop. The clock is the coarse one: no system call. */
void sc_date_refresh(struct sc_date *date);

/* For tests: the field of this second. */
void sc_date_set(struct sc_date *date, time_t second);

#ifdef __cplusplus
}
#endif
#endif

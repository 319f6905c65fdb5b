// SPDX-License-Identifier: MIT
/* Formats IMF-fixdate (RFC 9110, 5.6.7), whatever the locale. */
#include <stdio.h>

#include "date.h"

void sc_date_set(struct sc_date *date, time_t second)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;
	char field[128]; /* as long as the compiler fears it might be */

	date->second = second;
	(void)gmtime_r(&second, &tm);
	(void)snprintf(field, sizeof(field), "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday],
		       tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	(void)snprintf(date->field, sizeof(date->field), "%.*s", SC_DATE_LEN, field);
}

void sc_date_refresh(struct sc_date *date)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != date->second)
		sc_date_set(date, now.tv_sec);
}

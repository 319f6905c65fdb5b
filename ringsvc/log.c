// SPDX-License-Identifier: MIT
// The one place that prints.
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum sc_log_level threshold = SC_LOG_INFO;

void sc_log_set_level(enum sc_log_level level)
{
	threshold = level;
}

void sc_log(enum sc_log_level level, const char *format, ...)
{
	char line[512] = "sidecore-ringsvc: ";
	size_t len = strlen(line);
	int err = errno;
	va_list args;

	if (level > threshold)
		return;
	va_start(args, format);
	(void)vsnprintf(line + len, sizeof(line) - len - 1, format, args);
	va_end(args);
	len = strlen(line);
	line[len++] = '\n';
	(void)!write(STDERR_FILENO, line, len); // in one piece, so that lines of several processes do not mix
	errno = err;
}

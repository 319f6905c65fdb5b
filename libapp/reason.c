// SPDX-License-Identifier: MIT
/* The last failure of this thread, told in words. */
#include <stdarg.h>
#include <stdio.h>

#include <sidecore/app.h>

#include "reason.h"

static _Thread_local char text[256];

int sc_reason_set(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return err;
}

const char *sc_reason(void)
{
	return text;
}

// SPDX-License-Identifier: MIT
// Forms findings out of text.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "diagnosis.h"

void sc_diagnosis_add(struct sc_diagnosis *diagnosis, enum sc_grade grade, const char *object, const char *fmt, ...)
{
	struct sc_finding finding = { .grade = grade, .object = object };
	char text[1024], *cut;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cut = grade == SC_GRADE_OK ? NULL : strstr(text, "; ");
	if (cut) {
		*cut = '\0';
		finding.fix = cut + 2;
	}
	finding.reason = text;
	diagnosis->take(diagnosis, &finding);
}

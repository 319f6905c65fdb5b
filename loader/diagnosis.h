/* SPDX-License-Identifier: MIT */
/* Findings of checks, each with what to do, on their way to whoever shows them. */
#ifndef SC_LOADER_DIAGNOSIS_H
#define SC_LOADER_DIAGNOSIS_H

enum sc_grade {
	SC_GRADE_OK,
	SC_GRADE_NOTE, /* may be meant so, or cannot be seen from here */
	SC_GRADE_PROBLEM,
};

struct sc_finding {
	enum sc_grade grade;
	const char *object; /* interface, CPU, sysctl, file */
	const char *reason;
	const char *fix; /* NULL with SC_GRADE_OK */
};

struct sc_diagnosis {
	void (*take)(struct sc_diagnosis *diagnosis, const struct sc_finding *finding);
};

/* Hands a finding over. The text is "reason; fix", or the reason alone where all is well. */
void sc_diagnosis_add(struct sc_diagnosis *diagnosis, enum sc_grade grade, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif

// SPDX-License-Identifier: MIT
/* Runs a program that some system calls are refused to, as on an older kernel or in a container. */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <seccomp.h>

/* refusal is CALL, or CALL=N for those whose second argument is N, e.g. a register opcode. */
static void refuse(scmp_filter_ctx filter, int error, char *refusal)
{
	struct scmp_arg_cmp only = { .arg = 1, .op = SCMP_CMP_EQ };
	char *argument = strchr(refusal, '=');
	int call, ret;

	if (argument)
		*argument++ = '\0';
	call = seccomp_syscall_resolve_name(refusal);
	if (call == __NR_SCMP_ERROR)
		errx(2, "%s: no such system call", refusal);
	if (argument)
		only.datum_a = strtoul(argument, NULL, 10);
	ret = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned int)error), call, argument ? 1 : 0, &only);
	if (ret)
		errx(1, "seccomp: rule for %s: %s", refusal, strerror(-ret));
}

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int ret;

	if (argc < 4 || !filter)
		errx(2, "usage: norights CALL[=SECOND-ARGUMENT] ERRNO PROGRAM...");
	refuse(filter, atoi(argv[2]), argv[1]);
	ret = seccomp_load(filter);
	if (ret)
		errx(1, "seccomp: %s", strerror(-ret));
	seccomp_release(filter);
	(void)execvp(argv[3], argv + 3);
	err(1, "%s", argv[3]);
}

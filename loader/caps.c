// SPDX-License-Identifier: MIT
// Limits this process to the capabilities that loading and tending BPF programs takes.
#include <errno.h>
#include <string.h>
#include <sys/capability.h>
#include <unistd.h>

#include "caps.h"
#include "log.h"

static const struct {
	cap_value_t cap;
	const char *name;
	bool required;
	bool raised; /* in the effective set all the time */
} kept[] = {
	{ CAP_BPF, "CAP_BPF", true, true },
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN", true, true },
	{ CAP_PERFMON, "CAP_PERFMON", false, true },
	{ CAP_SYS_NICE, "CAP_SYS_NICE", false, true }, /* SCHED_FIFO for kernel threads */
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", false, false }, /* programs and maps by number; sysfs */
};

#define KEPT_CNT (sizeof(kept) / sizeof(kept[0]))

static int keep(cap_t now, cap_t next, size_t i)
{
	cap_flag_value_t value;

	if (cap_get_flag(now, kept[i].cap, CAP_PERMITTED, &value))
		return -errno;
	if (value == CAP_CLEAR) {
		if (!kept[i].required)
			return 0;
		sc_error("%s: not permitted, this takes CAP_BPF and CAP_NET_ADMIN; run it by sudo or as root",
			 kept[i].name);
		return -EPERM;
	}
	if (cap_set_flag(next, CAP_PERMITTED, 1, &kept[i].cap, CAP_SET))
		return -errno;
	if (kept[i].raised && cap_set_flag(next, CAP_EFFECTIVE, 1, &kept[i].cap, CAP_SET))
		return -errno;
	return 0;
}

static int limit(void)
{
	cap_t now = cap_get_proc(), next = cap_init();
	size_t i;
	int err = 0;

	if (!now || !next)
		err = -errno;
	for (i = 0; i < KEPT_CNT && !err; i++)
		err = keep(now, next, i);
	if (!err && cap_set_proc(next)) {
		err = -errno;
		sc_error("capabilities: cannot drop the rest: %s; run it as plain root", strerror(-err));
	}
	cap_free(now);
	cap_free(next);
	return err;
}

int sc_caps_limit(void)
{
	static const char btf[] = "/sys/kernel/btf/vmlinux";

	if (access(btf, R_OK)) {
		sc_error("%s: the kernel shows no type information (BTF); boot one built with CONFIG_DEBUG_INFO_BTF=y",
			 btf);
		return -ENOENT;
	}
	return limit();
}

const char *sc_caps_missing(void)
{
	cap_t now = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;
	const char *missing = NULL;
	size_t i;

	for (i = 0; i < KEPT_CNT && !missing; i++)
		if (kept[i].required &&
		    (!now || cap_get_flag(now, kept[i].cap, CAP_PERMITTED, &value) || value == CAP_CLEAR))
			missing = kept[i].name;
	cap_free(now);
	return missing;
}

void sc_caps_admin(bool raised)
{
	const cap_value_t admin = CAP_SYS_ADMIN;
	cap_t caps = cap_get_proc();

	if (!caps)
		return;
	/* Without it in the permitted set this fails, and so will the call it is for. */
	if (!cap_set_flag(caps, CAP_EFFECTIVE, 1, &admin, raised ? CAP_SET : CAP_CLEAR))
		(void)cap_set_proc(caps);
	cap_free(caps);
}

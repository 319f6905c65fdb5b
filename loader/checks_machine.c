// SPDX-License-Identifier: MIT
// Checks of the machine as a whole: rights, kernel, BPF file system, sysctls.
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "caps.h"
#include "checks.h"
#include "hint.h"
#include "object.h"
#include "sysctl.h"

static bool check_btf(struct sc_diagnosis *diagnosis)
{
	static const char btf[] = "/sys/kernel/btf/vmlinux";
	bool readable = !access(btf, R_OK);

	if (readable)
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, "BTF", "the kernel shows its type information");
	else
		sc_diagnosis_add(
			diagnosis, SC_GRADE_PROBLEM, "BTF",
			"%s is not there, and without it no program loads; mount sysfs on /sys, or boot a kernel built "
			"with CONFIG_DEBUG_INFO_BTF=y",
			btf);
	return readable;
}

static bool check_rights(struct sc_diagnosis *diagnosis)
{
	const char *missing = sc_caps_missing();

	if (missing)
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, "rights", "%s is missing; run it by sudo or as root",
				 missing);
	else
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, "rights", "CAP_BPF and CAP_NET_ADMIN");
	return !missing;
}

static bool check_bpffs(const char *bpffs, struct sc_diagnosis *diagnosis)
{
	struct statfs fs;
	bool mounted = !statfs(bpffs, &fs) && fs.f_type == BPF_FS_MAGIC;

	if (mounted)
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, "bpffs", "%s", bpffs);
	else
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, "bpffs",
				 "no BPF file system on %s; run mount -m -t bpf bpf %s, or name one by --bpffs", bpffs,
				 bpffs);
	return mounted;
}

bool sc_checks_basics(const char *bpffs, struct sc_diagnosis *diagnosis)
{
	bool btf = check_btf(diagnosis), rights = check_rights(diagnosis), mounted = check_bpffs(bpffs, diagnosis);

	return btf && rights && mounted;
}

/* The kernel's version says little: that its verifier takes the programs says all. */
static void check_programs(enum sc_mode mode, struct sc_diagnosis *diagnosis)
{
	struct utsname kernel;
	struct sc_pins pins;
	int err;

	uname(&kernel);
	sc_pins_init(&pins);
	/* With all modules on, so that nothing is left out. */
	err = sc_object_load(&pins, mode, sc_object_modules());
	sc_pins_close(&pins);
	if (err)
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, "kernel",
				 "%s does not take the programs for %s mode: %s; %s", kernel.release,
				 sc_mode_name(mode), sc_hint_reason(err), sc_hint_fix(SC_STEP_LOAD, err));
	else
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, "kernel", "%s takes the programs for %s mode", kernel.release,
				 sc_mode_name(mode));
}

static void check_sockets(struct sc_diagnosis *diagnosis)
{
	if (!sc_object_has_sockets())
		sc_diagnosis_add(diagnosis, SC_GRADE_NOTE, "AF_XDP",
				 "the kernel has no such sockets, all but service add --xsk works; boot one built with "
				 "CONFIG_XDP_SOCKETS=y if you want that");
}

static const struct {
	const char *path;
	long wrong;
	enum sc_grade grade;
	const char *reason;
	const char *fix;
} sysctls[] = {
	{ "net/core/bpf_jit_enable", 0, SC_GRADE_PROBLEM, "programs are interpreted, many times slower",
	  "run sysctl -w net.core.bpf_jit_enable=1" },
	{ "net/core/bpf_jit_harden", 2, SC_GRADE_NOTE, "programs of root are blinded too, which slows each packet",
	  "run sysctl -w net.core.bpf_jit_harden=1 if nobody else asks for it" },
	{ "kernel/sched_rt_runtime_us", -1, SC_GRADE_NOTE,
	  "threads of the CPU map may keep everything else from a dedicated CPU while a flood lasts",
	  "run sysctl -w kernel.sched_rt_runtime_us=950000, or attach with --no-fifo" },
	{ "kernel/io_uring_disabled", 2, SC_GRADE_NOTE, "steering works, but sidecore-ringsvc and libapp do not",
	  "run sysctl -w kernel.io_uring_disabled=0 where they are used" },
};

static void check_sysctls(struct sc_diagnosis *diagnosis)
{
	size_t i, wrong = 0;
	char name[64];
	long value;
	char *slash;

	for (i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		if (!sc_sysctl_read(sysctls[i].path, &value) || value != sysctls[i].wrong)
			continue;
		snprintf(name, sizeof(name), "%s", sysctls[i].path);
		while ((slash = strchr(name, '/')))
			*slash = '.';
		sc_diagnosis_add(diagnosis, sysctls[i].grade, name, "it is %ld: %s; %s", value, sysctls[i].reason,
				 sysctls[i].fix);
		wrong++;
	}
	if (!wrong)
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, "sysctls", "none is in the way");
}

void sc_checks_kernel(struct sc_diagnosis *diagnosis)
{
	check_programs(SC_MODE_NATIVE, diagnosis);
	check_programs(SC_MODE_SKB, diagnosis);
	check_sockets(diagnosis);
	check_sysctls(diagnosis);
}

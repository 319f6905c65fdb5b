// SPDX-License-Identifier: MIT
// The visible lists of what broker and engine keep; everything else is given up.
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <seccomp.h>

#include "layout.h"
#include "log.h"

enum { ENGINE_FD = 3, NOFILE_WANTED = 65536 };

static const cap_value_t broker_caps[] = {
	CAP_SETUID, // an engine takes the uid of its app
	CAP_SETGID, // and its gid, and no supplementary group
	CAP_SYS_CHROOT, // an engine's root is an empty directory
	CAP_SYS_PTRACE, // reading which namespaces an app is in
	CAP_KILL, // ending an engine, which has another uid
};

static const int engine_calls[] = {
	// rings
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(eventfd2),
	// channels
	SCMP_SYS(memfd_create),
	SCMP_SYS(ftruncate),
	SCMP_SYS(munmap),
	// control sockets, and what apps hand over
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat), // fstat of newer C libraries
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	// the loop
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(exit_group),
};

static int make_empty_root(void)
{
	char path[] = "/tmp/sidecore-root-XXXXXX";
	int fd, err = 0;

	if (!mkdtemp(path))
		return -errno;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err = -errno;
	if (rmdir(path)) // an open directory lives on, and nothing can be made in it any more
		err = -errno;
	if (err && fd >= 0)
		(void)close(fd);
	return err ?: fd;
}

int sc_jail_prepare(bool user, struct sc_jail *ret_jail)
{
	int fd = -1;

	if (!user) {
		fd = make_empty_root();
		if (fd < 0)
			return fd;
		if (unshare(CLONE_NEWNET | CLONE_NEWIPC)) {
			int err = -errno;

			(void)close(fd);
			return err;
		}
	}
	*ret_jail = (struct sc_jail){ .root_fd = fd };
	return 0;
}

static int set_caps(const cap_value_t *keep, int cnt)
{
	cap_t caps = cap_init(); // all cleared
	int err = 0;

	if (!caps)
		return -ENOMEM;
	if (cnt && (cap_set_flag(caps, CAP_PERMITTED, cnt, keep, CAP_SET) ||
		    cap_set_flag(caps, CAP_EFFECTIVE, cnt, keep, CAP_SET)))
		err = -errno;
	if (!err && cap_set_proc(caps))
		err = -errno;
	(void)cap_free(caps);
	return err;
}

// Neither broker nor engine ever executes a program: the bounding set can go as a whole.
static int drop_bounding(void)
{
	for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++)
		if (cap_drop_bound(cap))
			return -errno;
	return 0;
}

int sc_jail_drop_broker(bool user)
{
	int err = 0;

	if (!user)
		err = drop_bounding();
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (!err)
		err = set_caps(broker_caps, user ? 0 : sizeof(broker_caps) / sizeof(*broker_caps));
	return err;
}

static int keep_one_fd(int fd, int null)
{
	// A descriptor of an engine can be used by its apps. So it gets no terminal, no log, no one's socket but the broker's
	for (int std = 0; std < ENGINE_FD; std++)
		if (dup2(null, std) < 0)
			return -errno;
	if (fd != ENGINE_FD && dup2(fd, ENGINE_FD) < 0)
		return -errno;
	return close_range(ENGINE_FD + 1, ~0U, 0) ? -errno : 0;
}

static int set_limits(void)
{
	const struct rlimit none = { 0 }, channel = { SC_CHANNEL_LEN_MAX, SC_CHANNEL_LEN_MAX };
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return -errno;
	files.rlim_cur = files.rlim_max < NOFILE_WANTED ? files.rlim_max : NOFILE_WANTED;
	files.rlim_max = files.rlim_cur;
	if (setrlimit(RLIMIT_NOFILE, &files) || setrlimit(RLIMIT_CORE, &none) || setrlimit(RLIMIT_FSIZE, &channel))
		return -errno;
	return 0;
}

static int become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

static int leave_files(int root_fd)
{
	return fchdir(root_fd) || chroot(".") ? -errno : 0;
}

static int filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = 0;

	if (!filter)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < sizeof(engine_calls) / sizeof(*engine_calls); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, engine_calls[i], 0);
	if (!err) // channels, never code
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err) // seals
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				       SCMP_A1(SCMP_CMP_EQ, F_ADD_SEALS, 0));
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

// After the last change of identity, which clears both: the death signal and being undumpable.
static int tie_to_broker(pid_t broker_pid)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_DUMPABLE, 0))
		return -errno;
	return getppid() == broker_pid ? 0 : -ESRCH;
}

static void must(int err, const char *what)
{
	if (!err)
		return;
	sc_error("engine: %s: %s: not started", what, strerrorname_np(-err));
	_exit(1);
}

int sc_jail_enter(const struct sc_jail *jail, bool user, uid_t uid, gid_t gid, int keep_fd, pid_t broker_pid)
{
	int null = open("/dev/null", O_RDWR);

	must(null < 0 ? -errno : 0, "/dev/null");
	(void)prctl(PR_SET_NAME, "sc-engine");
	must(set_limits(), "resource limits");
	if (!user) {
		must(leave_files(jail->root_fd), "empty root directory");
		must(become(uid, gid), "identity of the app");
	}
	must(set_caps(NULL, 0), "dropping capabilities");
	must(tie_to_broker(broker_pid), "tie to the broker");
	must(keep_one_fd(keep_fd, null), "closing descriptors");
	must(filter_calls(), "system call filter");
	return ENGINE_FD;
}

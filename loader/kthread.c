// SPDX-License-Identifier: MIT
// Finds kernel threads of a CPU map in /proc and sets their scheduling.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "kthread.h"

enum {
	WAIT_STEP_MS = 20,
	WAIT_MS = 1000,
	NAME_LEN = 64,
	KERNEL_THREAD = 0x00200000, /* PF_KTHREAD in the flags of /proc/PID/stat */
};

static bool read_line(const char *path, char *line, size_t len)
{
	FILE *file = fopen(path, "re");
	bool done;

	if (!file)
		return false;
	done = fgets(line, len, file);
	fclose(file);
	line[done ? strcspn(line, "\n") : 0] = '\0';
	return done;
}

static bool has_name(const char *pid, const char *name)
{
	char path[32], comm[NAME_LEN];

	snprintf(path, sizeof(path), "/proc/%.10s/comm", pid);
	return read_line(path, comm, sizeof(comm)) && !strcmp(comm, name);
}

static bool is_kernel_thread(int pid)
{
	char path[32], line[512], *end;
	unsigned long flags;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!read_line(path, line, sizeof(line)))
		return false;
	/* The name, in parentheses, may have any character. */
	end = strrchr(line, ')');
	return end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 && flags & KERNEL_THREAD;
}

bool sc_kthread_is(int pid, const char *prefix)
{
	char path[32], comm[NAME_LEN];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	return read_line(path, comm, sizeof(comm)) && !strncmp(comm, prefix, strlen(prefix)) && is_kernel_thread(pid);
}

/*
 * Calls visit for each process of that name; returns how many, or the first error of visit. kernel: threads of the kernel only,
 * for anybody may give a process of his own such a name, and would have its priority.
 */
static int for_each_process(const char *name, bool kernel, int (*visit)(pid_t pid))
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int cnt = 0, err = 0;

	if (!proc)
		return -errno;
	while (!err && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !has_name(entry->d_name, name) ||
		    (kernel && !is_kernel_thread(atoi(entry->d_name))))
			continue;
		err = visit(atoi(entry->d_name));
		cnt++;
	}
	closedir(proc);
	return err ?: cnt;
}

static int set_fifo(pid_t pid)
{
	const struct sched_param lowest = { .sched_priority = sched_get_priority_min(SCHED_FIFO) };

	if (!sched_setscheduler(pid, SCHED_FIFO, &lowest))
		return 0;
	/* The thread of an entry just replaced may be on its way out. */
	return errno == ESRCH ? 0 : -errno;
}

static int set_fifo_when_there(const char *name)
{
	const struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000L };
	int waited_ms, found;

	for (waited_ms = 0; waited_ms < WAIT_MS; waited_ms += WAIT_STEP_MS) {
		found = for_each_process(name, true, set_fifo);
		if (found)
			return found < 0 ? found : 0;
		nanosleep(&step, NULL);
	}
	return -ESRCH;
}

int sc_kthread_set_fifo(int cpus_fd, const cpu_set_t *set)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	char name[NAME_LEN];
	int cpu, err = 0;

	if (bpf_map_get_info_by_fd(cpus_fd, &info, &len))
		return -errno;
	for (cpu = 0; cpu < CPU_SETSIZE && !err; cpu++) {
		if (!CPU_ISSET(cpu, set))
			continue;
		snprintf(name, sizeof(name), "cpumap/%d/map:%u", cpu, info.id);
		err = set_fifo_when_there(name);
	}
	return err;
}

static int visit_nothing(pid_t pid)
{
	(void)pid;
	return 0;
}

bool sc_process_exists(const char *name)
{
	return for_each_process(name, false, visit_nothing) > 0;
}

static int found_policy;

static int visit_policy(pid_t pid)
{
	found_policy = sched_getscheduler(pid);
	return found_policy < 0 ? -errno : 0;
}

int sc_kthread_policy(int cpus_fd, int cpu)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	char name[NAME_LEN];
	int found;

	if (bpf_map_get_info_by_fd(cpus_fd, &info, &len))
		return -errno;
	snprintf(name, sizeof(name), "cpumap/%d/map:%u", cpu, info.id);
	found = for_each_process(name, true, visit_policy);
	return found < 0 ? found : found ? found_policy : -ESRCH;
}

static bool is_bound_to(pid_t tid, int cpu)
{
	cpu_set_t set;

	return !sched_getaffinity(tid, sizeof(set), &set) && CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set);
}

/* A poller is a thread of the process that made its ring. */
static bool has_poller(const char *pid, int cpu)
{
	static const char prefix[] = "iou-sqp-";
	char path[64], comm[NAME_LEN];
	struct dirent *entry;
	bool found = false;
	FILE *file;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%.10s/task", pid);
	tasks = opendir(path);
	while (tasks && !found && (entry = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/%.10s/task/%.10s/comm", pid, entry->d_name);
		file = isdigit((unsigned char)entry->d_name[0]) ? fopen(path, "re") : NULL;
		if (!file)
			continue;
		if (fgets(comm, sizeof(comm), file) && !strncmp(comm, prefix, strlen(prefix)))
			found = is_bound_to(atoi(entry->d_name), cpu);
		fclose(file);
	}
	if (tasks)
		closedir(tasks);
	return found;
}

bool sc_kthread_poller_on(int cpu)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (proc && !found && (entry = readdir(proc)))
		found = isdigit((unsigned char)entry->d_name[0]) && has_poller(entry->d_name, cpu);
	if (proc)
		closedir(proc);
	return found;
}

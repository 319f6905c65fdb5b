// SPDX-License-Identifier: MIT
/*
 * A sidecore-ringsvc of the test's own, rootless if the test is. The sanitized suites drive an ordinary one: its jail knows
 * nothing of a sanitizer's system calls.
 */
#include "app_service.h"

#include <sidecore/app.h>

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t pid;
static char dir[32];
static char path[64];

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BESIDE "/../plain/bin/sidecore-ringsvc"
#else
#define BESIDE "/../bin/sidecore-ringsvc"
#endif

static void program_find(char *ret, size_t len)
{
	char self[PATH_MAX - 64];
	ssize_t got = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[got > 0 ? got : 0] = '\0';
	if (strrchr(self, '/'))
		*strrchr(self, '/') = '\0';
	(void)snprintf(ret, len, "%s%s", self, BESIDE);
}

static int answers(void)
{
	struct sc_options options = SC_OPTIONS_INIT;
	struct sc_session *session;

	options.engine = SC_ENGINE_DIRECT;
	options.socket_path = path;
	if (sc_open(&options, &session))
		return 0;
	sc_close_session(session);
	return 1;
}

int service_start_idle(unsigned int idle_ms)
{
	char program[PATH_MAX], cpu[24], idle[24];

	program_find(program, sizeof(program));
	(void)snprintf(cpu, sizeof(cpu), "%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
	(void)snprintf(idle, sizeof(idle), "%u", idle_ms);
	(void)strcpy(dir, "/tmp/sidecore-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/ringsvc.sock", dir);
	pid = fork();
	if (!pid) {
		execl(program, program, "--cpus", cpu, "--idle-ms", idle, "--socket", path, (char *)NULL);
		perror(program);
		_exit(127);
	}
	for (int i = 0; i < 500; i++) {
		if (answers())
			return 0;
		usleep(10000);
	}
	(void)fprintf(stderr, "%s\n", sc_reason());
	service_stop();
	return -1;
}

int service_start(void)
{
	return service_start_idle(100);
}

void service_stop(void)
{
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	(void)unlink(path);
	(void)rmdir(dir);
	path[0] = '\0';
	pid = 0;
}

const char *service_path(void)
{
	return path[0] ? path : NULL;
}

pid_t service_pid(void)
{
	return pid;
}

/* The first number of a task's schedstat: nanoseconds on a CPU. */
static int64_t task_cpu_us(pid_t engine, const char *task)
{
	long long ns = 0;
	char name[64];
	FILE *file;

	(void)snprintf(name, sizeof(name), "/proc/%d/task/%.16s/schedstat", engine, task);
	file = fopen(name, "r");
	if (file && fscanf(file, "%lld", &ns) != 1)
		ns = 0;
	if (file)
		(void)fclose(file);
	return ns / 1000;
}

static int64_t process_cpu_us(pid_t engine)
{
	struct dirent *task;
	int64_t us = 0;
	char name[32];
	DIR *tasks;

	(void)snprintf(name, sizeof(name), "/proc/%d/task", engine);
	tasks = opendir(name);
	while (tasks && (task = readdir(tasks)))
		us += *task->d_name == '.' ? 0 : task_cpu_us(engine, task->d_name);
	if (tasks)
		(void)closedir(tasks);
	return us;
}

int64_t service_cpu_us(void)
{
	int64_t us = 0;
	char name[64];
	int engine;
	FILE *file;

	if (!pid)
		return 0;
	(void)snprintf(name, sizeof(name), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(name, "r");
	while (file && fscanf(file, "%d", &engine) == 1)
		us += process_cpu_us(engine);
	if (file)
		(void)fclose(file);
	return us;
}

// SPDX-License-Identifier: MIT
// The kinds of knobs: interrupts, RSS, RPS, XPS, threaded NAPI and its threads.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpulist.h"
#include "ethtool.h"
#include "files.h"
#include "knob.h"
#include "kthread.h"
#include "napi.h"

enum {
	PATH_LEN = 256,
};

/* ---- values ---------------------------------------------------------------------------------------------------------- */

/* CPUs are dealt out in turn. */
static int cpu_of_turn(int index, const cpu_set_t *cpus)
{
	int turn = index % CPU_COUNT(cpus), cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, cpus) && !turn--)
			break;
	return cpu;
}

static char *list_of_turn(const struct sc_panel *panel, int index, const cpu_set_t *cpus)
{
	char text[16];

	(void)panel;
	snprintf(text, sizeof(text), "%d", cpu_of_turn(index, cpus));
	return strdup(text);
}

/* As the kernel writes masks: words of 32 bits, the highest first. cpu -1: none. */
static char *mask_of(int cpu)
{
	char text[CPU_SETSIZE / 32 * 9 + 1];
	int word, len;

	if (cpu < 0)
		return strdup("0");
	len = snprintf(text, sizeof(text), "%x", 1U << cpu % 32);
	for (word = cpu / 32; word; word--)
		len += snprintf(text + len, sizeof(text) - len, ",00000000");
	return strdup(text);
}

static char *mask_of_turn(const struct sc_panel *panel, int index, const cpu_set_t *cpus)
{
	(void)panel;
	return mask_of(cpu_of_turn(index, cpus));
}

/* Among several, RPS would move packets once more that steering has sent to their CPU: then it is better off. */
static char *mask_of_only(const struct sc_panel *panel, int index, const cpu_set_t *cpus)
{
	(void)panel;
	return mask_of(CPU_COUNT(cpus) == 1 ? cpu_of_turn(index, cpus) : -1);
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

static int read_file(int dir, const char *path, char **ret_line)
{
	char line[SC_FILE_LINE_LEN];
	int err = sc_files_read(dir, path, line);

	if (err)
		return err;
	*ret_line = strdup(line);
	return *ret_line ? 0 : -ENOMEM;
}

static void irq_path(const char *name, char path[PATH_LEN])
{
	snprintf(path, PATH_LEN, "irq/%.16s/smp_affinity_list", name);
}

/* Those of virtio belong to the PCI device above. */
static int list_irqs(const struct sc_panel *panel, int (*visit)(void *, const char *), void *context)
{
	char path[PATH_LEN];
	int err;

	snprintf(path, sizeof(path), "class/net/%s/device/msi_irqs", panel->ifname);
	err = sc_files_list(panel->sysfs, path, "", visit, context);
	if (err != -ENOENT)
		return err;
	snprintf(path, sizeof(path), "class/net/%s/device/../msi_irqs", panel->ifname);
	return sc_files_list(panel->sysfs, path, "", visit, context);
}

static int read_irq(const struct sc_panel *panel, const char *name, char **ret_line)
{
	char path[PATH_LEN];

	irq_path(name, path);
	return read_file(panel->proc, path, ret_line);
}

static int write_irq(const struct sc_panel *panel, const char *name, const char *line)
{
	char path[PATH_LEN];

	irq_path(name, path);
	return sc_files_write(panel->proc, path, line);
}

static int list_queues(const struct sc_panel *panel, const char *prefix, int (*visit)(void *, const char *),
		       void *context)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "class/net/%s/queues", panel->ifname);
	return sc_files_list(panel->sysfs, path, prefix, visit, context);
}

static void queue_path(const struct sc_panel *panel, const char *name, const char *file, char path[PATH_LEN])
{
	snprintf(path, PATH_LEN, "class/net/%s/queues/%.32s/%s", panel->ifname, name, file);
}

static int list_rx(const struct sc_panel *panel, int (*visit)(void *, const char *), void *context)
{
	return list_queues(panel, "rx-", visit, context);
}

static int read_rps(const struct sc_panel *panel, const char *name, char **ret_line)
{
	char path[PATH_LEN];

	queue_path(panel, name, "rps_cpus", path);
	return read_file(panel->sysfs, path, ret_line);
}

static int write_rps(const struct sc_panel *panel, const char *name, const char *line)
{
	char path[PATH_LEN];

	queue_path(panel, name, "rps_cpus", path);
	return sc_files_write(panel->sysfs, path, line);
}

static int list_tx(const struct sc_panel *panel, int (*visit)(void *, const char *), void *context)
{
	return list_queues(panel, "tx-", visit, context);
}

static int read_xps(const struct sc_panel *panel, const char *name, char **ret_line)
{
	char path[PATH_LEN];

	queue_path(panel, name, "xps_cpus", path);
	return read_file(panel->sysfs, path, ret_line);
}

static int write_xps(const struct sc_panel *panel, const char *name, const char *line)
{
	char path[PATH_LEN];

	queue_path(panel, name, "xps_cpus", path);
	return sc_files_write(panel->sysfs, path, line);
}

/* ---- RSS ------------------------------------------------------------------------------------------------------------- */

static int list_rss(const struct sc_panel *panel, int (*visit)(void *, const char *), void *context)
{
	struct sc_rss rss;
	int err = sc_ethtool_rss(panel->ifname, &rss);

	return err ?: visit(context, "table");
}

static char *rss_text(const struct sc_rss *rss)
{
	size_t len = 0, room = rss->cnt * 11 + 1;
	char *text = malloc(room);
	__u32 i;

	for (i = 0; text && i < rss->cnt; i++)
		len += snprintf(text + len, room - len, i ? " %u" : "%u", rss->queues[i]);
	return text;
}

static int read_rss(const struct sc_panel *panel, const char *name, char **ret_line)
{
	struct sc_rss rss;
	int err = sc_ethtool_rss(panel->ifname, &rss);

	(void)name;
	if (err)
		return err;
	*ret_line = rss_text(&rss);
	return *ret_line ? 0 : -ENOMEM;
}

static int write_rss(const struct sc_panel *panel, const char *name, const char *line)
{
	struct sc_rss rss = { 0 };
	char *end;

	(void)name;
	for (; *line && rss.cnt < SC_RSS_MAX; line = end + (*end == ' ')) {
		rss.queues[rss.cnt++] = strtoul(line, &end, 10);
		if (end == line)
			return -EINVAL;
	}
	return sc_ethtool_set_rss(panel->ifname, &rss);
}

/* One queue for each CPU, where there are as many: so each has but one to poll. */
static char *wanted_rss(const struct sc_panel *panel, int index, const cpu_set_t *cpus)
{
	__u32 i, rx, tx, queues = 1;
	struct sc_rss rss;

	(void)index;
	if (sc_ethtool_rss(panel->ifname, &rss))
		rss.cnt = 0;
	if (!sc_ethtool_queues(panel->ifname, &rx, &tx) && rx)
		queues = rx;
	if (queues > (__u32)CPU_COUNT(cpus))
		queues = CPU_COUNT(cpus);
	for (i = 0; i < rss.cnt; i++)
		rss.queues[i] = i % queues;
	return rss_text(&rss);
}

/* ---- threaded NAPI ----------------------------------------------------------------------------------------------------- */

static void threaded_path(const struct sc_panel *panel, char path[PATH_LEN])
{
	snprintf(path, PATH_LEN, "class/net/%s/threaded", panel->ifname);
}

static int list_threaded(const struct sc_panel *panel, int (*visit)(void *, const char *), void *context)
{
	char path[PATH_LEN], line[SC_FILE_LINE_LEN];
	int err;

	threaded_path(panel, path);
	err = sc_files_read(panel->sysfs, path, line);
	return err ?: visit(context, "device");
}

static int read_threaded(const struct sc_panel *panel, const char *name, char **ret_line)
{
	char path[PATH_LEN];

	(void)name;
	threaded_path(panel, path);
	return read_file(panel->sysfs, path, ret_line);
}

static int write_threaded(const struct sc_panel *panel, const char *name, const char *line)
{
	char path[PATH_LEN];

	(void)name;
	threaded_path(panel, path);
	return sc_files_write(panel->sysfs, path, line);
}

static char *wanted_threaded(const struct sc_panel *panel, int index, const cpu_set_t *cpus)
{
	(void)panel;
	(void)index;
	(void)cpus;
	return strdup("1");
}

/* Of those that have one. */
static int list_threads(const struct sc_panel *panel, int (*visit)(void *, const char *), void *context)
{
	struct sc_napi napis[SC_NAPI_MAX];
	int i, err = 0, cnt = sc_napi_list(panel->ifindex, napis), seen = 0;
	char name[16];

	for (i = 0; i < cnt && !err; i++) {
		if (!napis[i].pid)
			continue;
		seen++;
		snprintf(name, sizeof(name), "%u", napis[i].id);
		err = visit(context, name);
	}
	if (cnt < 0)
		return cnt;
	return err ?: seen ? 0 : -ENOENT;
}

/* Its thread, or -ESRCH: the kernel's number may mean another process in our pid namespace. */
static int find_thread(const struct sc_panel *panel, const char *name)
{
	struct sc_napi napis[SC_NAPI_MAX];
	unsigned long id = strtoul(name, NULL, 10);
	int i, cnt = sc_napi_list(panel->ifindex, napis);
	char prefix[IF_NAMESIZE + 8];

	snprintf(prefix, sizeof(prefix), "napi/%s-", panel->ifname);
	for (i = 0; i < cnt; i++)
		if (napis[i].id == id && napis[i].pid && sc_kthread_is(napis[i].pid, prefix))
			return napis[i].pid;
	return cnt < 0 ? cnt : -ESRCH;
}

/* CPUs, policy, priority. */
static int read_thread(const struct sc_panel *panel, const char *name, char **ret_line)
{
	int pid = find_thread(panel, name), policy;
	char list[SC_CPULIST_LEN];
	struct sched_param param;
	cpu_set_t cpus;

	if (pid < 0)
		return pid;
	policy = sched_getscheduler(pid);
	if (policy < 0 || sched_getparam(pid, &param) || sched_getaffinity(pid, sizeof(cpus), &cpus))
		return -errno;
	sc_cpulist_format(&cpus, list, sizeof(list));
	return asprintf(ret_line, "%s %d %d", list, policy, param.sched_priority) < 0 ? -ENOMEM : 0;
}

static int write_thread(const struct sc_panel *panel, const char *name, const char *line)
{
	int pid = find_thread(panel, name), policy;
	struct sched_param param;
	char list[SC_CPULIST_LEN];
	cpu_set_t cpus;

	if (pid < 0)
		return pid;
	if (sscanf(line, "%511s %d %d", list, &policy, &param.sched_priority) != 3 || sc_cpulist_parse(list, &cpus))
		return -EINVAL;
	if (sched_setaffinity(pid, sizeof(cpus), &cpus) || sched_setscheduler(pid, policy, &param))
		return -errno;
	return 0;
}

/*
 * Real-time priority, for the reason that the CPU map's threads have it. In turns with these, not before them: of one
 * priority, a thread of SCHED_FIFO that always has packets would let no other run.
 */
static char *wanted_thread(const struct sc_panel *panel, int index, const cpu_set_t *cpus)
{
	char *line;
	int policy = panel->no_rt ? SCHED_OTHER : SCHED_RR;

	if (asprintf(&line, "%d %d %d", cpu_of_turn(index, cpus), policy,
		     panel->no_rt ? 0 : sched_get_priority_min(policy)) < 0)
		return NULL;
	return line;
}

const struct sc_knob_kind sc_knob_kinds[] = {
	{ "irq", SC_TUNED_IRQ, "interrupts",
	  "it has none of its own that could be moved; see /proc/interrupts, or its lower device", list_irqs, read_irq,
	  write_irq, list_of_turn },
	{ "rss", SC_TUNED_IRQ, "RSS",
	  "its queues cannot be chosen; run ethtool -L to have no more of them than dedicated CPUs", list_rss, read_rss,
	  write_rss, wanted_rss },
	{ "rps", SC_TUNED_IRQ, "RPS", "this kernel has none; nothing is lost by it", list_rx, read_rps, write_rps,
	  mask_of_only },
	{ "xps", SC_TUNED_IRQ, "XPS", "it has one queue to send by; nothing is lost by it", list_tx, read_xps,
	  write_xps, mask_of_turn },
	{ "threaded", SC_TUNED_BUSY_POLL, "threaded NAPI", "it has no NAPI, or the kernel no threads for it; leave it",
	  list_threaded, read_threaded, write_threaded, wanted_threaded },
	{ "napi", SC_TUNED_BUSY_POLL, "NAPI threads",
	  "none can be seen; set the link up, attach in native mode, or run it outside containers", list_threads,
	  read_thread, write_thread, wanted_thread },
	{ 0 },
};

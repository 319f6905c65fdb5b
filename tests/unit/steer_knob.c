// SPDX-License-Identifier: MIT
// The knobs of a device on made-up trees of sysfs and proc: which there are, what they are to be, and that they are read and written.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "files.h"
#include "knob.h"
#include "kthread.h"

struct names {
	char text[256];
};

static char root[] = "/tmp/sc-knob-XXXXXX";
static struct sc_panel panel = { .ifname = "fake0" };

static const struct sc_knob_kind *kind(const char *name)
{
	const struct sc_knob_kind *each;

	for (each = sc_knob_kinds; each->name; each++)
		if (!strcmp(each->name, name))
			return each;
	fail_msg("no kind %s", name);
	return NULL;
}

static int take(void *context, const char *name)
{
	struct names *names = context;

	strcat(names->text, name);
	strcat(names->text, " ");
	return 0;
}

static void assert_names(const char *kind_name, const char *expected)
{
	struct names names = { 0 };

	assert_int_equal(kind(kind_name)->list(&panel, take, &names), 0);
	assert_string_equal(names.text, expected);
}

static void assert_wanted(const char *kind_name, int index, const int *cpus, int cnt, const char *expected)
{
	cpu_set_t set;
	char *line;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < cnt; i++)
		CPU_SET(cpus[i], &set);
	line = kind(kind_name)->wanted(&panel, index, &set);
	assert_string_equal(line, expected);
	free(line);
}

static void assert_turns(const char *kind_name, const char *name, const char *before, const char *after)
{
	char *line;

	assert_int_equal(kind(kind_name)->read(&panel, name, &line), 0);
	assert_string_equal(line, before);
	free(line);
	assert_int_equal(kind(kind_name)->write(&panel, name, after), 0);
	assert_int_equal(kind(kind_name)->read(&panel, name, &line), 0);
	assert_string_equal(line, after);
	free(line);
}

static void put(const char *path, const char *text)
{
	char full[256], *slash;
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(full, 0700);
		*slash = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_irqs(void **state)
{
	const int cpus[] = { 2, 40 };

	(void)state;
	assert_names("irq", "9 33 120 ");
	assert_wanted("irq", 0, cpus, 2, "2");
	assert_wanted("irq", 1, cpus, 2, "40");
	assert_wanted("irq", 2, cpus, 2, "2");
	assert_turns("irq", "33", "0-3", "2");
}

/* Of virtio: the function above has them. */
static void test_irqs_above(void **state)
{
	struct sc_panel virtio = panel;
	struct names names = { 0 };

	(void)state;
	strcpy(virtio.ifname, "virt0");
	assert_int_equal(kind("irq")->list(&virtio, take, &names), 0);
	assert_string_equal(names.text, "50 51 ");
}

static void test_none(void **state)
{
	struct sc_panel bare = panel;
	struct names names = { 0 };

	(void)state;
	strcpy(bare.ifname, "bare0");
	assert_int_equal(kind("irq")->list(&bare, take, &names), -ENOENT);
	assert_int_equal(kind("rps")->list(&bare, take, &names), -ENOENT);
	assert_int_equal(kind("threaded")->list(&bare, take, &names), -ENOENT);
	assert_string_equal(names.text, "");
}

static void test_queues(void **state)
{
	const int one[] = { 65 }, two[] = { 0, 31 };

	(void)state;
	assert_names("rps", "rx-0 rx-1 rx-10 ");
	assert_names("xps", "tx-0 tx-1 ");
	/* One CPU takes all; several would have packets moved again. */
	assert_wanted("rps", 1, one, 1, "2,00000000,00000000");
	assert_wanted("rps", 1, two, 2, "0");
	assert_wanted("xps", 0, two, 2, "1");
	assert_wanted("xps", 1, two, 2, "80000000");
	assert_turns("rps", "rx-10", "00000000,00000003", "2");
	assert_turns("xps", "tx-1", "f", "80000000");
}

static void test_threaded(void **state)
{
	const int cpus[] = { 1 };

	(void)state;
	assert_names("threaded", "device ");
	assert_wanted("threaded", 0, cpus, 1, "1");
	assert_turns("threaded", "device", "0", "1");
	assert_wanted("napi", 3, cpus, 1, "1 2 1");
	panel.no_rt = true;
	assert_wanted("napi", 3, cpus, 1, "1 0 0");
	panel.no_rt = false;
}

/* Any user may give a process of its own the name of a kernel thread, and would have its CPUs and priority. */
static void test_names_prove_nothing(void **state)
{
	char comm[32];
	FILE *file;

	(void)state;
	assert_int_equal(prctl(PR_SET_NAME, "napi/fake0-7"), 0);
	assert_false(sc_kthread_is(getpid(), "napi/fake0-"));
	assert_int_equal(prctl(PR_SET_NAME, "kthreadd"), 0);
	assert_false(sc_kthread_is(getpid(), "kthreadd"));
	/* The real one, unless a pid namespace hides it. */
	file = fopen("/proc/2/comm", "r");
	if (file && fgets(comm, sizeof(comm), file) && !strcmp(comm, "kthreadd\n"))
		assert_true(sc_kthread_is(2, "kthreadd"));
	if (file)
		fclose(file);
}

static int set_up(void **state)
{
	char path[256];

	(void)state;
	assert_non_null(mkdtemp(root));
	put("sys/class/net/fake0/device/msi_irqs/120", "msix\n");
	put("sys/class/net/fake0/device/msi_irqs/33", "msix\n");
	put("sys/class/net/fake0/device/msi_irqs/9", "msix\n");
	put("sys/devices/pci/msi_irqs/50", "msix\n");
	put("sys/devices/pci/msi_irqs/51", "msix\n");
	put("sys/devices/pci/virtio0/uevent", "");
	put("sys/class/net/virt0/threaded", "0\n");
	put("sys/class/net/fake0/threaded", "0\n");
	put("sys/class/net/fake0/queues/rx-10/rps_cpus", "00000000,00000003\n");
	put("sys/class/net/fake0/queues/rx-0/rps_cpus", "0\n");
	put("sys/class/net/fake0/queues/rx-1/rps_cpus", "0\n");
	put("sys/class/net/fake0/queues/tx-0/xps_cpus", "0\n");
	put("sys/class/net/fake0/queues/tx-1/xps_cpus", "f\n");
	put("proc/irq/33/smp_affinity_list", "0-3\n");
	snprintf(path, sizeof(path), "%s/sys/class/net/virt0/device", root);
	assert_int_equal(symlink("../../../devices/pci/virtio0", path), 0);
	snprintf(path, sizeof(path), "%s/sys", root);
	panel.sysfs = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/proc", root);
	panel.proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return panel.sysfs < 0 || panel.proc < 0;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	close(panel.sysfs);
	close(panel.proc);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_irqs),	 cmocka_unit_test(test_irqs_above),
		cmocka_unit_test(test_none),	 cmocka_unit_test(test_queues),
		cmocka_unit_test(test_threaded), cmocka_unit_test(test_names_prove_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

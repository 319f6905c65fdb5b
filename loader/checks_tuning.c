// SPDX-License-Identifier: MIT
// Checks of what else decides on which CPU packets are worked on: interrupts and RPS; of changes that wait, and of what was left.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "cpulist.h"
#include "files.h"
#include "knob.h"
#include "modules.h"
#include "pending.h"
#include "sampling.h"
#include "steering.h"

struct count {
	const struct sc_panel *panel;
	const struct sc_knob_kind *kind;
	const cpu_set_t *cpus;
	int all;
	int astray;
};

/* Whether a line as the kernel writes them lets any CPU but these do the work. */
static bool is_irq_astray(const char *line, const cpu_set_t *cpus)
{
	cpu_set_t set, both;

	if (sc_cpulist_parse(line, &set))
		return false;
	CPU_AND(&both, &set, cpus);
	return !CPU_EQUAL(&both, &set);
}

static bool is_rps_astray(const char *line, const cpu_set_t *cpus)
{
	return CPU_COUNT(cpus) > 1 && line[strspn(line, "0,")];
}

static int count(void *context, const char *name)
{
	struct count *counted = context;
	char *line;

	if (counted->kind->read(counted->panel, name, &line))
		return 0;
	counted->all++;
	if (!strcmp(counted->kind->name, "irq"))
		counted->astray += is_irq_astray(line, counted->cpus);
	else
		counted->astray += is_rps_astray(line, counted->cpus);
	free(line);
	return 0;
}

static struct count count_kind(const struct sc_panel *panel, const char *name, const cpu_set_t *cpus)
{
	struct count counted = { .panel = panel, .kind = sc_knob_kinds, .cpus = cpus };

	while (strcmp(counted.kind->name, name))
		counted.kind++;
	(void)counted.kind->list(panel, count, &counted);
	return counted;
}

static void check_knobs(const struct sc_panel *panel, const cpu_set_t *cpus, struct sc_diagnosis *diagnosis)
{
	struct count irqs = count_kind(panel, "irq", cpus), rps = count_kind(panel, "rps", cpus);
	char list[SC_CPULIST_LEN];

	sc_cpulist_format(cpus, list, sizeof(list));
	if (irqs.astray)
		sc_diagnosis_add(
			diagnosis, SC_GRADE_NOTE, panel->ifname,
			"%d of its %d interrupts may come on CPUs that are not dedicated; run sidecore-loader attach %s "
			"--cpus %s --irq",
			irqs.astray, irqs.all, panel->ifname, list);
	if (rps.astray)
		sc_diagnosis_add(
			diagnosis, SC_GRADE_NOTE, panel->ifname,
			"RPS of %d queues moves packets once more that were steered to one of several CPUs; run "
			"sidecore-loader attach %s --cpus %s --irq",
			rps.astray, panel->ifname, list);
}

static void check_pending(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	unsigned int left_s;

	if (sc_pending_get(place, &left_s))
		return;
	if (left_s)
		sc_diagnosis_add(diagnosis, SC_GRADE_NOTE, place->ifname,
				 "a change is taken back in %u s; run sidecore-loader confirm %s to keep it", left_s,
				 place->ifname);
	else
		sc_diagnosis_add(
			diagnosis, SC_GRADE_NOTE, place->ifname,
			"a change was never confirmed, and who waited was killed; run sidecore-loader confirm %s",
			place->ifname);
}

static void check_samples(const struct sc_place *place, const struct sc_pins *pins, struct sc_diagnosis *diagnosis)
{
	__u32 modules;

	if (!sc_modules_get(pins, &modules) && modules & SC_MODULE_SAMPLES && !sc_sampling_is_watched(place))
		sc_diagnosis_add(diagnosis, SC_GRADE_NOTE, place->ifname,
				 "a monitor was killed: no samples are taken any more, but each packet is asked about; "
				 "run sidecore-loader upgrade %s",
				 place->ifname);
}

/* Without the right to see sysfs there is nothing to say: it is not what steering rests on. */
void sc_checks_tuning(const struct sc_place *place, const struct sc_pins *pins, struct sc_diagnosis *diagnosis)
{
	struct sc_panel panel = { .ifindex = place->ifindex };
	cpu_set_t cpus;

	check_pending(place, diagnosis);
	check_samples(place, pins, diagnosis);
	memcpy(panel.ifname, place->ifname, sizeof(panel.ifname));
	panel.sysfs = sc_files_open_sysfs();
	panel.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (panel.sysfs >= 0 && panel.proc >= 0 && !sc_steering_get_cpus(pins, &cpus))
		check_knobs(&panel, &cpus, diagnosis);
	if (panel.sysfs >= 0)
		close(panel.sysfs);
	if (panel.proc >= 0)
		close(panel.proc);
}

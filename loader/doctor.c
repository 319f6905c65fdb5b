// SPDX-License-Identifier: MIT
// Command doctor: runs every check of the machine and of interfaces, and shows each finding with its fix.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "caps.h"
#include "checks.h"
#include "cli.h"
#include "log.h"
#include "report.h"
#include "target.h"

struct doctor {
	struct sc_diagnosis diagnosis; /* first: findings come with a pointer to it */
	int problems;
	json_t *list; /* NULL: print text */
};

static const char *const grades[] = {
	[SC_GRADE_OK] = "ok",
	[SC_GRADE_NOTE] = "note",
	[SC_GRADE_PROBLEM] = "problem",
};

static void take(struct sc_diagnosis *diagnosis, const struct sc_finding *finding)
{
	struct doctor *doctor = (struct doctor *)diagnosis;

	doctor->problems += finding->grade == SC_GRADE_PROBLEM;
	if (doctor->list)
		json_array_append_new(doctor->list,
				      json_pack("{s:s, s:s, s:s, s:s?}", "grade", grades[finding->grade], "object",
						finding->object, "reason", finding->reason, "fix", finding->fix));
	else
		printf("%-8s %s: %s%s%s\n", grades[finding->grade], finding->object, finding->reason,
		       finding->fix ? "; " : "", finding->fix ?: "");
}

static void examine_free(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	enum sc_mode mode;
	char name[64];
	__u32 id = 0;

	if (!sc_device_query(place->ifindex, &id, &mode) && id)
		sc_diagnosis_add(
			diagnosis, SC_GRADE_PROBLEM, place->ifname,
			"XDP program %s (id %u) is there and not ours; remove it by its own tool, or choose the --bpffs "
			"that holds its pins",
			sc_program_name(id, name, sizeof(name)), id);
	else
		sc_diagnosis_add(diagnosis, SC_GRADE_OK, place->ifname, "free to attach to");
	sc_checks_device(place, SC_MODE_UNSET, diagnosis);
}

static void examine_attached(const struct sc_place *place, const struct sc_pins *pins, struct sc_diagnosis *diagnosis)
{
	enum sc_mode mode = SC_MODE_UNSET;
	__u32 id;

	(void)sc_device_query(place->ifindex, &id, &mode);
	sc_diagnosis_add(diagnosis, SC_GRADE_OK, place->ifname, "attached in %s mode", sc_mode_name(mode));
	sc_checks_device(place, mode, diagnosis);
	sc_checks_cookies(place, pins, mode, diagnosis);
	sc_checks_cpus(place, pins, diagnosis);
	sc_checks_tuning(place, pins, diagnosis);
}

static void examine_unreadable(const struct sc_place *place, int err, struct sc_diagnosis *diagnosis)
{
	if (err == -ESTALE)
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, place->ifname,
				 "an older version attached it; run sidecore-loader upgrade %s", place->ifname);
	else
		sc_diagnosis_add(diagnosis, SC_GRADE_PROBLEM, place->ifname, "its pins cannot be used: %s; %s",
				 err == -EPROTO ? "another version made them" : strerror(-err),
				 err == -EPROTO ? "detach, then attach again" : "run as the user who attached it");
}

static void examine(const struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	struct sc_pins pins;
	int err = sc_pins_open(&pins, place->dir);

	if (!err) {
		examine_attached(place, &pins, diagnosis);
		sc_pins_close(&pins);
	} else if (err == -ENOENT || err == -ENODEV) {
		examine_free(place, diagnosis);
	} else {
		examine_unreadable(place, err, diagnosis);
	}
}

static void examine_all_attached(struct sc_place *place, struct sc_diagnosis *diagnosis)
{
	struct if_nameindex *names = if_nameindex(), *name;
	struct sc_pins pins;

	for (name = names; name && name->if_index; name++) {
		sc_place_set_ifindex(place, name->if_index);
		if (sc_pins_open(&pins, place->dir))
			continue;
		examine_attached(place, &pins, diagnosis);
		sc_pins_close(&pins);
	}
	if_freenameindex(names);
}

static int examine_interfaces(const struct sc_target *target, struct sc_diagnosis *diagnosis)
{
	struct sc_place place;
	int err;

	err = target->ifname ? sc_place_open(&place, target->common.bpffs, target->ifname) :
			       sc_place_lock(&place, target->common.bpffs);
	if (err)
		return err;
	if (target->ifname)
		examine(&place, diagnosis);
	else
		examine_all_attached(&place, diagnosis);
	sc_place_close(&place);
	return 0;
}

int sc_cmd_doctor(int argc, char **argv)
{
	static struct sc_target target = {
		.doc = "Looks for what keeps steering from working or slows it: on this machine, and on IF or on all attached "
		       "interfaces of this network namespace. Exit code 0: no problem found.",
		.takes_json = true,
		.ifname_optional = true,
	};
	struct doctor doctor = { .diagnosis.take = take };
	int err = 0;

	sc_target_parse(&target, argc, argv);
	if (target.json)
		doctor.list = json_array();
	if (sc_checks_basics(target.common.bpffs, &doctor.diagnosis)) {
		err = sc_caps_limit();
		if (!err) {
			sc_checks_kernel(&doctor.diagnosis);
			sc_checks_daemons(&doctor.diagnosis);
			err = examine_interfaces(&target, &doctor.diagnosis);
		}
	}
	if (!err && target.json)
		err = sc_report_print(json_pack("{s:i, s:i, s:O}", "schema_version", SC_REPORT_SCHEMA, "problems",
						doctor.problems, "findings", doctor.list));
	json_decref(doctor.list);
	return err || doctor.problems ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

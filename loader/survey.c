// SPDX-License-Identifier: MIT
// Takes readings of attached interfaces, pairs them and has them shown.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "rates.h"
#include "report.h"
#include "survey.h"
#include "usage.h"

enum {
	COUNT_MAX = 1000000000,
};

static const double interval_min_s = 0.1, interval_max_s = 3600;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct sc_pace *pace = state->input;
	unsigned long count;
	char *end;

	switch (key) {
	case 'i':
		pace->interval_s = strtod(arg, &end);
		/* Written so that "nan" fails too. */
		if (end == arg || *end || !(pace->interval_s >= interval_min_s && pace->interval_s <= interval_max_s))
			sc_usage(state, "--interval %s: not a number of seconds from 0.1 to 3600", arg);
		return 0;
	case 'n':
		count = strtoul(arg, &end, 10);
		if (*arg < '0' || *arg > '9' || *end || count > COUNT_MAX)
			sc_usage(state, "--count %s: not a number from 0 to %d", arg, COUNT_MAX);
		pace->count = count;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option pace_options[] = {
	{ "interval", 'i', "SECONDS", 0, "Time that each measurement takes, 0.1 to 3600 (default 1)", 0 },
	{ "count", 'n', "N", 0, "End after N measurements; 0: only when interrupted", 0 },
	{ 0 },
};

const struct argp sc_pace_argp = { .options = pace_options, .parser = parse };

static int add(struct sc_survey *survey, const struct sc_place *place, const struct sc_pins *pins)
{
	struct sc_reading *grown = realloc(survey->readings, (survey->cnt + 1) * sizeof(*grown));
	int err;

	if (grown)
		survey->readings = grown;
	err = grown ? sc_reading_init(&grown[survey->cnt], place, pins) : -ENOMEM;
	if (err)
		sc_error("%s: cannot read its maps: %s; detach, then attach again", place->ifname, strerror(-err));
	else
		survey->cnt++;
	return err;
}

static int survey_one(struct sc_survey *survey, const struct sc_target *target)
{
	struct sc_place place;
	struct sc_pins pins;
	int err;

	err = sc_place_open(&place, target->common.bpffs, target->ifname);
	if (err)
		return err;
	err = sc_target_open_pins(&place, &pins);
	if (!err) {
		err = add(survey, &place, &pins);
		sc_pins_close(&pins);
	}
	sc_place_close(&place);
	return err;
}

static int survey_all(struct sc_survey *survey, const struct sc_target *target)
{
	struct if_nameindex *names, *name;
	struct sc_place place;
	struct sc_pins pins;
	int err;

	err = sc_place_lock(&place, target->common.bpffs);
	if (err)
		return err;
	names = if_nameindex();
	if (!names) {
		err = -errno;
		sc_error("network interfaces: %s; name one", strerror(-err));
	}
	for (name = names; name && name->if_index && !err; name++) {
		sc_place_set_ifindex(&place, name->if_index);
		if (sc_pins_open(&pins, place.dir))
			continue;
		err = add(survey, &place, &pins);
		sc_pins_close(&pins);
	}
	if_freenameindex(names);
	sc_place_close(&place);
	return err;
}

int sc_survey_init(struct sc_survey *survey, const struct sc_target *target)
{
	int err;

	memset(survey, 0, sizeof(*survey));
	err = target->ifname ? survey_one(survey, target) : survey_all(survey, target);
	if (err)
		sc_survey_exit(survey);
	return err;
}

void sc_survey_exit(struct sc_survey *survey)
{
	while (survey->cnt)
		sc_reading_exit(&survey->readings[--survey->cnt]);
	free(survey->readings);
	survey->readings = NULL;
}

/* An interface attached since has no rates yet. */
static const struct sc_reading *find(const struct sc_survey *survey, int ifindex)
{
	int i;

	for (i = 0; i < survey->cnt; i++)
		if (survey->readings[i].ifindex == ifindex)
			return &survey->readings[i];
	return NULL;
}

void sc_survey_text(const struct sc_survey *now, const struct sc_survey *before, FILE *out)
{
	const struct sc_reading *earlier;
	struct sc_reading difference;
	int i;

	if (!now->cnt)
		fprintf(out, "nothing is attached in this network namespace\n");
	for (i = 0; i < now->cnt; i++) {
		earlier = find(before, now->readings[i].ifindex);
		if (!earlier || sc_reading_subtract(&difference, &now->readings[i], earlier))
			continue;
		sc_rates_text(&now->readings[i], &difference, out);
		sc_reading_exit(&difference);
	}
}

int sc_survey_json(const struct sc_survey *now, const struct sc_survey *before)
{
	const struct sc_reading *earlier;
	struct sc_reading difference;
	json_t *list = json_array(), *root;
	int i, err = 0;

	for (i = 0; i < now->cnt; i++) {
		earlier = find(before, now->readings[i].ifindex);
		if (!earlier || sc_reading_subtract(&difference, &now->readings[i], earlier))
			continue;
		json_array_append_new(list, sc_rates_json(&now->readings[i], &difference));
		sc_reading_exit(&difference);
	}
	root = json_pack("{s:i, s:o}", "schema_version", SC_REPORT_SCHEMA, "attachments", list);
	if (!root || json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) || putchar('\n') == EOF ||
	    fflush(stdout)) {
		sc_error("output: cannot write JSON: no memory, or nobody reads; run it again without --json");
		err = -EIO;
	}
	json_decref(root);
	return err;
}

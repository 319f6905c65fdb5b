// SPDX-License-Identifier: MIT
// Turns knobs and puts them back; each is noted before it is turned.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "log.h"
#include "memo.h"
#include "tuning.h"

#define MEMO "tuned"

/* A line of the note: "kind name value-before", the value may have blanks. */
struct tuning {
	const struct sc_place *place;
	struct sc_panel panel;
	char *note;
	/* While one kind is turned. */
	const struct sc_knob_kind *kind;
	const cpu_set_t *cpus;
	int noted, seen, turned;
	int read_err; /* of the last that could not be read */
};

/* Cuts the next line off *rest. false: there is none. */
static bool next_line(char **rest, char **ret_kind, char **ret_name, char **ret_value)
{
	char *line = strsep(rest, "\n");

	if (!line || !*line)
		return false;
	*ret_kind = strsep(&line, " ");
	*ret_name = strsep(&line, " ");
	*ret_value = line;
	return *ret_name && *ret_value;
}

static const struct sc_knob_kind *find_kind(const char *name)
{
	const struct sc_knob_kind *kind;

	for (kind = sc_knob_kinds; kind->name; kind++)
		if (!strcmp(kind->name, name))
			return kind;
	return NULL;
}

static bool is_noted(const struct tuning *tuning, const char *name)
{
	char head[128], *line;

	snprintf(head, sizeof(head), "%s %s ", tuning->kind->name, name);
	for (line = tuning->note; *line; line += strcspn(line, "\n") + 1)
		if (!strncmp(line, head, strlen(head)))
			return true;
	return false;
}

static int note(struct tuning *tuning, const char *name)
{
	char *before, *longer;
	int err;

	err = tuning->kind->read(&tuning->panel, name, &before);
	if (err)
		return err;
	if (asprintf(&longer, "%s%s %s %s\n", tuning->note, tuning->kind->name, name, before) < 0)
		longer = NULL;
	free(before);
	if (!longer)
		return -ENOMEM;
	free(tuning->note);
	tuning->note = longer;
	return 0;
}

/* What cannot be read is not turned either. */
static int note_if_new(void *context, const char *name)
{
	struct tuning *tuning = context;
	int err = is_noted(tuning, name) ? 0 : note(tuning, name);

	if (err == -ENOMEM)
		return err;
	if (err)
		tuning->read_err = err;
	else
		tuning->noted++;
	return 0;
}

static int turn(void *context, const char *name)
{
	struct tuning *tuning = context;
	char *wanted;
	int err;

	if (!is_noted(tuning, name))
		return 0;
	wanted = tuning->kind->wanted(&tuning->panel, tuning->seen++, tuning->cpus);
	if (!wanted)
		return -ENOMEM;
	err = tuning->kind->write(&tuning->panel, name, wanted);
	free(wanted);
	if (err)
		sc_warn("%s: %s %s: %s; it stays as it is", tuning->panel.ifname, tuning->kind->what, name,
			strerror(-err));
	else
		tuning->turned++;
	return 0;
}

/* The note is pinned before anything is turned: whoever kills us in between leaves what it takes to put it back. */
static int turn_kind(struct tuning *tuning)
{
	const struct sc_knob_kind *kind = tuning->kind;
	int err;

	tuning->noted = tuning->seen = tuning->turned = tuning->read_err = 0;
	err = kind->list(&tuning->panel, note_if_new, tuning);
	if (!err && !tuning->noted)
		err = tuning->read_err;
	if (err == -ENOENT || err == -EOPNOTSUPP || err == -EINVAL) {
		sc_warn("%s: %s: %s", tuning->panel.ifname, kind->what, kind->without);
		return 0;
	}
	err = err ?: sc_memo_write(tuning->place, MEMO, tuning->note);
	if (err) {
		sc_error("%s: cannot note how its %s are: %s; attach without --irq and --busy-poll",
			 tuning->panel.ifname, kind->what, strerror(-err));
		return err;
	}
	err = kind->list(&tuning->panel, turn, tuning);
	if (!err && tuning->turned)
		sc_say("%s: %s: %d set", tuning->panel.ifname, kind->what, tuning->turned);
	return err;
}

/* A queue or a thread that is gone needs nothing; nor does what could not be turned. */
static void put_back_line(struct tuning *tuning, const struct sc_knob_kind *kind, const char *name, const char *value)
{
	char *now;
	int err;

	err = kind->read(&tuning->panel, name, &now);
	if (!err) {
		err = strcmp(now, value) ? kind->write(&tuning->panel, name, value) : 0;
		free(now);
	}
	if (err && err != -ENOENT && err != -ESRCH)
		sc_warn("%s: %s %s: cannot be put back to %s: %s; set it by hand", tuning->panel.ifname, kind->what,
			name, value, strerror(-err));
}

/* Forgets what is put back, and keeps the rest of the note. */
static int put_back(struct tuning *tuning, unsigned int parts)
{
	char *copy = strdup(tuning->note), *kept = calloc(1, strlen(tuning->note) + 1), *rest = copy, *end = kept;
	char *name, *value, *kind_name;
	const struct sc_knob_kind *kind;

	if (!copy || !kept) {
		free(copy);
		free(kept);
		return -ENOMEM;
	}
	while (next_line(&rest, &kind_name, &name, &value)) {
		kind = find_kind(kind_name);
		if (kind && !(kind->part & parts))
			end += sprintf(end, "%s %s %s\n", kind_name, name, value);
		else if (kind)
			put_back_line(tuning, kind, name, value);
	}
	free(copy);
	free(tuning->note);
	tuning->note = kept;
	return sc_memo_write(tuning->place, MEMO, kept);
}

static unsigned int noted_parts(const char *text)
{
	char *copy = strdup(text), *rest = copy, *kind_name, *name, *value;
	const struct sc_knob_kind *kind;
	unsigned int parts = 0;

	while (copy && next_line(&rest, &kind_name, &name, &value)) {
		kind = find_kind(kind_name);
		parts |= kind ? kind->part : 0;
	}
	free(copy);
	return parts;
}

int sc_tuning_get(const struct sc_place *place, unsigned int *ret_parts)
{
	char *text;
	int err = sc_memo_read(place, MEMO, &text);

	if (err)
		return err;
	*ret_parts = noted_parts(text);
	free(text);
	return 0;
}

static int tuning_init(struct tuning *tuning, const struct sc_place *place)
{
	int err;

	*tuning = (struct tuning){ .place = place, .panel = { .sysfs = -1, .proc = -1, .ifindex = place->ifindex } };
	memcpy(tuning->panel.ifname, place->ifname, sizeof(tuning->panel.ifname));
	err = sc_memo_read(place, MEMO, &tuning->note);
	if (err)
		return err;
	tuning->panel.sysfs = sc_files_open_sysfs();
	tuning->panel.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (tuning->panel.sysfs < 0)
		return tuning->panel.sysfs;
	return tuning->panel.proc < 0 ? -errno : 0;
}

static void tuning_exit(struct tuning *tuning)
{
	if (tuning->panel.sysfs >= 0)
		close(tuning->panel.sysfs);
	if (tuning->panel.proc >= 0)
		close(tuning->panel.proc);
	free(tuning->note);
}

int sc_tuning_set(const struct sc_place *place, const cpu_set_t *cpus, unsigned int parts)
{
	struct tuning tuning;
	unsigned int now;
	int err;

	err = sc_tuning_get(place, &now);
	if (!err && !now && !(parts & ~SC_TUNED_NO_RT))
		return 0;
	err = err ?: tuning_init(&tuning, place);
	if (err) {
		sc_error(
			"%s: cannot turn interrupts and queues: %s; run it as plain root, or without --irq and --busy-poll",
			place->ifname, strerror(-err));
		goto out;
	}
	tuning.panel.no_rt = parts & SC_TUNED_NO_RT;
	err = put_back(&tuning, now & ~parts);
	tuning.cpus = cpus;
	for (tuning.kind = sc_knob_kinds; tuning.kind->name && !err; tuning.kind++)
		if (tuning.kind->part & parts)
			err = turn_kind(&tuning);
out:
	tuning_exit(&tuning);
	return err;
}

int sc_tuning_follow(const struct sc_place *place, const cpu_set_t *cpus, bool no_rt)
{
	unsigned int now;
	int err = sc_tuning_get(place, &now);

	if (err || !now)
		return err;
	return sc_tuning_set(place, cpus, now | (no_rt ? SC_TUNED_NO_RT : 0));
}

int sc_tuning_restore(const struct sc_place *place)
{
	return sc_tuning_set(place, NULL, 0);
}

// SPDX-License-Identifier: MIT
// Commands deny and allow: add to, delete from, list and replace a list of source prefixes.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "hint.h"
#include "lists.h"
#include "log.h"
#include "modules.h"
#include "prefix.h"
#include "report.h"
#include "target.h"
#include "usage.h"

struct options {
	struct sc_target target; /* the first: the parsers get it */
	const char *file;
	struct sc_prefixes prefixes;
};

/* Which of the two commands this is. */
static enum sc_list list;

static const char *list_name(void)
{
	return list == SC_LIST_DENY ? "deny" : "allow";
}

static void take_prefix(struct sc_target *target, const char *text, struct argp_state *state)
{
	struct options *options = (struct options *)target;
	struct sc_list_key prefix;
	int err = sc_prefix_parse(text, &prefix);

	if (err == -EDOM)
		sc_usage(state, "%s: has bits set beyond its length", text);
	if (err)
		sc_usage(state, "%s: not a prefix such as 192.0.2.0/24, 198.51.100.7, 2001:db8::/32", text);
	if (sc_prefixes_append(&options->prefixes, &prefix))
		sc_usage(state, "%s: out of memory", text);
}

static const struct sc_operand operand_prefixes = { "PREFIX...", "prefix", take_prefix };

static void take_file(struct sc_target *target, const char *text, struct argp_state *state)
{
	(void)state;
	((struct options *)target)->file = text;
}

static const struct sc_operand operand_file = { "FILE", "file", take_file };

static void say_error(const char *object, int err)
{
	if (err == -ENOSPC)
		sc_error("%s: %d prefixes on both lists are the limit; join prefixes, or delete some", object,
			 SC_STEER_LIST_MAX);
	else if (err == -EPERM)
		sc_error("%s: the list in use cannot be opened: %s; run it as root outside a user namespace", object,
			 strerror(-err));
	else
		sc_hint_error(object, SC_STEP_MAPS, err);
}

/* Lists without a prefix cost nothing. */
static int switch_module(const struct sc_place *place, struct sc_pins *pins)
{
	return sc_modules_switch(place, pins, SC_MODULE_LISTS, sc_lists_any(pins));
}

static int list_add(int argc, char **argv)
{
	struct options options = {
		.target.doc = "Puts these prefixes on the list. One that is on the other list moves.",
		.target.operand = &operand_prefixes,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&options.target, argc, argv);
	err = sc_target_open(&options.target, &place, &pins);
	if (!err) {
		err = sc_lists_add(&pins, list, &options.prefixes);
		if (err)
			say_error(place.ifname, err);
		else
			err = switch_module(&place, &pins);
		sc_target_close(&place, &pins);
	}
	sc_prefixes_free(&options.prefixes);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

static int delete_all(const struct sc_place *place, const struct sc_pins *pins, const struct sc_prefixes *prefixes)
{
	char text[SC_PREFIX_LEN];
	int i, err = 0;

	for (i = 0; i < prefixes->cnt && !err; i++) {
		err = sc_lists_del(pins, list, &prefixes->keys[i]);
		sc_prefix_format(&prefixes->keys[i], text);
		if (err == -ENOENT)
			sc_error("%s: not on the list; see sidecore-loader %s list %s", text, list_name(),
				 place->ifname);
		else if (err)
			say_error(text, err);
	}
	return err;
}

static int list_del(int argc, char **argv)
{
	struct options options = {
		.target.doc = "Takes these prefixes off the list.",
		.target.operand = &operand_prefixes,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&options.target, argc, argv);
	err = sc_target_open(&options.target, &place, &pins);
	if (!err) {
		err = delete_all(&place, &pins, &options.prefixes);
		err = err ?: switch_module(&place, &pins);
		sc_target_close(&place, &pins);
	}
	sc_prefixes_free(&options.prefixes);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

static int print_json(const struct sc_place *place, const struct sc_prefixes *prefixes)
{
	json_t *texts = json_array();
	char text[SC_PREFIX_LEN];
	int i;

	for (i = 0; i < prefixes->cnt; i++)
		json_array_append_new(texts, json_string(sc_prefix_format(&prefixes->keys[i], text)));
	return sc_report_print(json_pack("{s:i, s:s, s:s, s:o}", "schema_version", SC_REPORT_SCHEMA, "interface",
					 place->ifname, "list", list_name(), "prefixes", texts));
}

static int list_list(int argc, char **argv)
{
	struct options options = { .target.doc = "Shows the prefixes on the list.", .target.takes_json = true };
	char text[SC_PREFIX_LEN];
	struct sc_place place;
	struct sc_pins pins;
	int i, err;

	sc_target_parse(&options.target, argc, argv);
	if (sc_target_open(&options.target, &place, &pins))
		return SC_EXIT_FAILURE;
	err = sc_lists_read(&pins, list, &options.prefixes);
	if (err)
		say_error(place.ifname, err);
	else if (options.target.json)
		err = print_json(&place, &options.prefixes);
	else
		for (i = 0; i < options.prefixes.cnt; i++)
			puts(sc_prefix_format(&options.prefixes.keys[i], text));
	sc_target_close(&place, &pins);
	sc_prefixes_free(&options.prefixes);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

/* A word on a line, behind which a comment may stand. Says what is wrong with it. */
static int read_line(struct options *options, char *line, int number)
{
	struct sc_list_key prefix;
	char *word;
	int err;

	line[strcspn(line, "#\n")] = '\0';
	word = strtok(line, " \t\r");
	if (!word)
		return 0;
	err = sc_prefix_parse(word, &prefix);
	if (err || strtok(NULL, " \t\r")) {
		sc_error("%s:%d: %s; write one prefix per line, such as 192.0.2.0/24, and comments behind #",
			 options->file, number,
			 err == -EDOM ? "a prefix with bits set beyond its length" : "not a prefix");
		return -EINVAL;
	}
	err = sc_prefixes_append(&options->prefixes, &prefix);
	if (err)
		sc_error("%s:%d: %s; free memory", options->file, number, strerror(-err));
	return err;
}

static int read_file(struct options *options)
{
	bool standard = !strcmp(options->file, "-");
	FILE *file = standard ? stdin : fopen(options->file, "re");
	int number = 0, err = 0;
	char line[256];

	if (!file) {
		err = -errno;
		sc_error("%s: %s; name a file of prefixes, or - for standard input", options->file, strerror(-err));
		return err;
	}
	while (!err && fgets(line, sizeof(line), file))
		err = read_line(options, line, ++number);
	if (!err && ferror(file)) {
		err = -EIO;
		sc_error("%s: cannot be read; name a file of prefixes, or - for standard input", options->file);
	}
	if (!standard)
		fclose(file);
	return err;
}

static int list_import(int argc, char **argv)
{
	struct options options = {
		.target.doc =
			"Replaces the list by the prefixes in FILE (- is standard input), all at once: no packet meets a part of "
			"it. One per line, # begins a comment.",
		.target.operand = &operand_file,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&options.target, argc, argv);
	err = read_file(&options);
	err = err ?: sc_target_open(&options.target, &place, &pins);
	if (!err) {
		err = sc_lists_replace(&pins, list, &options.prefixes);
		if (err)
			say_error(options.file, err);
		else
			err = switch_module(&place, &pins);
		sc_target_close(&place, &pins);
	}
	sc_prefixes_free(&options.prefixes);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

static const struct sc_command commands[] = {
	{ "add", "put prefixes on the list", list_add },
	{ "del", "take prefixes off the list", list_del },
	{ "list", "show the list", list_list },
	{ "import", "replace the list by the prefixes in a file", list_import },
	{ 0 },
};

static int dispatch(int argc, char **argv, enum sc_list chosen, const char *doc)
{
	list = chosen;
	return sc_cli_dispatch(commands, argv[0], doc, argc, argv);
}

int sc_cmd_deny(int argc, char **argv)
{
	return dispatch(
		argc, argv, SC_LIST_DENY,
		"Changes the deny list: packets from these prefixes are dropped, unless a longer prefix is on the "
		"allow list.");
}

int sc_cmd_allow(int argc, char **argv)
{
	return dispatch(argc, argv, SC_LIST_ALLOW,
			"Changes the allow list: exceptions to shorter prefixes on the deny list.");
}

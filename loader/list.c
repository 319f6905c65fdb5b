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

/* By an operation of lists.h, with the modules that look for what is put there. Says why it fails, of this object. */
static int put(const struct sc_place *place, struct sc_pins *pins, const struct options *options,
	       int (*operation)(const struct sc_pins *pins, enum sc_list list, const struct sc_prefixes *prefixes),
	       const char *object)
{
	int err;

	err = sc_modules_switch(place, pins, sc_prefixes_modules(&options->prefixes), true);
	if (err)
		return err;
	err = operation(pins, list, &options->prefixes);
	if (err)
		sc_hint_error(object, SC_STEP_LISTS, err);
	return err ?: sc_lists_settle(place, pins);
}

/* What was done, for --json: how long the list is now. */
static int tell(const struct sc_place *place, const struct sc_pins *pins, bool json)
{
	struct sc_prefixes prefixes = { 0 };
	int err;

	if (!json)
		return 0;
	err = sc_lists_read(pins, list, &prefixes);
	if (err)
		sc_hint_error(place->ifname, SC_STEP_LISTS, err);
	else
		err = sc_report_print(json_pack("{s:i, s:s, s:s, s:i}", "schema_version", SC_REPORT_SCHEMA, "interface",
						place->ifname, "list", list_name(), "prefix_cnt", prefixes.cnt));
	sc_prefixes_free(&prefixes);
	return err;
}

static int list_add(int argc, char **argv)
{
	struct options options = {
		.target.doc = "Puts these prefixes on the list. One that is on the other list moves.",
		.target.operand = &operand_prefixes,
		.target.takes_json = true,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&options.target, argc, argv);
	err = sc_target_open(&options.target, &place, &pins);
	if (!err) {
		err = put(&place, &pins, &options, sc_lists_add, place.ifname);
		err = err ?: tell(&place, &pins, options.target.json);
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
			sc_hint_error(text, SC_STEP_LISTS, err);
	}
	return err;
}

static int list_del(int argc, char **argv)
{
	struct options options = {
		.target.doc = "Takes these prefixes off the list.",
		.target.operand = &operand_prefixes,
		.target.takes_json = true,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&options.target, argc, argv);
	err = sc_target_open(&options.target, &place, &pins);
	if (!err) {
		err = delete_all(&place, &pins, &options.prefixes);
		err = err ?: sc_lists_settle(&place, &pins);
		err = err ?: tell(&place, &pins, options.target.json);
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
		sc_hint_error(place.ifname, SC_STEP_LISTS, err);
	else if (options.target.json)
		err = print_json(&place, &options.prefixes);
	else
		for (i = 0; i < options.prefixes.cnt; i++)
			puts(sc_prefix_format(&options.prefixes.keys[i], text));
	sc_target_close(&place, &pins);
	sc_prefixes_free(&options.prefixes);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

static int list_import(int argc, char **argv)
{
	struct options options = {
		.target.doc =
			"Replaces the list by the prefixes in FILE (- is standard input), all at once: no packet meets a part of "
			"it. One per line, # begins a comment.",
		.target.operand = &operand_file,
		.target.takes_json = true,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&options.target, argc, argv);
	err = sc_prefixes_read(&options.prefixes, options.file);
	err = err ?: sc_target_open(&options.target, &place, &pins);
	if (!err) {
		err = put(&place, &pins, &options, sc_lists_replace, options.file);
		err = err ?: tell(&place, &pins, options.target.json);
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

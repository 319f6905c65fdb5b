// SPDX-License-Identifier: MIT
// Command clean: removes pins whose interface or network namespace is gone, and those of attaches that were killed.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "caps.h"
#include "cli.h"
#include "log.h"
#include "pins.h"
#include "place.h"
#include "report.h"

struct options {
	struct sc_common common;
	bool json;
};

/* What was removed, for JSON; NULL: said at once. */
static json_t *removed;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = { { "json", 'j', NULL, 0, "Print JSON", 0 }, { 0 } };

static const struct argp argp = {
	.options = option_table,
	.parser = parse,
	.doc = "Removes pins that have outlived their interface or network namespace. What is attached stays.",
	.children = sc_common_children,
};

/* A link alive may sit in any namespace; one that is gone, or never came to be, has no user anywhere. */
static bool is_stale(const char *dir)
{
	char path[sizeof(((struct sc_place *)0)->dir) + sizeof("/" SC_STEER_PIN_LINK)];
	bool stale;
	int link;

	snprintf(path, sizeof(path), "%s/%s", dir, SC_STEER_PIN_LINK);
	link = bpf_obj_get(path);
	if (link < 0)
		return errno == ENOENT;
	stale = !sc_link_is_alive(link);
	close(link);
	return stale;
}

/* Calls visit for each entry of path that is a number; returns the sum of what it returned, or its first -errno. */
static int for_each_number(struct sc_place *place, const char *path, int (*visit)(struct sc_place *, unsigned long))
{
	struct dirent *entry;
	int cnt = 0, ret = 0;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (ret >= 0 && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		ret = visit(place, strtoul(entry->d_name, NULL, 10));
		cnt += ret;
	}
	closedir(dir);
	return ret < 0 ? ret : cnt;
}

static int clean_interface(struct sc_place *place, unsigned long ifindex)
{
	int err;

	sc_place_set_ifindex(place, ifindex);
	if (!is_stale(place->dir))
		return 0;
	err = sc_place_remove_dir(place);
	if (err) {
		sc_error("%s: cannot remove: %s; remove the files in it", place->dir, strerror(-err));
		return err;
	}
	if (removed)
		json_array_append_new(removed, json_string(place->dir));
	else
		printf("%s: removed\n", place->dir);
	return 1;
}

static int clean_netns(struct sc_place *place, unsigned long netns)
{
	char path[sizeof(place->dir)];
	int cnt;

	place->netns = netns;
	snprintf(path, sizeof(path), "%s/%lu", place->root, netns);
	cnt = for_each_number(place, path, clean_interface);
	/* Left empty by an attach that was killed before its first pin. */
	(void)rmdir(path);
	return cnt;
}

int sc_cmd_clean(int argc, char **argv)
{
	struct options options = { 0 };
	struct sc_place place;
	int cnt, err = 0;

	sc_cli_parse(&argp, argc, argv, &options.common);
	if (sc_caps_limit() || sc_place_lock(&place, options.common.bpffs))
		return SC_EXIT_FAILURE;
	removed = options.json ? json_array() : NULL;
	cnt = for_each_number(&place, place.root, clean_netns);
	if (removed)
		err = sc_report_print(json_pack("{s:i, s:o}", "schema_version", SC_REPORT_SCHEMA, "removed", removed));
	else if (!cnt)
		printf("%s: nothing to clean\n", place.root);
	sc_place_close(&place);
	return cnt < 0 || err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

// SPDX-License-Identifier: MIT
// Command clean: removes pins whose interface or network namespace is gone, and those of attaches that were killed.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
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

struct options {
	struct sc_common common;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &options->common;
	return 0;
}

static const struct argp argp = {
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
	int cnt;

	sc_cli_parse(&argp, argc, argv, &options.common);
	if (sc_caps_limit() || sc_place_lock(&place, options.common.bpffs))
		return SC_EXIT_FAILURE;
	cnt = for_each_number(&place, place.root, clean_netns);
	if (!cnt)
		printf("%s: nothing to clean\n", place.root);
	sc_place_close(&place);
	return cnt < 0 ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

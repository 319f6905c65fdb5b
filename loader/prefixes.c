// SPDX-License-Identifier: MIT
// Arrays of prefixes, and files of them: one per line, comments behind #.
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lists.h"
#include "log.h"
#include "prefix.h"

int sc_prefixes_append(struct sc_prefixes *prefixes, const struct sc_list_key *key)
{
	/* Grows at powers of two. */
	if (!(prefixes->cnt & (prefixes->cnt - 1))) {
		int room = prefixes->cnt ? 2 * prefixes->cnt : 1;
		struct sc_list_key *keys = realloc(prefixes->keys, room * sizeof(*keys));

		if (!keys)
			return -ENOMEM;
		prefixes->keys = keys;
	}
	prefixes->keys[prefixes->cnt++] = *key;
	return 0;
}

void sc_prefixes_free(struct sc_prefixes *prefixes)
{
	free(prefixes->keys);
	*prefixes = (struct sc_prefixes){ 0 };
}

/* A word on a line, behind which a comment may stand. Says what is wrong with it. */
static int read_line(struct sc_prefixes *prefixes, char *line, const char *path, int number)
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
		sc_error("%s:%d: %s; write one prefix per line, such as 192.0.2.0/24, and comments behind #", path,
			 number, err == -EDOM ? "a prefix with bits set beyond its length" : "not a prefix");
		return -EINVAL;
	}
	err = sc_prefixes_append(prefixes, &prefix);
	if (err)
		sc_error("%s:%d: %s; free memory", path, number, strerror(-err));
	return err;
}

int sc_prefixes_read(struct sc_prefixes *prefixes, const char *path)
{
	bool standard = !strcmp(path, "-");
	FILE *file = standard ? stdin : fopen(path, "re");
	int number = 0, err = 0;
	char line[256];

	if (!file) {
		err = -errno;
		sc_error("%s: %s; name a file of prefixes, or - for standard input", path, strerror(-err));
		return err;
	}
	while (!err && fgets(line, sizeof(line), file))
		err = read_line(prefixes, line, path, ++number);
	if (!err && ferror(file)) {
		err = -EIO;
		sc_error("%s: cannot be read; name a file of prefixes, or - for standard input", path);
	}
	if (!standard)
		fclose(file);
	return err;
}

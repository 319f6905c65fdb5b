// SPDX-License-Identifier: MIT
// From the words of --help to what may stand for them, and from command to command.
#include <stdio.h>
#include <string.h>

#include "complete.h"

struct sc_word sc_complete_value(const char *name)
{
	struct sc_word word = { 0 };
	char *bar;

	snprintf(word.name, sizeof(word.name), "%s", name);
	if (strchr(name, '|')) {
		word.fill = SC_FILL_CHOICE;
		snprintf(word.choice, sizeof(word.choice), "%s", name);
		while ((bar = strchr(word.choice, '|')))
			*bar = ' ';
	} else if (!strcmp(name, "IF")) {
		word.fill = SC_FILL_INTERFACE;
	} else if (!strcmp(name, "FILE") || !strcmp(name, "DIR")) {
		word.fill = SC_FILL_FILE;
	} else if (!strcmp(name, "SERVICE") || !strcmp(name, "PORT")) {
		word.fill = SC_FILL_CHOICE;
		strcpy(word.choice, "tcp/ udp/");
	}
	return word;
}

int sc_complete_words(const char *words, struct sc_word ret_words[SC_WORDS_MAX])
{
	char copy[128], *word, *rest;
	int cnt = 0;

	snprintf(copy, sizeof(copy), "%s", words);
	for (word = strtok_r(copy, " []", &rest); word && cnt < SC_WORDS_MAX; word = strtok_r(NULL, " []", &rest)) {
		char *dots = strstr(word, "...");

		if (word[0] == '-') {
			/* It takes its value along. */
			(void)strtok_r(NULL, " []", &rest);
			continue;
		}
		if (dots)
			*dots = '\0';
		ret_words[cnt] = sc_complete_value(word);
		ret_words[cnt++].repeated = dots;
	}
	return cnt;
}

void sc_complete_walk(const struct sc_command *table, const char *above,
		      void (*visit)(const struct sc_station *station))
{
	char path[SC_COMMAND_PATH_LEN];
	struct sc_station station = { .above = above, .path = path };

	for (; table->name; table++) {
		if (!table->help)
			continue;
		station.command = table;
		snprintf(path, sizeof(path), "%s%s%s", above, *above ? " " : "", table->name);
		sc_describe(table, &station.description);
		visit(&station);
		if (station.description.table)
			sc_complete_walk(station.description.table, path, visit);
	}
}

// SPDX-License-Identifier: MIT
// The completion for bash: one function that finds the command, then what may follow it.
#include <stdio.h>

#include "cli.h"
#include "complete.h"

/* Appends to the shell variable `words`, or asks for files. */
static void print_fill(const struct sc_word *word)
{
	switch (word->fill) {
	case SC_FILL_CHOICE:
		printf(" words+=' %s'", word->choice);
		return;
	case SC_FILL_INTERFACE:
		printf(" words+=\" $(command ls /sys/class/net)\"");
		return;
	case SC_FILL_FILE:
		printf(" files=1");
		return;
	case SC_FILL_ANYTHING:
		printf(" :");
	}
}

static void print_values(const struct sc_description *description)
{
	const struct sc_option *option;
	struct sc_word word;

	printf("\t\tcase $prev in\n");
	for (option = description->options; option < description->options + description->option_cnt; option++) {
		if (!option->arg)
			continue;
		printf("\t\t--%s", option->name);
		if (option->letter)
			printf(" | -%c", option->letter);
		printf(")");
		word = sc_complete_value(option->arg);
		print_fill(&word);
		printf(" ;;\n");
	}
}

static void print_words(const struct sc_description *description)
{
	struct sc_word words[SC_WORDS_MAX];
	int i, cnt = sc_complete_words(description->words, words);

	printf("\t\t*)\n\t\t\tif [[ $cur == -* ]]; then\n\t\t\t\twords='--help --usage --version");
	for (i = 0; i < description->option_cnt; i++)
		printf(" --%s", description->options[i].name);
	printf("'\n\t\t\telse\n\t\t\t\t:");
	for (i = 0; i < cnt; i++) {
		printf(";");
		print_fill(&words[i]);
	}
	printf("\n\t\t\tfi ;;\n\t\tesac ;;\n");
}

static void print_names(const struct sc_command *table)
{
	printf("\t\twords='");
	for (; table->name; table++)
		if (table->help)
			printf("%s ", table->name);
	printf("' ;;\n");
}

static void print_case(const struct sc_station *station)
{
	printf("\t'%s')\n", station->path);
	if (station->description.table) {
		print_names(station->description.table);
		return;
	}
	print_values(&station->description);
	print_words(&station->description);
}

static void print_path(const struct sc_station *station)
{
	printf(" | '%s'", station->path);
}

void sc_complete_bash(const struct sc_command *table)
{
	printf("# bash completion of " SC_PROGRAM ", written by " SC_PROGRAM " completions bash\n"
	       "_sidecore_loader() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' files='' i\n"
	       "\t[[ $cur != = ]] || cur=''\n"
	       "\t[[ $prev != = ]] || prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase \"${command:+$command }${COMP_WORDS[i]}\" in\n\t\t''");
	sc_complete_walk(table, "", print_path);
	printf(") command=\"${command:+$command }${COMP_WORDS[i]}\" ;;\n\t\tesac\n\tdone\n\tcase $command in\n\t'')\n");
	print_names(table);
	sc_complete_walk(table, "", print_case);
	printf("\tesac\n\tmapfile -t COMPREPLY < <(compgen ${files:+-f} -W \"$words\" -- \"$cur\")\n}\n"
	       "complete -F _sidecore_loader " SC_PROGRAM "\n");
}

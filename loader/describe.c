// SPDX-License-Identifier: MIT
// Runs commands up to the tables they parse by.
#include <ctype.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "describe.h"

/* NULL: commands run as ever. */
static struct sc_description *wanted;
static jmp_buf back;

static void add_options(const struct argp *argp)
{
	const struct argp_option *option;
	const struct argp_child *child;
	const int max = sizeof(wanted->options) / sizeof(wanted->options[0]);

	for (option = argp->options; option && option->name && wanted->option_cnt < max; option++)
		wanted->options[wanted->option_cnt++] = (struct sc_option){
			.name = option->name,
			.letter = option->key < 0x80 && isprint(option->key) ? (char)option->key : 0,
			.arg = option->arg,
			.help = option->doc,
			.common = argp == &sc_common_argp,
		};
	for (child = argp->children; child && child->argp; child++)
		add_options(child->argp);
}

void sc_describe_options(const struct argp *argp)
{
	if (!wanted)
		return;
	/* The parser's own copy may be on the stack that the jump leaves. */
	snprintf(wanted->words, sizeof(wanted->words), "%s", argp->args_doc ?: "");
	add_options(argp);
	longjmp(back, 1);
}

void sc_describe_table(const struct sc_command *table)
{
	if (!wanted)
		return;
	wanted->table = table;
	longjmp(back, 1);
}

/* A command parses before it does anything else, so the jump leaves nothing open behind it. */
void sc_describe(const struct sc_command *command, struct sc_description *ret_description)
{
	char *argv[] = { (char *)command->name, NULL };

	memset(ret_description, 0, sizeof(*ret_description));
	wanted = ret_description;
	if (!setjmp(back))
		(void)command->run(1, argv);
	wanted = NULL;
}

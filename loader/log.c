// SPDX-License-Identifier: MIT
// Messages to the user, and the filter that libbpf's own messages go through.
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "cli.h"
#include "log.h"

static bool verbose, for_json;
static char kernel_words[256];

static void print(const char *kind, const char *fmt, va_list args)
{
	int saved = errno;

	fprintf(stderr, SC_PROGRAM ": %s", kind);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	errno = saved;
}

void sc_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print("", fmt, args);
	va_end(args);
}

void sc_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print("warning: ", fmt, args);
	va_end(args);
}

void sc_say(const char *fmt, ...)
{
	va_list args;

	if (for_json)
		return;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

void sc_log_json(void)
{
	for_json = true;
}

/* libbpf hands extack over only as text of a warning. */
static void keep_kernel_words(const char *line)
{
	static const char mark[] = "Kernel error message: ";
	const char *words = strstr(line, mark);

	if (!words)
		return;
	snprintf(kernel_words, sizeof(kernel_words), "%s", words + strlen(mark));
	kernel_words[strcspn(kernel_words, "\n")] = '\0';
}

static int libbpf_line(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char line[1024];
	va_list copy;

	va_copy(copy, args);
	vsnprintf(line, sizeof(line), fmt, copy);
	va_end(copy);
	keep_kernel_words(line);
	if (verbose && level != LIBBPF_DEBUG)
		vfprintf(stderr, fmt, args);
	return 0;
}

void sc_log_init(void)
{
	libbpf_set_print(libbpf_line);
}

void sc_log_verbose(void)
{
	verbose = true;
}

const char *sc_log_kernel_words(void)
{
	return kernel_words;
}

void sc_log_forget(void)
{
	kernel_words[0] = '\0';
}

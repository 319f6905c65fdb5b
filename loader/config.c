// SPDX-License-Identifier: MIT
// Reads a configuration file, line by line.
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"

enum {
	FILE_LEN_MAX = 1 << 20,
	OPTIONS_MAX = 32, /* in the table of settings */
};

struct reader {
	struct sc_config *config;
	struct sc_settings *settings;
	const char *path;
	int line;
	int seen[OPTIONS_MAX]; /* line that set an option, 0: none yet */
};

/* The one place that complains of a line, so that all complaints look alike. */
static int refuse(const struct reader *reader, const char *key, const char *value, const char *why)
{
	sc_error("%s:%d: %s%s%s: %s; see man sidecore.conf", reader->path, reader->line, key, value[0] ? " = " : "",
		 value, why);
	return -EINVAL;
}

static int take_interface(struct reader *reader, char *value)
{
	if (reader->config->ifname)
		return refuse(reader, "interface", value, "given twice");
	if (strlen(value) >= IF_NAMESIZE)
		return refuse(reader, "interface", value, "longer than a name of an interface can be");
	reader->config->ifname = value;
	return 0;
}

static int take_option(struct reader *reader, const struct argp_option *option, char *value)
{
	int *seen = &reader->seen[option - sc_settings_argp.options];
	const char *why;

	if (*seen && !sc_settings_adds(option->key))
		return refuse(reader, option->name, value, "given twice");
	*seen = reader->line;
	if (!option->arg) {
		if (strcmp(value, "on") && strcmp(value, "off"))
			return refuse(reader, option->name, value, "not one of on, off");
		if (!strcmp(value, "off"))
			return 0;
	}
	why = sc_settings_take(reader->settings, option->key, option->arg ? value : NULL);
	return why ? refuse(reader, option->name, value, why) : 0;
}

static int take(struct reader *reader, char *key, char *value)
{
	const struct argp_option *option;

	if (!strcmp(key, "interface"))
		return take_interface(reader, value);
	for (option = sc_settings_argp.options; option->name; option++)
		if (!strcmp(key, option->name))
			return take_option(reader, option, value);
	return refuse(reader, key, value, "no such key");
}

static char *trim(char *text)
{
	static const char blank[] = " \t\r";
	size_t len;

	text += strspn(text, blank);
	for (len = strlen(text); len && strchr(blank, text[len - 1]); len--)
		text[len - 1] = '\0';
	return text;
}

/* `line` is cut up. */
static int read_line(struct reader *reader, char *line)
{
	char *key, *value;

	line[strcspn(line, "#")] = '\0';
	key = trim(line);
	if (!*key)
		return 0;
	value = strchr(key, '=');
	if (!value)
		return refuse(reader, key, "", "not a key, = and a value");
	*value++ = '\0';
	key = trim(key);
	value = trim(value);
	if (!*value)
		return refuse(reader, key, "", "has no value");
	return take(reader, key, value);
}

static int read_text(const char *path, char **ret_text)
{
	FILE *file = fopen(path, "re");
	size_t len;
	char *text;
	int err = 0;

	if (!file)
		return -errno;
	text = malloc(FILE_LEN_MAX + 1);
	len = text ? fread(text, 1, FILE_LEN_MAX + 1, file) : 0;
	if (!text)
		err = -ENOMEM;
	else if (ferror(file))
		err = -errno ?: -EIO;
	else if (len > FILE_LEN_MAX)
		err = -EFBIG;
	else if (memchr(text, '\0', len))
		err = -EILSEQ;
	fclose(file);
	if (err) {
		free(text);
		return err;
	}
	text[len] = '\0';
	*ret_text = text;
	return 0;
}

int sc_config_init(struct sc_config *config, const char *path, struct sc_settings *settings)
{
	struct reader reader = { .config = config, .settings = settings, .path = path };
	char *rest, *line;
	int i, err;

	memset(config, 0, sizeof(*config));
	err = read_text(path, &config->text);
	if (err) {
		sc_error("%s: cannot be read: %s; name a configuration file, see man sidecore.conf", path,
			 strerror(-err));
		return err;
	}
	settings->plan.is_whole = true;
	for (i = 0; i < SC_FILTERS; i++)
		settings->plan.filters[i] = SC_WISH_OFF;
	settings->plan.syn = settings->plan.irq = settings->plan.busy_poll = SC_WISH_OFF;
	rest = config->text;
	while (!err && (line = strsep(&rest, "\n"))) {
		reader.line++;
		err = read_line(&reader, line);
	}
	if (err)
		sc_config_exit(config);
	return err;
}

void sc_config_exit(struct sc_config *config)
{
	free(config->text);
	memset(config, 0, sizeof(*config));
}

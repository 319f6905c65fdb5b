// SPDX-License-Identifier: MIT
// Command top: the rates of `stats`, on a terminal refreshed in place until q or Ctrl-C.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "caps.h"
#include "cli.h"
#include "log.h"
#include "survey.h"

/* Another screen, no cursor, lines cut and not wrapped; and back. */
#define SCREEN_ENTER "\033[?1049h\033[?25l\033[?7l"
#define SCREEN_LEAVE "\033[?7h\033[?25h\033[?1049l"

struct screen {
	int signals; /* signalfd; -1: no terminal */
	bool has_keys;
	struct termios saved;
};

/* What ends the command arrives in its poll loop, so that the terminal is always given back as it was. */
static int screen_init(struct screen *screen)
{
	struct termios keys;
	sigset_t set;

	screen->signals = -1;
	screen->has_keys = false;
	if (!isatty(STDOUT_FILENO))
		return 0;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	screen->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (screen->signals < 0)
		return -errno;
	screen->has_keys = !tcgetattr(STDIN_FILENO, &screen->saved);
	if (screen->has_keys) {
		keys = screen->saved;
		keys.c_lflag &= ~(ICANON | ECHO);
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &keys);
	}
	fputs(SCREEN_ENTER, stdout);
	fflush(stdout);
	return 0;
}

static void screen_exit(struct screen *screen)
{
	if (screen->signals < 0)
		return;
	fputs(SCREEN_LEAVE, stdout);
	fflush(stdout);
	if (screen->has_keys)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &screen->saved);
	close(screen->signals);
}

static int screen_rows(void)
{
	struct winsize size;

	return !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row ? size.ws_row : 24;
}

/* Over the last picture, each line's rest and what is below wiped: no flicker, as clearing first would give. */
static void screen_draw(const char *text)
{
	int row, rows = screen_rows();
	size_t len;

	fputs("\033[H", stdout);
	for (row = 0; *text && row < rows - 1; row++) {
		len = strcspn(text, "\n");
		printf("%.*s\033[K\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
	fputs("q: quit\033[K\033[J", stdout);
	fflush(stdout);
}

/* Waits for the next measurement; true: the user wants to go. */
static bool wait_for_end(const struct screen *screen, double interval_s)
{
	struct pollfd fds[] = {
		{ .fd = screen->signals, .events = POLLIN },
		{ .fd = screen->has_keys ? STDIN_FILENO : -1, .events = POLLIN },
	};
	struct timespec end, now;
	double left_ms;
	char key;

	clock_gettime(CLOCK_MONOTONIC, &end);
	for (left_ms = interval_s * 1e3; left_ms > 0;) {
		if (poll(fds, 2, (int)left_ms + 1) > 0) {
			if (fds[0].revents)
				return true;
			if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')
				return true;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		left_ms = interval_s * 1e3 - (now.tv_sec - end.tv_sec) * 1e3 - (now.tv_nsec - end.tv_nsec) / 1e6;
	}
	return false;
}

static int show(const struct screen *screen, const struct sc_survey *now, const struct sc_survey *before,
		const struct sc_target *target)
{
	char *text = NULL;
	size_t len;
	FILE *out;

	if (target->json)
		return sc_survey_json(now, before);
	out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	sc_survey_text(now, before, out);
	fclose(out);
	if (screen->signals < 0)
		fputs(text, stdout);
	else
		screen_draw(text);
	free(text);
	return fflush(stdout);
}

static int watch(const struct screen *screen, const struct sc_target *target, const struct sc_pace *pace)
{
	struct sc_survey before, now;
	unsigned int done = 0;
	int err;

	err = sc_survey_init(&before, target);
	if (err)
		return err;
	while (!err && (!pace->count || done++ < pace->count) && !wait_for_end(screen, pace->interval_s)) {
		err = sc_survey_init(&now, target);
		if (err)
			break;
		err = show(screen, &now, &before, target);
		sc_survey_exit(&before);
		before = now;
	}
	sc_survey_exit(&before);
	return err;
}

int sc_cmd_top(int argc, char **argv)
{
	static struct sc_pace pace = { .interval_s = 1 };
	static struct sc_target target = {
		.doc = "Shows the rates of stats live, until q or Ctrl-C. Without a terminal, or with --json, it prints one measurement.",
		.takes_json = true,
		.ifname_optional = true,
		.extra = &sc_pace_argp,
		.extra_input = &pace,
	};
	struct screen screen;
	int err;

	sc_target_parse(&target, argc, argv);
	if (sc_caps_limit())
		return SC_EXIT_FAILURE;
	screen.signals = -1;
	screen.has_keys = false;
	if (target.json || !isatty(STDOUT_FILENO))
		pace.count = pace.count ?: 1;
	else if (screen_init(&screen)) {
		sc_error("terminal: cannot wait for its signals: %s; run sidecore-loader stats", strerror(errno));
		return SC_EXIT_FAILURE;
	}
	err = watch(&screen, &target, &pace);
	screen_exit(&screen);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

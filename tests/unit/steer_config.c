// SPDX-License-Identifier: MIT
// Configuration files at random, made from a good one: each is taken or refused, never more than there is room for, and alike each time.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

enum {
	ROUNDS = 5000,
	TEXT_MAX = 4096,
};

static const char good[] = "# eth1\n"
			   "interface  = eth1\n"
			   "cpus       = 1,3-5\n"
			   "mode=skb\n"
			   "service    = tcp/80 # web\n"
			   "service    = udp/[fd00::1]:53\n"
			   "validity   = on\n"
			   "options    = drop\n"
			   "irq = off\n"
			   "busy-poll = on\n"
			   "limit = tcp/80,per-source,1000/s,burst=20\n"
			   "syn = auto\n"
			   "syn-rate = 5000\n"
			   "never-drop = tcp/22\n"
			   "deny-file  = /etc/sidecore/deny.txt\n"
			   "no-fifo    = on\n";

static int file, nowhere, stderr_copy;
static char path[32];
static struct sc_settings settings, again;
static uint64_t state = 88172645463325252ULL;

static uint32_t below(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % limit;
}

static void store(const char *text, size_t len)
{
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(pwrite(file, text, len, 0), len);
}

static size_t change(char *text, size_t len)
{
	static const char likely[] = "=#\n\r\t ,-/:[].0123456789abx\0";
	size_t at = below(len), part;

	switch (below(4)) {
	case 0:
		text[at] = likely[below(sizeof(likely))];
		return len;
	case 1:
		text[at] ^= 1 << below(8);
		return len;
	case 2: /* a piece goes */
		part = below(len - at < 16 ? len - at : 16);
		memmove(text + at, text + at + part, len - at - part);
		return len - part;
	default: /* a piece comes twice */
		part = below(len - at < 48 ? len - at : 48);
		if (len + part > TEXT_MAX)
			return len;
		memmove(text + at + part, text + at, len - at);
		return len + part;
	}
}

/* A line for each refusal would bury the result. */
static int read_into(struct sc_settings *read, struct sc_config *config)
{
	int err;

	memset(read, 0, sizeof(*read));
	dup2(nowhere, STDERR_FILENO);
	err = sc_config_init(config, path, read);
	dup2(stderr_copy, STDERR_FILENO);
	return err;
}

static void test_good(void **unused)
{
	struct sc_config config;

	(void)unused;
	store(good, strlen(good));
	assert_int_equal(read_into(&settings, &config), 0);
	assert_string_equal(config.ifname, "eth1");
	assert_string_equal(settings.deny_file, "/etc/sidecore/deny.txt");
	assert_int_equal(CPU_COUNT(&settings.plan.cpus), 4);
	assert_int_equal(settings.plan.mode, SC_MODE_SKB);
	assert_int_equal(settings.plan.spec_cnt, 2);
	assert_int_equal(settings.plan.spared_cnt, 1);
	assert_int_equal(settings.plan.filters[SC_FILTER_VALIDITY], SC_WISH_ON);
	assert_int_equal(settings.plan.filters[SC_FILTER_OPTIONS], SC_WISH_ON);
	assert_int_equal(settings.plan.filters[SC_FILTER_FRAGMENTS], SC_WISH_OFF);
	assert_int_equal(settings.plan.irq, SC_WISH_OFF);
	assert_int_equal(settings.plan.busy_poll, SC_WISH_ON);
	assert_true(settings.plan.is_whole && settings.no_fifo);
	sc_config_exit(&config);
}

static void test_random(void **unused)
{
	struct sc_config config, second;
	int round, i, taken = 0;
	char text[TEXT_MAX];
	size_t len;

	(void)unused;
	for (round = 0; round < ROUNDS; round++) {
		len = strlen(good);
		memcpy(text, good, len);
		for (i = below(4); i >= 0 && len > 1; i--)
			len = change(text, len);
		store(text, len);
		if (read_into(&settings, &config))
			continue;
		taken++;
		assert_in_range(settings.plan.spec_cnt, 0, SC_STEER_SERVICES_MAX);
		assert_in_range(settings.plan.spared_cnt, 0, SC_SPARED_MAX);
		assert_true(!config.ifname || strlen(config.ifname) < IF_NAMESIZE);
		assert_int_equal(read_into(&again, &second), 0);
		assert_memory_equal(&settings.plan, &again.plan, sizeof(settings.plan));
		sc_config_exit(&second);
		sc_config_exit(&config);
	}
	/* Changes within comments and blanks, at least, do no harm; most others do. */
	assert_in_range(taken, ROUNDS / 20, ROUNDS - ROUNDS / 20);
}

static int set_up(void **unused)
{
	(void)unused;
	file = memfd_create("config", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	stderr_copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	return file < 0 || nowhere < 0 || stderr_copy < 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	close(stderr_copy);
	close(nowhere);
	return close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

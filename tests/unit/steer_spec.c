// SPDX-License-Identifier: MIT
// Services as users write them: what parses, what it means, what it is printed as, what is refused.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "spec.h"

static const struct {
	const char *text;
	const char *printed; /* NULL: as given */
	__u8 family;
	__u8 protocol;
	__u16 port;
} good[] = {
	{ "tcp/8080", NULL, 0, IPPROTO_TCP, 8080 },
	{ "udp/53", NULL, 0, IPPROTO_UDP, 53 },
	{ "tcp/1", NULL, 0, IPPROTO_TCP, 1 },
	{ "tcp/65535", NULL, 0, IPPROTO_TCP, 65535 },
	{ "tcp/0080", "tcp/80", 0, IPPROTO_TCP, 80 },
	{ "tcp/10.0.0.1:80", NULL, SC_STEER_IPV4, IPPROTO_TCP, 80 },
	{ "udp/0.0.0.0:443", NULL, SC_STEER_IPV4, IPPROTO_UDP, 443 },
	{ "tcp/[fd00::1]:80", NULL, SC_STEER_IPV6, IPPROTO_TCP, 80 },
	{ "tcp/[::]:80", NULL, SC_STEER_IPV6, IPPROTO_TCP, 80 },
	{ "tcp/[FD00:0:0::0001]:80", "tcp/[fd00::1]:80", SC_STEER_IPV6, IPPROTO_TCP, 80 },
	{ "tcp/[1111:2222:3333:4444:5555:6666:7777:8888]:65535", NULL, SC_STEER_IPV6, IPPROTO_TCP, 65535 },
	{ "tcp/[0000:0000:0000:0000:0000:ffff:192.168.100.200]:65535", "tcp/[::ffff:192.168.100.200]:65535",
	  SC_STEER_IPV6, IPPROTO_TCP, 65535 },
};

static const char *const bad[] = {
	"",
	"8080",
	"tcp",
	"tcp/",
	"tcp/0",
	"tcp/65536",
	"tcp/99999999999999999999",
	"tcp/-1",
	"tcp/+1",
	"tcp/ 80",
	"tcp/80 ",
	"tcp/http",
	"sctp/80",
	"TCP/80",
	"tcp8080",
	"tcp/10.0.0.1",
	"tcp/10.0.0.1:",
	"tcp/10.0.0:80",
	"tcp/10.0.0.256:80",
	"tcp/:80",
	"tcp/[]:80",
	"tcp/[fd00::1]",
	"tcp/[fd00::1]80",
	"tcp/fd00::1:80",
	"tcp/[fd00::g]:80",
	"tcp/[10.0.0.1]:80",
	"tcp/[fd00::1%eth0]:80",
	"tcp/[1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333:4444]:80",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_good(void **state)
{
	char text[SC_SPEC_LEN];
	struct sc_spec spec;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(good); i++) {
		assert_int_equal(sc_spec_parse(good[i].text, &spec), 0);
		assert_int_equal(spec.family, good[i].family);
		assert_int_equal(spec.protocol, good[i].protocol);
		assert_int_equal(ntohs(spec.port), good[i].port);
		assert_string_equal(sc_spec_format(&spec, text), good[i].printed ?: good[i].text);
	}
}

static void test_address(void **state)
{
	const __u8 ipv4[16] = { 10, 0, 0, 1 }, ipv6[16] = { 0xfd, [15] = 1 };
	struct sc_spec spec;

	(void)state;
	assert_int_equal(sc_spec_parse("tcp/10.0.0.1:80", &spec), 0);
	assert_memory_equal(spec.addr, ipv4, sizeof(ipv4));
	assert_int_equal(sc_spec_parse("tcp/[fd00::1]:80", &spec), 0);
	assert_memory_equal(spec.addr, ipv6, sizeof(ipv6));
}

static void test_bad(void **state)
{
	const struct sc_spec before = { .port = 7 };
	struct sc_spec spec = before;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++) {
		if (sc_spec_parse(bad[i], &spec) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
		assert_memory_equal(&spec, &before, sizeof(spec));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_bad),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

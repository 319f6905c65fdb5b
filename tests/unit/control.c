// SPDX-License-Identifier: MIT
/* What libapp makes of a service's answer on the control socket, above all of none, and who owns descriptors then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"

enum { FDS = 3, TIMEOUT_US = 20000 };

/* pair[0] is the caller's, pair[1] the service's. */
static int setup(void **state)
{
	static int pair[2];
	const struct timeval timeout = { .tv_usec = TIMEOUT_US };

	*state = pair;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	       setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

static int teardown(void **state)
{
	int *pair = *state;

	(void)close(pair[0]);
	if (pair[1] >= 0)
		(void)close(pair[1]);
	return 0;
}

/* The service answers before it is asked: the caller can't tell. */
static void reply(int service, __u16 type, unsigned int fd_cnt)
{
	struct sc_ctl_msg msg = { .magic = SC_CTL_MAGIC, .version = SC_ABI_VERSION, .type = type };
	struct iovec iov = { .iov_base = &msg, .iov_len = sizeof(msg) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };

	if (fd_cnt) {
		hdr.msg_control = control.buf;
		hdr.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));
		CMSG_FIRSTHDR(&hdr)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&hdr)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&hdr)->cmsg_len = CMSG_LEN(fd_cnt * sizeof(int));
	}
	for (unsigned int i = 0; i < fd_cnt; i++)
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&hdr)) + i * sizeof(int), &service, sizeof(service));
	assert_int_equal(sendmsg(service, &hdr, 0), sizeof(msg));
}

/* ret_cnt: how many of FDS descriptors the caller was told to own. They are closed here. */
static int call(int *pair, unsigned int *ret_cnt)
{
	struct sc_ctl_msg msg = { .type = SC_CTL_HELLO };
	int fds[FDS] = { -1, -1, -1 }, err;

	*ret_cnt = FDS;
	err = sc_control_call(pair[0], &msg, -1, fds, ret_cnt);
	assert_true(*ret_cnt <= FDS);
	for (unsigned int i = 0; i < *ret_cnt; i++)
		assert_int_equal(close(fds[i]), 0);
	return err;
}

static void hang_up(int *pair)
{
	(void)close(pair[1]);
	pair[1] = -1;
}

static void test_answer(void **state)
{
	int *pair = *state, before = dup(pair[0]), after;
	unsigned int cnt;

	(void)close(before);
	reply(pair[1], SC_CTL_HELLO | SC_CTL_REPLY, 2);
	assert_int_equal(call(pair, &cnt), 0);
	assert_int_equal(cnt, 2);
	reply(pair[1], SC_CTL_HELLO | SC_CTL_REPLY, 5); /* more than asked for: closed */
	assert_int_equal(call(pair, &cnt), 0);
	assert_int_equal(cnt, FDS);
	reply(pair[1], SC_CTL_KICK | SC_CTL_REPLY, 1);
	assert_int_equal(call(pair, &cnt), -EPROTO);
	assert_int_equal(cnt, 1);
	after = dup(pair[0]);
	assert_int_equal(after, before); /* nothing stayed open */
	(void)close(after);
}

/* No descriptor came: the caller must not close what chance left in its array. */
static void test_no_answer(void **state)
{
	unsigned int cnt;

	assert_int_equal(call(*state, &cnt), -ETIMEDOUT);
	assert_int_equal(cnt, 0);
}

static void test_hung_up(void **state)
{
	int *pair = *state;
	unsigned int cnt;

	hang_up(pair);
	assert_int_equal(call(pair, &cnt), -EOWNERDEAD);
	assert_int_equal(cnt, 0);
}

/* What the kernel tells otherwise than a plain hang-up. */
static void test_hung_up_without_reading(void **state)
{
	int *pair = *state;
	unsigned int cnt;

	assert_int_equal(send(pair[0], "", 1, 0), 1);
	hang_up(pair);
	assert_int_equal(call(pair, &cnt), -EOWNERDEAD);
	assert_int_equal(cnt, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_answer),
		TEST(test_no_answer),
		TEST(test_hung_up),
		TEST(test_hung_up_without_reading),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/* A connection of the server under test that receives by jobs, and its far end, both in the test's hands. */
#include "app_pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void pair_ignore(struct server *server, struct sc_event *event)
{
	(void)server;
	(void)event;
}

int peer_and_accept(struct server *server, struct sc_conn **ret_conn)
{
	int fd = peer_connect(sc_listener_port(server->listener));

	assert_true(fd >= 0);
	assert_int_equal(sc_sync_accept(server->listener, WAIT_MS, ret_conn), 0);
	return fd;
}

void pair_open(struct pair *pair, struct sc_options *options)
{
	struct sc_options otherwise = SC_OPTIONS_INIT;

	server_open(&pair->server, options ? options : &otherwise, pair_ignore);
	pair->peer = peer_and_accept(&pair->server, &pair->conn);
}

void pair_close(struct pair *pair)
{
	assert_int_equal(sc_sync_close(pair->conn, WAIT_MS), 0);
	assert_int_equal(close(pair->peer), 0);
	sc_close_session(pair->server.session);
}

struct sc_counters counters(const struct server *server)
{
	struct sc_info info = { .size = sizeof(info) };

	assert_int_equal(sc_info(server->session, &info), 0);
	return info.counters;
}

ssize_t result_of(struct sc_job *job)
{
	ssize_t result = -ENODATA;
	int ret;

	do
		ret = sc_job_wait(job, WAIT_MS, &result);
	while (ret == -EINTR);
	assert_int_equal(ret, 1);
	return result;
}

bool pending(struct sc_job *job)
{
	ssize_t result = -ENODATA;
	int ret;

	do
		ret = sc_job_wait(job, SHORT_MS, &result);
	while (ret == -EINTR);
	assert_in_range(ret, 0, 1);
	assert_true(ret || result == -ENODATA);
	return !ret;
}

int bound_open(uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

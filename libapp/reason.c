// SPDX-License-Identifier: MIT
/* The last refusal of this thread, told in words, and what an errno means where libapp returns it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sidecore/app.h>

#include "reason.h"

static _Thread_local char text[256];
static _Thread_local const char *reason = ""; /* text, or what sc_refuse was given */

int sc_reason_set(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reason = text;
	return err;
}

int sc_refuse(int err, const char *words)
{
	reason = words;
	return err;
}

const char *sc_reason(void)
{
	return reason;
}

/* Those that say more here than elsewhere, as the result of a call or of an event. */
static const struct {
	int err;
	const char *text;
} meanings[] = {
	{ 0, "success" },
	{ E2BIG, "options of a newer libapp: link against that one" },
	{ EACCES, "not allowed: the service, the address or the port is not for this user" },
	{ EAGAIN, "too many at a time, of engines, sessions or datagrams: wait for some, or close some" },
	{ EBADF, "closed, or being closed" },
	{ EBADMSG, "what the service answered is not a channel: install libapp and ringsvc of one release" },
	{ EBUSY, "in use still, or behind events that wait: take those by sc_poll first" },
	{ ECANCELED, "cancelled before it was done" },
	{ ECONNREFUSED, "nobody listens there" },
	{ ECONNRESET, "the peer reset the connection" },
	{ EFAULT, "not memory of this session: send from sc_alloc or from a received buffer" },
	{ EINVAL, "an argument is out of bounds" },
	{ EMFILE, "out of descriptors: raise RLIMIT_NOFILE or ask for fewer conns" },
	{ ENODATA, "the file is shorter than the range that was to be sent" },
	{ ENOBUFS, "no room for more: take events by sc_poll, or the kernel is out of buffers" },
	{ ENOENT, "nothing at that path: start sidecore-ringsvc, use engine local, or give another path" },
	{ ENOMEM, "out of memory, or more under way than a session may have: wait for what completes" },
	{ ENOSPC, "no place left for another of this kind: close one first" },
	{ ENOSYS, "the kernel lacks what the engine needs: Linux 6.12 or newer" },
	{ EOWNERDEAD, "the engine is gone and every connection with it: close the session and open a new one" },
	{ EPERM, "not permitted; io_uring by sysctl kernel.io_uring_disabled or seccomp, maybe" },
	{ EPIPE, "the connection sends no more: it is being closed, was shut down, or a send failed" },
	{ EPROTOTYPE, "not the kind of socket for this call" },
	{ EPROTO, "the service speaks another version: install libapp and ringsvc of one release" },
	{ ESTALE, "the session of the process that forked this one: open an own session" },
	{ ETIMEDOUT, "no answer in time" },
};

const char *sc_strerror(int err)
{
	unsigned int number = err < 0 ? -(unsigned int)err : (unsigned int)err;
	const char *known;

	for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++)
		if ((unsigned int)meanings[i].err == number)
			return meanings[i].text;
	known = strerrordesc_np((int)number);
	return known ? known : "an error without a name";
}

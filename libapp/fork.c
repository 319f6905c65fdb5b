// SPDX-License-Identifier: MIT
/*
 * Sessions and fork: in a child its parent's sessions are lost from the beginning.
 *
 * A child has a copy of the library's books and the very queues of its parent. Had each of them half of the requests and half of the
 * completions, both would be wrong. So the parent keeps them. That calls find out by looking at session->lost, which they look at
 * anyway, is what a list of all sessions is for.
 */
#include <errno.h>
#include <pthread.h>

#include "fork.h"
#include "session.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sc_session *first;

static void before_fork(void)
{
	(void)pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
	(void)pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	for (struct sc_session *session = first; session; session = session->fork_next) {
		session->lost = -ESTALE;
		session->lost_told = true;
		session->group->stale = true;
	}
	(void)pthread_mutex_unlock(&lock);
}

static void handlers_set(void)
{
	(void)pthread_atfork(before_fork, in_parent, in_child);
}

void sc_fork_watch(struct sc_session *session)
{
	(void)pthread_once(&once, handlers_set);
	(void)pthread_mutex_lock(&lock);
	session->fork_next = first;
	first = session;
	(void)pthread_mutex_unlock(&lock);
}

void sc_fork_forget(struct sc_session *session)
{
	struct sc_session **link = &first;

	(void)pthread_mutex_lock(&lock);
	while (*link && *link != session)
		link = &(*link)->fork_next;
	if (*link)
		*link = session->fork_next;
	(void)pthread_mutex_unlock(&lock);
}

// SPDX-License-Identifier: MIT
/* A segment goes while another thread sends from it as often as it can: never one that is in use. */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "conn_fake.h"

enum { LEN = 4096, RACE_MS = 400, HOLD = 20, TRIES = 2000 };

static bool gone; /* atomic: the engine was told that it is */

static int fake_segment_add(struct sc_session *session, struct sc_segment *segment, char **ret_mem)
{
	(void)session;
	*ret_mem = mmap(NULL, segment->len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	segment->base = (uint64_t)(uintptr_t)*ret_mem;
	__atomic_store_n(&gone, false, __ATOMIC_SEQ_CST);
	return 0;
}

static int fake_segment_del(struct sc_segment *segment)
{
	(void)segment;
	__atomic_store_n(&gone, true, __ATOMIC_SEQ_CST);
	return 0;
}

static const struct engine_ops ops = { .segment_add = fake_segment_add, .segment_del = fake_segment_del };

struct sender {
	struct sc_session *session;
	const char *mem; /* atomic: where the segment is, or was */
	bool stop; /* atomic */
	pthread_t thread;
	unsigned int taken; /* atomic */
	unsigned int refused, wrong; /* its own until it has ended */
};

static void *sender_main(void *arg)
{
	struct sender *sender = arg;

	while (!__atomic_load_n(&sender->stop, __ATOMIC_RELAXED)) {
		const char *mem = __atomic_load_n(&sender->mem, __ATOMIC_RELAXED);
		uint64_t addr;
		uint8_t slot;

		if (!sc_segment_get(sender->session, mem, 1, &addr, &slot)) {
			sender->refused++;
			continue;
		}
		sender->wrong += addr != (uint64_t)(uintptr_t)mem;
		for (int i = 0; i < HOLD; i++)
			sender->wrong += __atomic_load_n(&gone, __ATOMIC_SEQ_CST);
		sc_segment_put(sender->session, slot);
		__atomic_store_n(&sender->taken, sender->taken + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Returns how often it was in use. */
static unsigned int come_and_go(struct sc_session *session, struct sender *sender)
{
	unsigned int busy = 0, taken = __atomic_load_n(&sender->taken, __ATOMIC_RELAXED);
	struct sc_segment *segment;
	int err;

	assert_int_equal(sc_register_mem(session, LEN, &segment), 0);
	__atomic_store_n(&sender->mem, sc_segment_mem(segment), __ATOMIC_RELAXED);
	for (int i = 0; i < TRIES && __atomic_load_n(&sender->taken, __ATOMIC_RELAXED) == taken; i++)
		;
	while ((err = sc_deregister_mem(segment)) == -EBUSY)
		if (!(++busy % TRIES))
			(void)sched_yield(); /* it may have no CPU */
	assert_int_equal(err, 0);
	return busy;
}

static void test_never_in_use(void **state)
{
	struct fake *fake = *state;
	struct sender sender = { .session = &fake->taker };
	int64_t end = sc_session_now_ms() + RACE_MS;
	unsigned int rounds = 0, busy = 0;

	fake->group.ops = &ops;
	fake->session.ops = &ops;
	assert_int_equal(pthread_create(&sender.thread, NULL, sender_main, &sender), 0);
	for (; sc_session_now_ms() < end || !__atomic_load_n(&sender.taken, __ATOMIC_RELAXED); rounds++)
		busy += come_and_go(&fake->session, &sender);
	__atomic_store_n(&sender.stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(sender.thread, NULL), 0);
	print_message("%u segments, %u times in use, %u pieces taken, %u refused\n", rounds, busy, sender.taken,
		      sender.refused);
	assert_int_equal(sender.wrong, 0);
	assert_int_equal(fake->group.uses[1].pieces[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_never_in_use, fake_open, fake_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Who wakes whom on a lane of the direct engine: libapp/direct.c against the kernel's poller (io_sq_thread).
 *
 * An application issues REQUESTS requests, at most WINDOW at a time, and sleeps in every way that libapp has: sc_wait with marker or
 * eventfd, or sc_arm and an event loop of its own. A lost wake-up leaves it asleep for ever: Spin calls that an invalid end state.
 *
 * Memory is weaker than x86's: each word that one side writes for the other becomes visible at any later time, in any order, values
 * in between may never do. A full barrier makes all that its side wrote visible.
 *
 * Each define takes one thing away, and tests/model.sh expects the checker to find what that breaks:
 *   NO_BARRIER_B, NO_PARTNER_B, NO_BARRIER_C, NO_PARTNER_C   a barrier of docs/memory-order.md, at libapp or at the kernel
 *   NO_LOOK_B, NO_LOOK_C   the last look before falling asleep: the poller's at the SQ tail, libapp's at the CQ tail
 *   EARLY_IS_FLUSHED   the tail published early counts as one the poller was woken for
 *   MARKER_BY_HEAD     a marker counts as outstanding until the SQ head has passed it
 */
#ifndef REQUESTS
#define REQUESTS 3
#endif
#define WINDOW 2 /* requests unanswered at a time */
#ifndef INTERRUPTS
#define INTERRUPTS 1 /* sleeps that end by a signal or a timeout; a lost wake-up is found after the last */
#endif
#define SQ_ENTRIES 4
#define QUEUE_LONG 2 /* MARKER_QUEUE */

typedef word {
	byte wrote; /* as its writer knows it */
	byte seen;  /* as the other side does */
};

/*
 * Indexes of the SQ are counted from the SQ head that the app sees, so that states which differ only in how often the queue went
 * round are one:  0 <= sq_head <= sq_taken <= sq_tail.seen <= sq_tail.wrote <= sq_next
 */
byte sq_next;	  /* libapp's own: sqe_tail */
word sq_tail;
byte sq_taken;	  /* the poller's own: cached_sq_head */
byte sq_head;	  /* as the poller wrote it */
byte markers;	  /* which SQEs are markers, a bit each; the others are requests */
byte marker_tail; /* behind the last marker, 0 when the head that the app sees is there or further */

/* What lies in the CQ: answers, and whether there are completions of the doorbell's poll. One word, the CQ tail, makes both visible. */
word cq_answers, cq_bells;

word events_on; /* CQ flags: not EVENTFD_DISABLED */
word need_wakeup;

/* Not shared memory: the kernel's own, ordered by its locks. */
bool edge;		  /* the completion eventfd, in libapp's epoll set */
bool bell;		  /* the doorbell was written: task work of the poller */
byte on_network, arrived; /* requests that wait for the network; task work of the poller */

bool all_answered;

inline visible(var)
{
	var.seen = var.wrote
}

inline sq_head_visible()
{
	sq_next = sq_next - sq_head;
	sq_tail.wrote = sq_tail.wrote - sq_head;
	sq_tail.seen = sq_tail.seen - sq_head;
	sq_taken = sq_taken - sq_head;
	markers = markers >> sq_head;
	marker_tail = (marker_tail > sq_head -> marker_tail - sq_head : 0);
	sq_head = 0
}

inline cq_visible()
{
	visible(cq_answers);
	visible(cq_bells)
}

inline app_barrier()
{
	visible(sq_tail);
	visible(events_on)
}

inline poller_barrier()
{
	sq_head_visible();
	cq_visible();
	visible(need_wakeup)
}

#define cq_moved (cq_answers.seen != cq_answers.wrote || cq_bells.seen != cq_bells.wrote)

active proctype memory()
{
end:	do
	:: d_step { sq_tail.seen != sq_tail.wrote -> visible(sq_tail) }
	:: d_step { events_on.seen != events_on.wrote -> visible(events_on) }
	:: d_step { sq_head > 0 -> sq_head_visible() }
	:: d_step { cq_moved -> cq_visible() }
	:: d_step { need_wakeup.seen != need_wakeup.wrote -> visible(need_wakeup) }
	od
}

active proctype network()
{
end:	do
	:: d_step { on_network > 0 -> on_network--; arrived++ }
	od
}

/* ---- the application ---- */

#define ready (cq_answers.seen > 0 || cq_bells.seen)
#ifdef NO_LOOK_C
#define ready_at_last false
#else
#define ready_at_last ready
#endif
#define sq_room (sq_next < SQ_ENTRIES)
#define queue_long (sq_next >= QUEUE_LONG)

inline sqe_add(marker)
{
	markers = markers | (marker << sq_next);
	sq_next++;
	unflushed = true
}

/* lane_submit */
inline submit()
{
	if
	:: unflushed ->
		d_step {
			sq_tail.wrote = sq_next;
			unflushed = false;
#ifndef NO_BARRIER_B
			app_barrier()
#endif
		};
		if
		:: need_wakeup.seen -> bell = true
		:: else
		fi
	:: else
	fi
}

inline events_enable()
{
	d_step {
		events_on.wrote = true;
#ifndef NO_BARRIER_C
		app_barrier()
#endif
	}
}

/* wakeups_take */
inline edge_take()
{
	edge = false;
	marker_pending = false
}

#ifdef MARKER_BY_HEAD
#define marker_ahead (marker_tail > 0)
#define marker_set() marker_tail = sq_next
#else
#define marker_ahead marker_pending
#define marker_set() marker_pending = true
#endif

/* wake_arrange, marker_set */
inline wake_arrange()
{
	if
	:: queue_long && marker_ahead
	:: queue_long && !marker_ahead && sq_room ->
		d_step {
			sqe_add(1);
			marker_set()
		}
	:: queue_long && !marker_ahead && !sq_room || !queue_long ->
		events_enable();
		may_sleep = !ready_at_last
	fi
}

active proctype app()
{
	byte left = REQUESTS, waiting, interrupts = INTERRUPTS;
	bool unflushed, marker_pending, may_sleep;

serve:	do
	:: left > 0 && waiting < WINDOW && sq_room ->
		atomic {
			sqe_add(0);
			left--;
			waiting++;
			if
			:: sq_tail.wrote = sq_next; /* sc_conn_want */
#ifdef EARLY_IS_FLUSHED
				unflushed = false
#endif
			:: true
			fi
		}
	:: unflushed -> submit() /* sc_poll */
	:: waiting > 0 -> goto wait
	:: waiting > 0 -> goto arm
	:: left == 0 && waiting == 0 -> goto done
	od;

	/* sc_wait: direct_wait */
wait:	submit();
	if
	:: ready -> goto reap
	:: queue_long || !ready -> may_sleep = true
	fi;
	wake_arrange();
	if
	:: may_sleep ->
		submit(); /* the marker */
		if
		:: d_step { edge -> edge_take() }
		:: interrupts > 0 -> interrupts--
		fi
	:: else
	fi;
	events_on.wrote = false;
	goto reap;

	/* sc_arm: direct_arm; the sleep in the caller's epoll; sc_poll */
arm:	submit();
	d_step {
		if
		:: edge -> edge_take()
		:: else
		fi
	};
	events_enable();
	if
	:: ready_at_last
	:: else ->
		if
		:: edge /* seen, not taken */
		:: interrupts > 0 -> interrupts--
		fi
	fi;
	events_on.wrote = false;

reap:	do
	:: ready ->
		atomic {
			if
			:: cq_bells.seen -> cq_bells.seen = false; cq_bells.wrote = false
			:: cq_answers.seen > 0 ->
				assert(waiting > 0);
				waiting--;
				cq_answers.seen--;
				cq_answers.wrote--
			fi;
			if
			:: true
			:: goto serve /* the caller's array is full */
			fi
		}
	:: else -> goto serve
	od;

done:	all_answered = true
}

/* ---- the kernel ---- */

/* io_commit_cqring, io_cqring_wake */
inline post_end()
{
	unsignalled = true;
#ifndef NO_PARTNER_C
	poller_barrier()
#endif
}

/* io_eventfd_signal */
inline signal()
{
	d_step {
		if
		:: events_on.seen && unsignalled -> unsignalled = false; edge = true
		:: else
		fi
	}
}

inline post_done()
{
	d_step {
		cq_answers.wrote = cq_answers.wrote + done;
		done = 0;
		post_end()
	};
	signal()
}

#define marker_next (markers & (1 << sq_taken))

active proctype poller()
{
	byte cnt, done;
	bool unsignalled; /* the CQ tail has moved since the last signal */

	do
	:: atomic {
		sq_tail.seen != sq_taken ->
			cnt = sq_tail.seen - sq_taken;
			do /* rings that share a poller take turns: not all at once */
			:: cnt > 1 -> cnt--
			:: break
			od
		};
		do
		:: cnt > 0 ->
			atomic {
				if
				:: marker_next -> edge = true
				:: !marker_next -> done++
				:: !marker_next -> on_network++
				fi;
				sq_taken++;
				cnt--
			};
			if
			:: done > 0 -> post_done()
			:: true
			fi
		:: else -> break
		od;
		if
		:: done > 0 -> post_done()
		:: else
		fi;
		sq_head = sq_taken
	:: d_step { bell -> bell = false; cq_bells.wrote = true; post_end() };
		signal()
	:: d_step { arrived > 0 -> arrived--; cq_answers.wrote++; post_end() };
		signal()
	:: else -> /* idle for long enough */
		d_step {
			need_wakeup.wrote = true;
#ifndef NO_PARTNER_B
			poller_barrier()
#endif
		};
		if
#ifndef NO_LOOK_B
		:: sq_tail.seen != sq_taken
#endif
		:: else ->
end_asleep:		(bell || arrived > 0)
		fi;
		need_wakeup.wrote = false
	od
}

#ifdef PROGRESS
ltl progress { <> all_answered }
#endif

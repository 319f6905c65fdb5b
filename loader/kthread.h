/* SPDX-License-Identifier: MIT */
/* Kernel threads and other processes, found by name. */
#ifndef SC_LOADER_KTHREAD_H
#define SC_LOADER_KTHREAD_H

#include <sched.h>
#include <stdbool.h>

/*
 * Gives the threads that take packets out of a CPU map SCHED_FIFO at the lowest priority: a poller spins on the same CPU,
 * and beside it a thread of normal priority waits for its share. May wait up to 1 s for a thread to appear. 0; -ESRCH:
 * no such thread is visible here; else -errno.
 */
int sc_kthread_set_fifo(int cpus_fd, const cpu_set_t *set);

/* Scheduling policy of the thread of one CPU's entry. -ESRCH: not visible here; else SCHED_..., or -errno. */
int sc_kthread_policy(int cpus_fd, int cpu);

/* Whether a poller of an io_uring (iou-sqp-PID) is bound to that CPU alone. */
bool sc_kthread_poller_on(int cpu);

/* Whether it is a kernel thread whose name begins so: any user may give a process of its own such a name. */
bool sc_kthread_is(int pid, const char *prefix);

/* Whether a process of that name runs here. */
bool sc_process_exists(const char *name);

#endif

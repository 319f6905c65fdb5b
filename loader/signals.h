/* SPDX-License-Identifier: MIT */
/* Requests to end, kept back until they can be honoured: a change is finished, or taken back. */
#ifndef SC_LOADER_SIGNALS_H
#define SC_LOADER_SIGNALS_H

/*
 * Ctrl-C, a terminal that goes and the like end the process no more; sc_signals_wait() tells of them. Nor does a pipe
 * that nobody reads any more: writing to it fails.
 */
void sc_signals_hold(void);

/* Waits. 0: the time is over; else the signal that came, also before. */
int sc_signals_wait(double seconds);

#endif

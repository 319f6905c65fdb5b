/* SPDX-License-Identifier: MIT */
/* One line per event on standard error. */
#ifndef RINGSVC_LOG_H
#define RINGSVC_LOG_H

enum sc_log_level { SC_LOG_ERROR, SC_LOG_INFO, SC_LOG_DEBUG };

/* Lines above this level are not printed. */
void sc_log_set_level(enum sc_log_level level);

/* Prints "sidecore-ringsvc: ..." and a newline; errno is kept. */
__attribute__((format(printf, 2, 3))) void sc_log(enum sc_log_level level, const char *format, ...);

#define sc_error(...) sc_log(SC_LOG_ERROR, __VA_ARGS__)
#define sc_info(...)  sc_log(SC_LOG_INFO, __VA_ARGS__)
#define sc_debug(...) sc_log(SC_LOG_DEBUG, __VA_ARGS__)

#endif

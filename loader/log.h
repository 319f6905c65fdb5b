/* SPDX-License-Identifier: MIT */
/* What the user reads: one line per message on stderr, results on stdout. */
#ifndef SC_LOADER_LOG_H
#define SC_LOADER_LOG_H

/* Form: "object: reason; next step". errno is preserved. */
void sc_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void sc_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Tells on stdout what was done, unless stdout is for JSON. */
void sc_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void sc_log_json(void);

/* Takes libbpf's messages over: hidden unless verbose, but the kernel's own words are kept. Call before any libbpf call. */
void sc_log_init(void);
void sc_log_verbose(void);

/* What the kernel said beside errno (netlink's extack) since the last call of sc_log_forget; "" if nothing. */
const char *sc_log_kernel_words(void);
void sc_log_forget(void);

#endif

/* SPDX-License-Identifier: MIT */
/* Whether and when SYNs of an interface are answered with SYN cookies. */
#ifndef SC_LOADER_COOKIES_H
#define SC_LOADER_COOKIES_H

#include <jansson.h>
#include <sched.h>
#include <stdbool.h>

#include "pins.h"
#include "place.h"

struct sc_cookies {
	bool on; /* in flood, if rule.rate is not 0, or always */
	struct sc_syn rule;
	cpu_set_t flooded; /* CPUs that are under a flood now, if there is a rate */
};

/* "off", "auto" or "on". */
const char *sc_cookies_mode(const struct sc_cookies *cookies);

/* Take "auto", "on" or "off"; a rate; the largest MSS. NULL, or what is wrong in a static buffer. */
const char *sc_cookies_take_mode(struct sc_cookies *cookies, const char *text);
const char *sc_cookies_take_rate(struct sc_cookies *cookies, const char *text);
const char *sc_cookies_take_mss(struct sc_cookies *cookies, const char *text);

/* 0 or -errno. */
int sc_cookies_read(const struct sc_pins *pins, struct sc_cookies *ret_cookies);

/* Writes the rule with the device's MAC address in the place of its own: due before programs run that obey it. Says why not. 0 or -errno. */
int sc_cookies_write_rule(const struct sc_place *place, const struct sc_pins *pins, const struct sc_syn *rule);

/*
 * Makes it as in *cookies for the next packet. Says why it fails. 0 or
 * -errno.
 */
int sc_cookies_write(const struct sc_place *place, struct sc_pins *pins, const struct sc_cookies *cookies);

/* Both without the interface's name: a line of text, and an object. */
void sc_cookies_text(const struct sc_cookies *cookies);
json_t *sc_cookies_json(const struct sc_cookies *cookies);

#endif

// SPDX-License-Identifier: MIT
// Command detach: takes the programs off an interface and removes its pins.
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "caps.h"
#include "cli.h"
#include "log.h"
#include "pins.h"
#include "place.h"
#include "report.h"
#include "target.h"
#include "tuning.h"

/* Also what another version attached: its link has the same name. */
static int detach(const struct sc_place *place)
{
	struct sc_pins pins;
	int err;

	err = sc_pins_open(&pins, place->dir);
	if (err == -ENOENT) {
		sc_target_say_absent(place);
		/* An attach that was killed may have left pins without a link. */
		(void)sc_place_remove_dir(place);
		return err;
	}
	sc_pins_close(&pins);
	/* What could not be put back was said, and is no reason to stay. */
	(void)sc_tuning_restore(place);
	err = sc_place_remove_dir(place);
	if (err)
		sc_error("%s: cannot remove: %s; remove the files in it", place->dir, strerror(-err));
	return err;
}

int sc_cmd_detach(int argc, char **argv)
{
	static struct sc_target target = {
		.doc = "Stops steering on IF: packets go the stack's own way again.",
		.takes_json = true,
	};
	struct sc_place place;
	int err;

	sc_target_parse(&target, argc, argv);
	if (sc_caps_limit() || sc_place_open(&place, target.common.bpffs, target.ifname))
		return SC_EXIT_FAILURE;
	err = detach(&place);
	if (!err)
		err = sc_report_done(place.ifname, "detached", target.json);
	sc_place_close(&place);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

// SPDX-License-Identifier: MIT
// Command confirm: keeps a change that would be taken back otherwise.
#include <errno.h>
#include <string.h>

#include "cli.h"
#include "log.h"
#include "pending.h"
#include "report.h"
#include "target.h"

int sc_cmd_confirm(int argc, char **argv)
{
	static struct sc_target target = {
		.doc = "Keeps what attach or upgrade with --rollback-after did to IF.",
		.takes_json = true,
	};
	struct sc_place place;
	struct sc_pins pins;
	int err;

	sc_target_parse(&target, argc, argv);
	if (sc_target_open(&target, &place, &pins))
		return SC_EXIT_FAILURE;
	err = sc_pending_confirm(&place);
	if (!err)
		err = sc_report_done(place.ifname, "confirmed", target.json);
	else if (err == -ENOENT)
		sc_error("%s: nothing waits to be confirmed; see sidecore-loader status %s", place.ifname,
			 place.ifname);
	else
		sc_error("%s: cannot confirm: %s; run it as the user who attached it", place.dir, strerror(-err));
	sc_target_close(&place, &pins);
	return err ? SC_EXIT_FAILURE : SC_EXIT_OK;
}

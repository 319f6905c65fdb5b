// SPDX-License-Identifier: MIT
// sidecore-loader: attaches the steering programs to a network device and tends their pinned maps.
#include "cli.h"
#include "log.h"

static const struct sc_command commands[] = {
	{ "attach", "steer an interface's packets to dedicated CPUs, or change how", sc_cmd_attach },
	{ "upgrade", "exchange the programs, and go back if steering suffers", sc_cmd_upgrade },
	{ "confirm", "keep a change that would be taken back", sc_cmd_confirm },
	{ "detach", "stop steering on an interface", sc_cmd_detach },
	{ "status", "show what is attached, services and counters", sc_cmd_status },
	{ "stats", "measure rates by reason, service and CPU", sc_cmd_stats },
	{ "top", "show the rates live", sc_cmd_top },
	{ "monitor", "show samples of the packets, and what became of them", sc_cmd_monitor },
	{ "cpus", "change the dedicated CPUs of an attached interface", sc_cmd_cpus },
	{ "service", "add, delete or list the services that are steered", sc_cmd_service },
	{ "features", "try what this kernel and a device can", sc_cmd_features },
	{ "doctor", "find what is wrong with this machine or an interface", sc_cmd_doctor },
	{ "deny", "add to, delete from, show or replace the list of sources that are dropped", sc_cmd_deny },
	{ "allow", "the same for exceptions to that list", sc_cmd_allow },
	{ "screen", "drop bad packets, IP options and fragments; name ports that are never dropped", sc_cmd_screen },
	{ "syn", "switch the answering of SYN floods with SYN cookies", sc_cmd_syn },
	{ "limit", "limit packets or new connections per service and per source", sc_cmd_limit },
	{ "clean", "remove what vanished interfaces and namespaces left behind", sc_cmd_clean },
	{ "completions", NULL, sc_cmd_completions },
	{ "manual", NULL, sc_cmd_manual },
	{ 0 },
};

int main(int argc, char **argv)
{
	sc_log_init();
	return sc_cli_dispatch(commands, SC_PROGRAM, "Steers packets of services to dedicated CPUs by XDP.", argc,
			       argv);
}

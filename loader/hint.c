// SPDX-License-Identifier: MIT
// One table of refusals: step, errno, words of the kernel, and the next step for the user.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hint.h"
#include "log.h"
#include "pins.h"

static const char *const step_names[] = {
	[SC_STEP_LOAD] = "cannot load the BPF programs",
	[SC_STEP_ATTACH_NATIVE] = "cannot attach in native mode",
	[SC_STEP_ATTACH_SKB] = "cannot attach in skb mode",
	[SC_STEP_PIN] = "cannot pin",
	[SC_STEP_MAPS] = "cannot fill the maps",
	[SC_STEP_LISTS] = "cannot change the lists",
	[SC_STEP_SWAP] = "cannot exchange the programs",
};

/* First match counts; words NULL matches any; err 0 ends with a hint for the step as a whole. */
static const struct {
	enum sc_step step;
	int err;
	const char *words;
	const char *hint;
} hints[] = {
	{ SC_STEP_LOAD, EPERM, NULL, "run it as root outside a user namespace; kernel lockdown must be off" },
	{ SC_STEP_LOAD, EACCES, NULL, "the verifier refused: run again with --verbose and report its log" },
	{ SC_STEP_LOAD, 0, NULL,
	  "the kernel must be 6.12 or newer with BTF: run again with --verbose for libbpf's words" },
	{ SC_STEP_ATTACH_NATIVE, EOPNOTSUPP, "LRO", "run ethtool -K IF lro off gro-hw off, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, EOPNOTSUPP, "CSUM", "run ethtool -K IF lro off gro-hw off rx off, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, EOPNOTSUPP, NULL, "the driver has no native XDP: use --mode skb or --mode auto" },
	{ SC_STEP_ATTACH_NATIVE, ERANGE, "Peer MTU", "lower the MTU of its peer, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, ERANGE, NULL, "lower the MTU of it or its peer, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, ENOSPC, "rx queues",
	  "run ethtool -L IF rx N with N not below its peer's tx queues, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, ENOSPC, NULL, "lower the number of channels by ethtool -L, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, ENOMEM, "TX ring", "give it a queue pair for each CPU, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, ENOMEM, NULL, "free queues by ethtool -L IF combined N, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, EINVAL, "MTU", "lower its MTU, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, EINVAL, "any_header_sg", "the hypervisor is too old for it: use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, EINVAL, NULL,
	  "lower the MTU or the number of channels (ethtool -L), switch LRO off, or use --mode skb" },
	{ SC_STEP_ATTACH_NATIVE, ENOTCONN, NULL, "its peer is gone: make the veth pair anew" },
	{ SC_STEP_ATTACH_NATIVE, EBUSY, NULL, "another XDP program is there: remove it by its own tool" },
	{ SC_STEP_ATTACH_NATIVE, EEXIST, NULL, "another XDP program is there: remove it by its own tool" },
	{ SC_STEP_ATTACH_NATIVE, 0, NULL, "try --mode auto" },
	{ SC_STEP_ATTACH_SKB, EBUSY, NULL, "another XDP program is there: remove it by its own tool" },
	{ SC_STEP_ATTACH_SKB, EEXIST, NULL, "another XDP program is there: remove it by its own tool" },
	{ SC_STEP_ATTACH_SKB, 0, NULL, "look at dmesg for the kernel's words" },
	{ SC_STEP_PIN, EEXIST, NULL, "run sidecore-loader clean, then attach again" },
	{ SC_STEP_PIN, 0, NULL, "check who may write to the bpffs, or choose another by --bpffs" },
	{ SC_STEP_MAPS, ENOMEM, NULL, "free memory, or attach with fewer CPUs" },
	{ SC_STEP_MAPS, ENOENT, NULL, "a limit is of a service that is not there: name it by --service too" },
	{ SC_STEP_MAPS, ENOSPC, NULL, "256 services are the limit: delete one first" },
	{ SC_STEP_MAPS, 0, NULL, "detach, then attach again" },
	{ SC_STEP_LISTS, EPERM, NULL, "run it as root outside a user namespace" },
	{ SC_STEP_LISTS, ENOMEM, NULL, "free memory, or join prefixes" },
	{ SC_STEP_LISTS, ENOSPC, NULL,
	  "200000 addresses and 200000 shorter prefixes on both lists are the limit: join some, or delete them" },
	{ SC_STEP_LISTS, 0, NULL, "detach, then attach again" },
	{ SC_STEP_SWAP, EPERM, NULL, "run it as root outside a user namespace, with kernel lockdown off" },
	{ SC_STEP_SWAP, ENOLINK, NULL, "its device is gone: run sidecore-loader clean" },
	{ SC_STEP_SWAP, 0, NULL, "detach, then attach again" },
};

_Static_assert(SC_STEER_SERVICES_MAX == 256 && SC_STEER_LIST_MAX == 200000, "limits in the hints");

const char *sc_hint_fix(enum sc_step step, int err)
{
	size_t i;

	for (i = 0; i < sizeof(hints) / sizeof(hints[0]) - 1; i++) {
		if (hints[i].step != step || (hints[i].err && hints[i].err != -err))
			continue;
		if (!hints[i].words || strstr(sc_log_kernel_words(), hints[i].words))
			break;
	}
	return hints[i].hint;
}

/* With the object's name where the hint says IF. */
static const char *name_object(const char *hint, const char *object)
{
	static char text[512];
	const char *place = strstr(hint, " IF ");

	if (!place)
		return hint;
	snprintf(text, sizeof(text), "%.*s %s %s", (int)(place - hint), hint, object, place + strlen(" IF "));
	return text;
}

const char *sc_hint_reason(int err)
{
	static char reason[512];
	const char *words = sc_log_kernel_words();

	snprintf(reason, sizeof(reason), words[0] ? "%s (%s)" : "%s", strerror(-err), words);
	return reason;
}

void sc_hint_error(const char *object, enum sc_step step, int err)
{
	sc_error("%s: %s: %s; %s", object, step_names[step], sc_hint_reason(err),
		 name_object(sc_hint_fix(step, err), object));
}

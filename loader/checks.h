/* SPDX-License-Identifier: MIT */
/* What would break a user although everything attached well, and what would keep it from attaching. */
#ifndef SC_LOADER_CHECKS_H
#define SC_LOADER_CHECKS_H

#include "device.h"
#include "diagnosis.h"
#include "pins.h"
#include "place.h"

/* What attach warns of, a line each, with the command that helps. */
void sc_checks_warn(const struct sc_place *place, enum sc_mode mode);

/* What syn warns of, the same way. */
void sc_checks_warn_cookies(const struct sc_place *place, const struct sc_pins *pins);

/* Offloads that lose a packet's checksum or tag on its way through the CPU map. For native mode. */
void sc_checks_offloads(const struct sc_place *place, struct sc_diagnosis *diagnosis);

/* What answering with SYN cookies rests on, if it is on. */
void sc_checks_cookies(const struct sc_place *place, const struct sc_pins *pins, enum sc_mode mode,
		       struct sc_diagnosis *diagnosis);

/* irqbalance. */
void sc_checks_daemons(struct sc_diagnosis *diagnosis);

/* Kernel, BTF, rights, BPF file system. false: without these nothing else can be looked at. */
bool sc_checks_basics(const char *bpffs, struct sc_diagnosis *diagnosis);

/* Whether the kernel takes the programs, and sysctls. Needs the rights. */
void sc_checks_kernel(struct sc_diagnosis *diagnosis);

/* Driver, queues, MTU, offloads of one device, attached (mode as it is) or not (SC_MODE_UNSET). */
void sc_checks_device(const struct sc_place *place, enum sc_mode mode, struct sc_diagnosis *diagnosis);

/* The dedicated CPUs of an attached interface: online, active, their threads, and what else runs there. */
void sc_checks_cpus(const struct sc_place *place, const struct sc_pins *pins, struct sc_diagnosis *diagnosis);

/* Interrupts and RPS of an attached interface, changes that wait to be confirmed, and what a killed monitor left. */
void sc_checks_tuning(const struct sc_place *place, const struct sc_pins *pins, struct sc_diagnosis *diagnosis);

#endif

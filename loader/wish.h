/* SPDX-License-Identifier: MIT */
/* Whether something is to be on. */
#ifndef SC_LOADER_WISH_H
#define SC_LOADER_WISH_H

enum sc_wish {
	SC_WISH_NONE, /* first attach: off; later: as it is */
	SC_WISH_OFF,
	SC_WISH_ON,
};

#endif

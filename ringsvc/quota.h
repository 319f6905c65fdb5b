/* SPDX-License-Identifier: MIT */
/* How much trouble of a user's engines is told: the first few failures in a while, of the others only the number. */
#ifndef RINGSVC_QUOTA_H
#define RINGSVC_QUOTA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum sc_quota_size {
	SC_QUOTA_TOLD = 5, /* per user in */
	SC_QUOTA_MS = 10000,
	SC_QUOTA_USERS = 16, /* at a time; further ones share a place */
};

/* Stands for the users that found no place of their own. */
#define SC_QUOTA_OTHERS ((uid_t)-1)

struct sc_quota_place {
	uint64_t end_ms; /* 0: free */
	uid_t uid;
	unsigned int told;
	unsigned int untold;
};

/* All zero at first. */
struct sc_quota {
	struct sc_quota_place places[SC_QUOTA_USERS + 1];
};

/* May this failure be told? It is counted. */
bool sc_quota_admit(struct sc_quota *quota, uid_t uid, uint64_t now_ms);

/* Takes the number of one user's failures that were not told, once its time is over. False: none is due. */
bool sc_quota_take_due(struct sc_quota *quota, uint64_t now_ms, uid_t *ret_uid, unsigned int *ret_untold);

/* ms until sc_quota_take_due has something, -1 if it will not. */
int sc_quota_timeout_ms(const struct sc_quota *quota, uint64_t now_ms);

#endif

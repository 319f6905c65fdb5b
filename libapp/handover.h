/* SPDX-License-Identifier: MIT */
/* Handing a connection to the lane of another session of the group. */
#ifndef LIBAPP_HANDOVER_H
#define LIBAPP_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "lane.h"

enum parcel_state {
	PARCEL_OPEN, /* the giver may still send, until its next poll; on the lane's list */
	PARCEL_SEALED, /* waits for the last completion, or for that of the handing over */
	PARCEL_BACK, /* it failed: what was kept is to be told to the giver; on the lane's list */
	PARCEL_POSTED, /* in the taker's mailbox, then on its lane's list */
};

/* A connection on its way, and what it brings along. */
struct parcel {
	struct parcel *next; /* of the mailbox, or of the lane's list */
	enum parcel_state state;
	unsigned int to; /* lane of the taker, by number */
	struct sc_conn *conn; /* the giver's; when posted the taker's, once there is an entry for it */
	bool asked; /* OP_GIVE wanted, in flight or done */
	bool by_jobs; /* that is how the giver received before */
	int err; /* why the giver must keep it */

	/* what the taker finds */
	void *data;
	int file;
	bool send_ended, send_broke, broken, shut, recv_shut, high;
	uint8_t zerocopy_mode;
	bool ended; /* nothing more will be received after the bytes */
	int end; /* as 0 or -errno */
	size_t len, told;
	char *bytes; /* received and not told of */
};

void sc_handover_prep(struct sc_conn *conn, struct io_uring_sqe *sqe);
void sc_handover_complete(struct sc_conn *conn, int res, struct sink *sink);
/* Something the connection had asked for has ended: hands it over if that was the last. */
void sc_handover_step(struct sc_conn *conn);
/* The connection is being closed: what was brought along and not told is dropped. */
void sc_handover_drop(struct sc_conn *conn);

/* The others' messages. */
void sc_handover_mail(struct lane *lane);
/* A message to the lane of that number did not get there. */
void sc_handover_untold(struct lane *lane, unsigned int number, int err);
/* Messages that found no room in the queue. */
void sc_handover_fill(struct lane *lane);

/* Goes on with the lane's parcels, by way of the session's store: not while events are being collected. */
void sc_handover_turn(struct lane *lane);
/* The same with the connection's. 0, -ENOBUFS with a reason: not all could be told. */
int sc_handover_settle(struct sc_conn *conn);

/* Frees parcels that will not be told. */
void sc_handover_exit(struct lane *lane);
void sc_parcels_free(struct parcel *parcel);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settle.h: what two nodes do when they meet, decided from their two HELLOs alone.  Pure;
 * both nodes evaluate it and come to matching verdicts.
 */
#ifndef DRBDX_BACKEND_SETTLE_H
#define DRBDX_BACKEND_SETTLE_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/wire.h"

enum settle_verdict {
	SETTLE_KEEP,	   /* nothing to change here */
	SETTLE_ADOPT,	   /* take {NONE, the peer's epoch and base} */
	SETTLE_GIVE_AGAIN, /* the token is on its way to the partner: send GIVE again once connected */
	/* a new pair: create the generation (or keep the unused one), tell the partner by PAIR */
	SETTLE_PAIR_LEAD,
	SETTLE_PAIR_FOLLOW, /* a new pair: wait for PAIR */
	SETTLE_REFUSE,	    /* the two may not replicate; `why` says the reason and the way out */
};

struct settle_side {
	const char *host;
	const struct packet_hello *hello;
	bool first;
};

enum settle_verdict settle(const struct settle_side *self, const struct settle_side *peer, char *why,
			   size_t why_size);

/* What both can offer: of each property the lesser. */
void settle_features(const struct features *a, const struct features *b, struct features *out);
bool settle_features_cover(const struct features *offer, const struct features *agreed);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settle.h: what two nodes do when they meet, decided from their two HELLOs alone.  Pure;
 * both nodes evaluate it and come to matching verdicts.  Whose data are newer is generation.h's part of it.
 */
#ifndef DRBDX_BACKEND_SETTLE_H
#define DRBDX_BACKEND_SETTLE_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/generation.h"
#include "backend/wire.h"

enum settle_verdict {
	SETTLE_KEEP,  /* the token and its epoch stay as they are here */
	SETTLE_ADOPT, /* take {NONE, the peer's epoch and base} */
	/* split brain, decided: both hold the token, and this node's data stay. Its epoch becomes higher than the partner's. */
	SETTLE_RAISE,
	/* a new pair, or a new disk for an old one: agree on generation and features, tell the partner by PAIR */
	SETTLE_PAIR_LEAD,
	SETTLE_PAIR_FOLLOW, /* wait for PAIR */
	SETTLE_REFUSE,	    /* the two may not replicate; `why` says the reason and the way out */
};

struct settle_side {
	const char *host;
	const struct packet_hello *hello;
	bool first;
};

/* Who has the token, and in *data whose data count; with SETTLE_REFUSE *data tells what a handler should know. `resource` is for the words. */
enum settle_verdict settle(const char *resource, const struct settle_side *self, const struct settle_side *peer,
			   struct generation_decision *data, char *why, size_t why_size);

/* A disk was given up when its node believed in the partner's, and that one is not good, or was given up at the same moment: whose is taken
 * back, which comes before anything else. NULL: that is not so, or the disk is broken. */
const struct settle_side *settle_returning(const struct settle_side *self, const struct settle_side *peer);

/* The epoch of SETTLE_RAISE, and of the partner's SETTLE_ADOPT then. */
uint64_t settle_raised(const struct packet_hello *a, const struct packet_hello *b);

/* What both can offer: of each property the lesser. */
void settle_features(const struct features *a, const struct features *b, struct features *out);
/* In which units a guest may be offered discards, as a power of two in bytes: both can, in the larger of the two. 0: not. */
uint8_t settle_discard_unit(const struct features *a, const struct features *b);
/* And secure ones: both disks can erase what was there. 1 or 0. */
uint8_t settle_discard_secure(const struct features *a, const struct features *b);
bool settle_features_cover(const struct features *offer, const struct features *agreed);

#endif

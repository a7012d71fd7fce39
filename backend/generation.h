/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generation.h: whose data is newer when two nodes meet: one pure decision, the same on both.
 *
 * The meaning of the four numbers and the order of the rules are DRBD's, so that its policies (after-sb-*)
 * mean here what its users know; where there is one writer and no dual-primary, fewer cases are left
 * (docs/PROTOCOL.md, section 7).
 */
#ifndef DRBDX_BACKEND_GENERATION_H
#define DRBDX_BACKEND_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/metadata.h"

/* Values as in drbd.conf; the numbers travel in HELLO. discard-local and -remote are of the node that reads
 * its own file, so they are made absolute before (to DISCARD_FIRST or _SECOND: the node with the lower
 * address is the first). A policy that is not the same on both nodes counts as disconnect. */
/* clang-format off */
enum after_sb_0pri {
	AFTER_SB_0PRI_DISCONNECT, AFTER_SB_0PRI_DISCARD_YOUNGER_PRIMARY, AFTER_SB_0PRI_DISCARD_OLDER_PRIMARY,
	AFTER_SB_0PRI_DISCARD_ZERO_CHANGES, AFTER_SB_0PRI_DISCARD_LEAST_CHANGES, AFTER_SB_0PRI_DISCARD_FIRST,
	AFTER_SB_0PRI_DISCARD_SECOND, AFTER_SB_0PRI_COUNT
};
enum after_sb_1pri {
	AFTER_SB_1PRI_DISCONNECT, AFTER_SB_1PRI_CONSENSUS, AFTER_SB_1PRI_DISCARD_SECONDARY,
	AFTER_SB_1PRI_CALL_PRI_LOST, AFTER_SB_1PRI_VIOLENTLY, AFTER_SB_1PRI_COUNT
};
enum after_sb_2pri {
	AFTER_SB_2PRI_DISCONNECT, AFTER_SB_2PRI_CALL_PRI_LOST, AFTER_SB_2PRI_VIOLENTLY, AFTER_SB_2PRI_COUNT
};
/* clang-format on */
struct after_sb {
	enum after_sb_0pri zero;
	enum after_sb_1pri one;
	enum after_sb_2pri two;
	bool always;
};

/* One node as its HELLO tells it. Both nodes must decide from the same two HELLOs, never from what has
 * changed here since ours was sent, or they come to different verdicts. */
struct generation_side {
	const char *host; /* for the words */
	/* of a node without a disk: of the data that its guest saw last, the partner's; current 0 if it saw
	 * none */
	struct generations gen;
	uint32_t flags;	      /* SB_* */
	bool diskless;	      /* its disk failed or is detached: can be neither source nor target */
	bool primary;	      /* a guest that may go on is attached here with the token */
	bool first;	      /* the node with the lower address; exactly one side */
	bool discard_my_data; /* the user said so (connect --discard-my-data) */
	uint64_t bits;	      /* blocks marked out of sync on this node */
	uint64_t since;	      /* epoch in which it was Primary last: the higher one became Primary later */
	struct after_sb policy;
};

enum sync_verdict {
	SYNC_NONE,   /* the same data, or nothing can be copied and nothing need be: the disk that is there is
			good */
	SYNC_SOURCE, /* the partner gets what the bits of both say */
	SYNC_TARGET,
	SYNC_SOURCE_FULL, /* the partner gets everything; the caller marks it (full_from = 0) */
	SYNC_TARGET_FULL,
	SYNC_SPLIT_BRAIN, /* both changed their data, and no policy decides */
	SYNC_UNRELATED,	  /* never the same data, or so long ago that nobody knows */
	SYNC_UNUSABLE,	  /* the newest data is on no disk that may be a source */
	SYNC_VERDICT_COUNT
};

static inline bool sync_is_source(enum sync_verdict v)
{
	return v == SYNC_SOURCE || v == SYNC_SOURCE_FULL;
}

static inline bool sync_is_target(enum sync_verdict v)
{
	return v == SYNC_TARGET || v == SYNC_TARGET_FULL;
}

/*
 * primary_loses: the target is Primary, and its guest has seen data that the source does not have (it wrote
 * them alone, or the source was promoted by force and went on without it).  That guest must never read the
 * source's data as its own: it would find a disk that changed under it.  So, whatever led to the verdict, both nodes
 * refuse the connection, in the words given, and no superblock is written; when the guest is gone the two meet
 * again.  The node that loses runs pri-lost-after-sb with call_pri_lost (after-sb-1pri or -2pri said so), pri-lost with rr-conflict
 * call-pri-lost.
 */
struct generation_decision {
	enum sync_verdict verdict;
	bool split_brain; /* there was one: initial-split-brain is run; if decided, the target loses what it
			     wrote alone */
	bool primary_loses;
	bool call_pri_lost;
	unsigned int rule; /* of docs/PROTOCOL.md's table, for the log */
};

/* `why` gets words, the same on both: what was found, what follows, and for SPLIT_BRAIN, UNRELATED, UNUSABLE
 * the way out, in which `resource` is named. Property: swapping the sides mirrors the verdict. */
struct generation_decision generation_compare(const char *resource, const struct generation_side *self,
					      const struct generation_side *peer, char *why, size_t why_size);

/* The steps that a node's generations take; `fresh` is a new random number, not 0. */

/* Before a write completes that the partner lacks, and at a promotion by force. `settling`: NULL, or, if the
 * connection was lost after a verdict that made us the source and before READY, the partner's generations in
 * that HELLO: it may still be there, or at ours. */
void generation_alone(struct generations *g, uint64_t fresh, const struct generations *settling);
/* The target, durably before READY (with CONSISTENT cleared): what the source will have after READY. */
void generation_become_target(struct generations *g, const struct generations *source);
/* The source, after READY: the partner is no longer elsewhere. */
void generation_met(struct generations *g);

const char *sync_verdict_name(enum sync_verdict v);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detach.c: our disk is given up: by a person (detach), because it failed (on-io-error), or because it hangs (hang.c).
 *
 *   attached ──┬─ a person's word ─────────> detached ──┬── the two meet without it ──> out [take_data]
 *      ^       └─ it fails, or hangs ──> detached, broken ──┘                            until a new daemon opens it
 *      │                                    │
 *      └───── not broken, and the partner cannot take its place after all: [disk_return]
 *               - it has given its own up at the same moment; of two disks that work the holder's is taken back
 *               - the connection was lost, and is not back in time
 *
 * A disk is given up only beside a partner whose disk is good. But what this node knows of that may be older than what the partner does
 * just then; the next meeting shows it.
 *
 * Invariants
 *  1. From r->detached to the end of the next meeting nothing is answered that our disk lacks (alone.c, invariant 3). So up to then it has
 *     all that was ever answered, and may be taken back: what was not answered begins again [requests_return].
 *  2. At that meeting it is not CONSISTENT any more, durably, before READY. So SB_CONSISTENT tells whether that has been: no other note is
 *     taken [disk_returnable].
 *  3. A disk that is broken is never taken back: only a new daemon, which a person starts or asks for, opens it again. HELLO says of it
 *     that it is not CONSISTENT, though the superblock says so still: it is the other node's that is taken back then (settle.c).
 *  4. It is taken back only where no meeting is under way: both nodes judge by what HELLO said.
 *
 * Crash argument: being detached is not durable. A crash before the meeting finds the disk as it was, and so does a new daemon.
 */
#include "backend/replicate_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SLOW_MS 1000u

/* It fails already, or does not end what it was asked for: no wonder that it is given up. */
static bool ails(const struct replicate *r)
{
	const struct request *oldest = TAILQ_FIRST(&r->at_disk);

	return r->disk_error || r->write_error || r->metadata_error || (oldest && r->now_ms - oldest->disk_ms >= SLOW_MS) ||
	       (r->write_busy && r->now_ms - r->write_since_ms >= SLOW_MS);
}

static void give_up(struct replicate *r, bool broken, const char *why)
{
	r->detached = true;
	r->broken = broken || ails(r);
	r->disk_clock_ms = r->now_ms; /* for what it still has (hang.c) */
	reconnect(r, why); /* first: nothing more goes to a partner that takes us for one that has a disk */
	requests_detach(r);
}

void disk_detach(struct replicate *r, const char *why)
{
	give_up(r, false, why);
}

void disk_break(struct replicate *r, const char *why)
{
	give_up(r, true, why);
}

void disk_breaks(struct replicate *r)
{
	r->broken |= r->detached;
}

bool detach_on_error(struct replicate *r, int rc, const char *what)
{
	if (r->detached) {
		disk_breaks(r);
		return true;
	}
	/* the partner's disk has to do: that of a resync's target does not */
	if (!r->cfg.detach || r->connection != CONNECTION_CONNECTED || !peer_good(r))
		return false;
	say(r, "local disk: a %s failed (%s): the disk is detached", what, strerror(-rc));
	run_handler(r, HANDLER_LOCAL_IO_ERROR);
	disk_break(r, "its disk has failed; it goes on without");
	return true;
}

/* ---- and taken back ---- */

bool disk_returnable(const struct replicate *r)
{
	uint32_t flags = r->durable.flags & r->wanted.flags & (r->write_busy ? r->writing.flags : UINT32_MAX);

	return r->detached && !r->broken && !r->metadata_lost && flags & SB_CONSISTENT;
}

void disk_return(struct replicate *r, const char *why)
{
	say(r, "the disk is taken back: %s", why);
	r->detached = false;
	requests_return(r);
	command_disk_returned(r, why);
	reconnect(r, "its disk was given up, and is taken back");
	token_advance(r);
}

/* Nobody can say now that the partner's disk will do; so this one is what it was. */
void detach_advance(struct replicate *r)
{
	char why[REPLICATE_TEXT];

	if (!disk_returnable(r) || !parted_from_partner(r) || r->reconnecting || r->now_ms < parted_for_good(r))
		return;
	snprintf(why, sizeof(why), "the connection with %s was lost, or refused, before the two had met without it", r->cfg.peer_host);
	disk_return(r, why);
}

uint64_t detach_deadline(const struct replicate *r)
{
	return disk_returnable(r) && parted_from_partner(r) && r->now_ms < parted_for_good(r) ? parted_for_good(r) : UINT64_MAX;
}

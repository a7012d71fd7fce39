/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alone.c: one copy is enough: the guest goes on without its partner, or without its own disk (detach.c).
 *
 *   both disks ── connection lost, a write waits ──> {new generation} durable [alone_advance] ──> parted: writes are marked
 *       ^   │                                                                                           │
 *       │   └── our disk fails, the partner's is good ──> detached: a new meeting, the partner serves    │
 *       │                                                                                               │
 *       └──────────────── the two meet: the bitmap says what to copy (resync.c) <────────────────────────┘
 *
 * Invariants
 *  1. Nothing that the partner lacks is answered, nor may lack is read, before a generation of our own is durable (P1, R10): when the two
 *     meet, nobody takes the partner's copy for the newest.
 *  2. Alone is only who certainly has the token: confirmed since the host was started (R12), or forced by a person (R14) or by on-wfc-timeout
 *     (R17), or whose partner is fenced for good (fence.c).
 *  3. Nothing is answered by the partner's disk alone before the two have met without ours: then our metadata say that it is inconsistent,
 *     and the partner's data have a generation of their own.
 *  4. What a disk is changes by one superblock write and then a new meeting; there is no other way. (Being detached is not on disk: of
 *     that the meeting comes first, and then the write; before it the disk may be taken back, for yet another meeting: detach.c.)
 *
 * Crash argument: the generation and, by the log, the marks are durable before the first answer; a crash before that has answered
 * nothing that is not on both disks.
 */
#include "backend/replicate_private.h"

#include <stdio.h>
#include <string.h>

/* ---- the two disks ---- */

bool disk_good(const struct replicate *r)
{
	return !r->detached && r->durable.flags & r->wanted.flags & SB_CONSISTENT &&
	       !((r->durable.flags | r->wanted.flags) & (SB_OUTDATED | SB_JUST_CREATED));
}

bool peer_good(const struct replicate *r)
{
	return r->peer_current && !r->peer.diskless && r->peer.flags & SB_CONSISTENT && !(r->peer.flags & SB_OUTDATED);
}

/* Also while a new meeting is under way: what is consumed then waits for its end. */
bool data_accessible(const struct replicate *r)
{
	if (r->connection == CONNECTION_CONNECTED)
		return disk_good(r) || peer_good(r);
	return disk_good(r) && alone_allowed(r);
}

uint64_t parted_for_good(const struct replicate *r)
{
	return r->alone_ms > r->back_ms ? r->alone_ms : r->back_ms;
}

/* The guest's data cannot be reached now; parted_for_good() says when that is certain. */
static bool out_of_reach(const struct replicate *r)
{
	return token_held(r) && !disk_good(r) && parted_from_partner(r) &&
	       (r->attachment == ATTACHMENT_ACTIVE || r->attachment == ATTACHMENT_RELEASING);
}

bool no_data(const struct replicate *r)
{
	return r->cfg.io_error && out_of_reach(r) && r->now_ms >= parted_for_good(r);
}

uint64_t no_data_deadline(const struct replicate *r)
{
	return out_of_reach(r) && r->now_ms < parted_for_good(r) ? parted_for_good(r) : UINT64_MAX;
}

/* pri-on-incon-degr, once for each loss: it may reboot this host, so while a connection may still come back, or a meeting is under way,
 * nothing is lost. */
void data_lost_note(struct replicate *r)
{
	bool connected = r->connection == CONNECTION_CONNECTED && token_held(r);

	if (r->attachment != ATTACHMENT_ACTIVE || data_accessible(r)) {
		r->data_lost = false;
	} else if (!r->data_lost && (connected || (out_of_reach(r) && r->now_ms >= parted_for_good(r)))) {
		r->data_lost = true;
		run_handler(r, HANDLER_PRI_ON_INCON_DEGR);
	}
}

enum disk_state disk_state(const struct replicate *r)
{
	if (r->detached)
		return DISK_DISKLESS;
	if (!(r->durable.flags & SB_CONSISTENT))
		return DISK_INCONSISTENT;
	if (r->durable.flags & SB_OUTDATED)
		return DISK_OUTDATED;
	return r->connection == CONNECTION_CONNECTED || alone_allowed(r) ? DISK_UP_TO_DATE : DISK_CONSISTENT;
}

enum disk_state peer_disk_state(const struct replicate *r)
{
	if (r->connection != CONNECTION_CONNECTED)
		return r->durable.flags & SB_PEER_OUTDATED ? DISK_OUTDATED : DISK_UNKNOWN;
	if (r->peer.diskless)
		return DISK_DISKLESS;
	if (!(r->peer.flags & SB_CONSISTENT))
		return DISK_INCONSISTENT;
	return r->peer.flags & SB_OUTDATED ? DISK_OUTDATED : DISK_UP_TO_DATE;
}

void reconnect(struct replicate *r, const char *why)
{
	if (r->connection == CONNECTION_DISCONNECTED || r->reconnecting)
		return;
	r->reconnecting = true;
	r->ops->disconnect(r->ctx, why);
}

/* ---- without the partner ---- */

void confirm(struct replicate *r)
{
	if (r->kept.confirmed == r->durable.epoch || r->metadata_lost)
		return;
	r->kept.confirmed = r->durable.epoch;
	attachment_kept(r);
}

void unconfirm(struct replicate *r)
{
	if (!r->kept.confirmed)
		return;
	r->kept.confirmed = 0;
	attachment_kept(r);
}

/* ---- handlers ---- */

bool has_handler(const struct replicate *r, enum handler h)
{
	return r->cfg.handlers & 1u << h;
}

void run_handler(struct replicate *r, enum handler h)
{
	if (has_handler(r, h))
		r->ops->handler(r->ctx, h);
}

void replicate_handled(struct replicate *r, enum handler handler, bool ok, enum fence_verdict verdict, uint64_t now_ms)
{
	wake(r, now_ms);
	if (handler == HANDLER_FENCE_PEER)
		fence_answered(r, verdict);
	else if (handler == HANDLER_BEFORE_RESYNC_TARGET)
		handshake_handled(r, ok);
	else if (handler == HANDLER_BEFORE_RESYNC_SOURCE && !ok && r->connection == CONNECTION_CONNECTED)
		r->ops->disconnect(r->ctx, "the handler before-resync-source failed, so there is no resync from here: see the log (journalctl -u drbdxd) for why; trying again");
	replicate_settle(r);
}

bool alone_allowed(const struct replicate *r)
{
	return token_held(r) && (r->kept.confirmed == r->durable.epoch || r->durable.flags & r->wanted.flags & SB_PEER_OUTDATED);
}

bool parted_from_partner(const struct replicate *r)
{
	return r->connection == CONNECTION_DISCONNECTED || r->connection == CONNECTION_REFUSED;
}

/* Somebody waits for what the partner has not got, and waiting for the partner does not help. */
static bool alone_wanted(const struct replicate *r)
{
	return !r->parted && !r->step_version[STEP_ALONE] && parted_from_partner(r) && disk_good(r) && alone_allowed(r) &&
	       !fence_freezes(r) && requests_unsent(r);
}

void alone_advance(struct replicate *r)
{
	if (!alone_wanted(r) || r->now_ms < r->alone_ms)
		return;
	generation_alone(&r->wanted.gen, random_id(r), r->settling_as_source ? &r->peer.gen : NULL);
	r->settling_as_source = false;
	superblock_want(r, STEP_ALONE);
}

uint64_t alone_deadline(const struct replicate *r)
{
	return alone_wanted(r) && r->now_ms < r->alone_ms ? r->alone_ms : UINT64_MAX;
}

void overtake_token(struct replicate *r)
{
	struct superblock *sb = &r->wanted;

	sb->token = TOKEN_HELD;
	sb->epoch = (r->peer_known && r->peer.epoch > sb->epoch ? r->peer.epoch : sb->epoch) + 2;
	sb->base = sb->epoch; /* whoever was served before is overtaken (R7) */
	sb->reservation = 0;
	generation_alone(&sb->gen, random_id(r), NULL);
}

void promote_fenced(struct replicate *r)
{
	if (r->step_version[STEP_PROMOTED])
		return;
	overtake_token(r);
	superblock_want(r, STEP_PROMOTED);
}

void promote_by_wait(struct replicate *r)
{
	if (r->step_version[STEP_PROMOTED])
		return;
	overtake_token(r);
	r->wanted.flags = (r->wanted.flags & ~SB_CRASHED) | SB_FORCED | SB_FORCED_BY_WAIT;
	superblock_want(r, STEP_PROMOTED);
}

void alone_step(struct replicate *r, enum step step)
{
	if (step == STEP_PROMOTED) {
		if (r->durable.flags & SB_FORCED_BY_WAIT)
			say(r, "promoted by force, for on-wfc-timeout says so, and %s was waited for in vain: epoch %llu, generation %016llX",
			    r->cfg.peer_host, (unsigned long long)r->durable.epoch, (unsigned long long)r->durable.gen.current);
		else
			say(r, "promoted, the partner being fenced: epoch %llu", (unsigned long long)r->durable.epoch);
		confirm(r);
		reconnect(r, "this node was promoted");
		token_advance(r);
		return;
	}
	if (r->connection == CONNECTION_CONNECTED || r->parted)
		return;
	r->parted = true;
	r->alone_since_ms = r->now_ms;
	say(r, "the guest goes on without %s (generation %016llX)", r->cfg.peer_host,
	    (unsigned long long)r->durable.gen.current);
	requests_part(r);
}

void alone_met(struct replicate *r)
{
	r->parted = r->peer.diskless;
	r->discard_my_data = false;
	r->alone_ms = 0; /* from now on nothing speaks for waiting */
	if (!r->kept.known && !r->metadata_lost) {
		r->kept.known = true;
		attachment_kept(r);
	}
	if (token_held(r))
		confirm(r);
	if (r->unfence && r->verdict == SYNC_NONE)
		unfence(r);
}

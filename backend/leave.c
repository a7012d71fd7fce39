/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leave.c: with `fencing`, a node that leaves in good order outdates its own copy before, so that its partner goes on without fencing it
 * (docs/DEGRADED.md, D20).
 *
 *   the node that leaves                                         the holder
 *   [replicate_yield] an idle token goes first: GIVE ─────────>  {HELD} durable
 *                               given_taken     <───── TAKEN ──  [STEP_TAKEN]
 *   [leave_advance] {SB_OUTDATED} durable
 *                   LEAVING ──────────────────────────────────>  [leave_packet] {SB_PEER_OUTDATED}, and the partner counts as fenced
 *   [owner.c] the connection is closed                           the guest goes on alone
 *
 * Invariants
 *  1. Only a node that knows its partner to be the holder outdates itself, and never the only good copy.
 *  2. Who takes the token has no outdated copy: what it did for leaving is undone in the write that makes it the holder. So never are
 *     both copies outdated by this: the other node is the holder, or gave the token last and has not heard that it was taken.
 *  3. Who gives the token away no longer takes its partner for outdated, in the same write.
 *  4. Nobody waits for a partner that does not answer: the end of the daemon has its bound, and is then what it is without this.
 *
 * Crash argument: before {SB_OUTDATED} nothing has changed. Between it and LEAVING, this copy is outdated and the holder does not know: it
 * fences, as it would. LEAVING says what is durable, so the holder may forget it (a crash before {SB_PEER_OUTDATED}): it fences, then.
 */
#include "backend/replicate_private.h"

/* All but where the token is. During a resync one of the two copies is not good. */
static bool in_good_order(const struct replicate *r)
{
	return r->yielding && r->cfg.fencing != FENCING_DONT_CARE && r->connection == CONNECTION_CONNECTED &&
	       r->attachment == ATTACHMENT_NONE && !r->left && peer_good(r) && (r->leaving || disk_good(r));
}

/* Durably, as far as both can know. (Should the partner be giving it to us in this moment: invariant 2.) */
static bool partner_holds(const struct replicate *r)
{
	return r->durable.token == r->wanted.token &&
	       (r->wanted.token == TOKEN_NONE || (r->wanted.token == TOKEN_GIVEN && r->given_taken));
}

static void send_leaving(struct replicate *r)
{
	struct packet p = { .type = PACKET_LEAVING };

	r->leaving_sent = true;
	p.used.epoch = r->durable.epoch;
	say(r, "this copy is outdated from now on: %s goes on without it", r->cfg.peer_host);
	r->ops->send(r->ctx, &p, NULL);
}

void leave_advance(struct replicate *r)
{
	if (r->leaving_sent || !in_good_order(r) || !partner_holds(r))
		return;
	if (!r->leaving) {
		r->leaving = true;
		outdate_self(r, STEP_NOTED);
	} else if (r->durable.flags & r->wanted.flags & SB_OUTDATED) {
		send_leaving(r);
	}
}

void leave_undo(struct replicate *r)
{
	if (!r->leaving)
		return;
	r->leaving = r->leaving_sent = false;
	r->wanted.flags &= ~SB_OUTDATED;
	r->kept.known = !r->metadata_lost; /* we are connected */
	attachment_kept(r);
	superblock_want(r, STEP_NOTED);
}

/* The outdated copy is made good by the next meeting. */
void leave_lost(struct replicate *r)
{
	r->leaving = r->leaving_sent = r->given_taken = false;
}

bool replicate_leaving(const struct replicate *r)
{
	return in_good_order(r) && !r->leaving_sent && r->wanted.token != TOKEN_HELD;
}

static void on_taken(struct replicate *r, uint64_t epoch)
{
	if (r->durable.token == TOKEN_GIVEN && r->wanted.token == TOKEN_GIVEN && epoch == r->durable.epoch)
		r->given_taken = true;
}

static int on_leaving(struct replicate *r, uint64_t epoch)
{
	if (r->wanted.token == TOKEN_NONE)
		return refuse_packet(r, "LEAVING of a node that has the token");
	/* it crosses our GIVE, is late, or is repeated; or ours is no copy to go on with */
	if (!token_held(r) || epoch != r->durable.epoch || r->wanted.flags & SB_PEER_OUTDATED || !disk_good(r))
		return 0;
	r->peer.flags |= SB_OUTDATED;
	fence_outdated(r, "it left in good order, and is outdated");
	say(r, "%s leaves in good order, and its copy is outdated: nothing has to be fenced", r->cfg.peer_host);
	return 0;
}

int leave_packet(struct replicate *r, const struct packet *p)
{
	if (p->type == PACKET_LEAVING)
		return on_leaving(r, p->used.epoch);
	on_taken(r, p->used.epoch);
	return 0;
}

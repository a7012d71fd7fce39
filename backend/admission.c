/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * admission.c: how a guest gets an attachment: claimed where it is started, reserved where it arrives, adopted
 * from an earlier daemon (docs/HANDOVER.md, R2 and R11).
 *
 * Invariants
 *  1. There is at most one attachment, and each claim is answered once: within claim_timeout_ms, a reservation
 *     within reserve_timeout_ms (P7), at once where no waiting would help.
 *  2. Nobody is admitted while an attachment that an earlier daemon left has not been found or given up.
 */
#include "backend/replicate_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void claim_refuse(struct replicate *r, int rc, const char *why)
{
	r->claim_deadline_ms = UINT64_MAX;
	r->want_sent = r->reserve_sent = false;
	attachment_event(r, EVENT_REFUSE);
	r->ops->claimed(r->ctx, rc, why);
}

/* Whether no waiting would help: fills `why`. */
static bool claim_hopeless(const struct replicate *r, char *why, size_t why_size)
{
	if (r->wanted.flags & SB_UNCLEAN)
		snprintf(why, why_size,
			 "%s is unclean on %s: this node died while it served a guest, and its "
			 "last writes may differ from the partner's; make the two volumes identical and run "
			 "'backend-ctl create-md --assume-clean --force %s' on both nodes",
			 r->cfg.name, r->cfg.self_host, r->cfg.name);
	else if (!(r->wanted.flags & SB_CONSISTENT))
		snprintf(why, why_size,
			 "%s is inconsistent on %s: its content was never declared usable; "
			 "make the two volumes identical and run "
			 "'backend-ctl create-md --assume-clean --force %s' on both nodes",
			 r->cfg.name, r->cfg.self_host, r->cfg.name);
	else if (r->connection == CONNECTION_REFUSED)
		snprintf(why, why_size, "%s cannot be used: %s", r->cfg.name, r->why);
	else
		return false;
	return true;
}

/* A guest that is started here overtakes the copy that a reservation was granted to (R3). */
static void claim_grant(struct replicate *r)
{
	if (r->wanted.reservation)
		reservation_over(r, r->wanted.reservation);
	if (r->durable.reservation)
		return; /* until STEP_ENDED */
	r->claim_deadline_ms = UINT64_MAX;
	attachment_event(r, EVENT_GRANT);
	r->ops->claimed(r->ctx, 0, "");
}

void claim_advance(struct replicate *r)
{
	char why[2 * REPLICATE_TEXT];

	if (r->attachment != ATTACHMENT_CLAIMING && r->attachment != ATTACHMENT_RESERVING)
		return;
	if (claim_hopeless(r, why, sizeof(why))) {
		claim_refuse(r, -EPERM, why);
		return;
	}
	if (r->connection != CONNECTION_CONNECTED || r->left)
		return; /* until the deadline */
	if (r->attachment == ATTACHMENT_RESERVING) {
		reserve_ask(r);
	} else if (token_held(r)) {
		claim_grant(r);
	} else if (r->wanted.token == TOKEN_HELD || r->step_version[STEP_GIVE]) {
		return; /* it is arriving, or leaving: ask when that is done */
	} else if (!r->want_sent) {
		send_want(r, false);
	}
}

void claim_begin(struct replicate *r, const struct claimant *c)
{
	r->guest = *c;
	r->kept = (struct attachment){ .served = 0 };
	r->want_sent = r->reserve_sent = r->commit_sent = false;
	attachment_event(r, c->incoming ? EVENT_RESERVE : EVENT_CLAIM);
	claim_advance(r);
}

static uint64_t claim_deadline(const struct replicate *r, const struct claimant *c)
{
	return r->now_ms + (c->incoming ? r->cfg.reserve_timeout_ms : r->cfg.claim_timeout_ms);
}

static void claim_busy(struct replicate *r)
{
	char why[REPLICATE_TEXT];

	snprintf(why, sizeof(why),
		 r->yielding ? "%s is being stopped on %s" : "%s is already in use on %s by %s", r->cfg.name,
		 r->cfg.self_host, r->claim_after_release ? r->next.who : r->guest.who);
	r->ops->claimed(r->ctx, -EBUSY, why);
}

void replicate_claim(struct replicate *r, const struct claimant *c, uint64_t now_ms)
{
	r->now_ms = now_ms;
	if (r->attachment == ATTACHMENT_NONE && !r->yielding) {
		r->claim_deadline_ms = claim_deadline(r, c);
		claim_begin(r, c);
	} else if (r->attachment == ATTACHMENT_RELEASING && !r->claim_after_release) {
		r->claim_deadline_ms = claim_deadline(r, c);
		r->claim_after_release = true;
		r->next = *c;
	} else {
		claim_busy(r);
	}
	replicate_settle(r);
}

static void claim_late(struct replicate *r)
{
	const struct claimant *c = r->claim_after_release ? &r->next : &r->guest;
	char why[2 * REPLICATE_TEXT];

	if (r->connection != CONNECTION_CONNECTED)
		snprintf(why, sizeof(why),
			 "%s: the partner %s is not connected (%s); a guest is %s only while both "
			 "copies can be written (starting alone is not available in this version)",
			 r->cfg.name, r->cfg.peer_host,
			 r->why[0] ? r->why : connection_state_name(r->connection),
			 c->incoming ? "taken over" : "started");
	else if (r->write_busy)
		snprintf(why, sizeof(why), "%s: a write of the metadata on %s does not end", r->cfg.name,
			 r->cfg.self_host);
	else if (r->left)
		snprintf(why, sizeof(why),
			 "%s: an earlier daemon on %s left a guest attached, which has not been found yet",
			 r->cfg.name, r->cfg.self_host);
	else if (r->claim_after_release)
		snprintf(why, sizeof(why), "%s: the last writes of %s are still being finished", r->cfg.name,
			 r->guest.who);
	else
		snprintf(why, sizeof(why), "%s: the partner %s did not %s within %u s", r->cfg.name,
			 r->cfg.peer_host, c->incoming ? "answer the reservation" : "give the token",
			 ((c->incoming ? r->cfg.reserve_timeout_ms : r->cfg.claim_timeout_ms) + 999) / 1000);
	if (r->claim_after_release) {
		r->claim_after_release = false;
		r->claim_deadline_ms = UINT64_MAX;
		r->ops->claimed(r->ctx, -ETIMEDOUT, why);
	} else {
		claim_refuse(r, -ETIMEDOUT, why);
	}
}

/* ---- adopt: a later daemon goes on (R11) ---- */

void replicate_adopt(struct replicate *r, const struct claimant *c, const struct attachment *a, uint64_t now_ms)
{
	r->now_ms = now_ms;
	if (r->attachment != ATTACHMENT_NONE || r->yielding) {
		claim_busy(r);
		return;
	}
	r->left = false;
	if (!a->served && !a->reserved && !a->stale) { /* it has never run */
		r->ops->unhold(r->ctx);
		replicate_claim(r, c, now_ms);
		return;
	}
	r->guest = *c;
	r->kept = *a;
	if (!a->served && !a->stale)
		attachment_set(r, ATTACHMENT_RESERVED, "found again");
	else if (!attachment_current(r))
		attachment_set(r, ATTACHMENT_STALE, "found again");
	else if (r->wanted.token == TOKEN_HELD)
		attachment_set(r, ATTACHMENT_CLAIMED, "found again");
	else
		attachment_set(r, ATTACHMENT_HANDED_OVER, "found again");
	if (r->attachment == ATTACHMENT_STALE)
		snprintf(r->stale_why, sizeof(r->stale_why), "the guest has run on %s since", r->cfg.peer_host);
	if (r->attachment == ATTACHMENT_HANDED_OVER || r->wanted.reservation)
		hold(r);
	else
		r->ops->unhold(r->ctx); /* what held it ended while nobody was here */
	r->ops->claimed(r->ctx, 0, "");
	if (r->attachment == ATTACHMENT_STALE)
		r->ops->outdated(r->ctx, r->stale_why);
	else if (r->peer_current)
		outdate_unreserved(r);
	token_advance(r);
	replicate_settle(r);
}

/* ---- time ---- */

void handover_tick(struct replicate *r)
{
	if (r->now_ms < r->claim_deadline_ms)
		return;
	if (r->attachment == ATTACHMENT_CLAIMING || r->attachment == ATTACHMENT_RESERVING ||
	    r->claim_after_release)
		claim_late(r);
	r->claim_deadline_ms = UINT64_MAX;
}

uint64_t handover_deadline(const struct replicate *r)
{
	return r->claim_deadline_ms;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * admission.c: how a guest gets an attachment: claimed where it is started, reserved where it arrives, adopted
 * from an earlier daemon (docs/HANDOVER.md, R2 and R11).
 *
 * Invariants
 *  1. There is at most one attachment, and each claim is answered once: within claim_timeout_ms, or what wfc-timeout says of a partner that is
 *     not there, a reservation within reserve_timeout_ms (P7), at once where no waiting would help.
 *  2. Nobody is admitted while an attachment that an earlier daemon left has not been found or given up.
 *  3. Waiting decides nothing about data (P2): what ends with it is the claim. But where on-wfc-timeout says so, which a person has written,
 *     this node is promoted by force then; only if nothing is known that speaks against its data (R17).
 */
#include "backend/replicate_private.h"
#include "backend/settle.h"

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

/* In the partner's words, which are about this resource, and too few (WIRE_TEXT) to name it. */
void claim_refuse_told(struct replicate *r, const char *words)
{
	char why[REPLICATE_TEXT];

	snprintf(why, sizeof(why), "%s: %s", r->cfg.name, words);
	claim_refuse(r, -EBUSY, why);
}

/* Our volume is not what the two agreed on: what the guest has learnt of its disk would not be true here. A partner that is connected has
 * refused it already [settle]. */
static bool offers_less(const struct replicate *r)
{
	return !r->detached && !(r->durable.flags & SB_JUST_CREATED) && !settle_features_cover(&r->cfg.offer, &r->durable.agreed);
}

/* Whether no waiting would help: fills `why`. */
static bool claim_hopeless(const struct replicate *r, char *why, size_t why_size)
{
	if (r->connection == CONNECTION_REFUSED && (r->attachment == ATTACHMENT_RESERVING || !(alone_allowed(r) && disk_good(r))))
		snprintf(why, why_size, "%s cannot be used: %s", r->cfg.name, r->why);
	else if (offers_less(r))
		snprintf(why, why_size,
			 "%s cannot be used on %s: the two nodes agreed on %llu sectors and blocks of %u bytes, and its volume has %llu sectors and "
			 "blocks of %u bytes: restore its size or kind, then 'backend-ctl down %s' and 'backend-ctl up %s'",
			 r->cfg.name, r->cfg.self_host, (unsigned long long)r->durable.agreed.sectors, r->durable.agreed.block_size,
			 (unsigned long long)r->cfg.offer.sectors, r->cfg.offer.block_size, r->cfg.name, r->cfg.name);
	else if (r->connection == CONNECTION_CONNECTED && !data_accessible(r))
		snprintf(why, why_size,
			 "%s is inconsistent on both nodes: nobody has said whose data count; run 'backend-ctl primary --force %s' "
			 "on the node whose data do, or, if both volumes are the same (zeroed, say), 'backend-ctl new-current-uuid "
			 "--clear-bitmap %s'",
			 r->cfg.name, r->cfg.name, r->cfg.name);
	else
		return false;
	return true;
}

/* A guest that is started here overtakes the copy that a reservation was granted to (R3). */
static void claim_grant(struct replicate *r)
{
	if (r->wanted.reservation)
		reservation_over(r, r->wanted.reservation);
	if (r->durable.reservation || (r->durable.flags & SB_IN_USE && !marks_for_partner(r) && !marks_left_to_log(r)))
		return; /* until STEP_ENDED; until what an earlier guest left is settled (marks.c) */
	if (r->discard_my_data)
		say(r, "connect --discard-my-data is over: a guest is started here, so what was written here counts");
	r->discard_my_data = false;
	r->claim_deadline_ms = UINT64_MAX;
	attachment_event(r, EVENT_GRANT);
	r->ops->claimed(r->ctx, 0, "");
}

/* No partner, good data, and the connection had its time. */
static bool apart(const struct replicate *r)
{
	return parted_from_partner(r) && disk_good(r) && r->now_ms >= r->alone_ms;
}

static void refuse_unfenced(struct replicate *r)
{
	char why[2 * REPLICATE_TEXT], words[REPLICATE_TEXT];

	fence_words(r, words, sizeof(words));
	snprintf(why, sizeof(why),
		 "%s: the partner %s is not connected, and %s; if you are certain that it has no newer data and runs no guest, "
		 "'backend-ctl primary --force %s' lets this node go on alone",
		 r->cfg.name, r->cfg.peer_host, words, r->cfg.name);
	claim_refuse(r, -EPERM, why);
}

/* With fencing, a partner that is fenced need not be asked (R15); our data were the newest when the two met last. */
static void claim_fenced(struct replicate *r)
{
	enum fence_state fence = fence_for_claim(r);

	if (fence == FENCE_FAILED) /* there is no handler */
		refuse_unfenced(r);
	else if (fence != FENCE_DONE || r->peer_count) /* the partner's last writes must not land over what a guest here writes (P6) */
		return;
	else if (alone_allowed(r))
		claim_grant(r);
	else
		promote_fenced(r);
}

/* Certainly the holder: nobody need be asked (P2). True: the claim was answered, or will be without the partner. */
static bool claim_alone(struct replicate *r)
{
	if (r->attachment != ATTACHMENT_CLAIMING || r->left)
		return false;
	if (r->fence == FENCE_FAILED && parted_from_partner(r)) { /* for this guest: claim_begin() */
		refuse_unfenced(r);
		return true;
	}
	if (!apart(r))
		return false;
	if (r->cfg.fencing != FENCING_DONT_CARE && (alone_allowed(r) || (fence_known(r) && r->connection == CONNECTION_DISCONNECTED))) {
		claim_fenced(r);
		return true;
	}
	if (!alone_allowed(r))
		return false;
	claim_grant(r);
	return true;
}

/* ---- the partner is waited for ---- */

/* Before this start the pair was not whole: this node had gone on alone. */
static bool degraded(const struct replicate *r)
{
	return r->durable.token == TOKEN_HELD && r->durable.gen.bitmap;
}

static uint64_t awaited_until(const struct replicate *r)
{
	uint32_t ms = degraded(r) ? r->cfg.degr_wfc_ms : r->cfg.wfc_ms;

	return ms ? r->apart_ms + ms : UINT64_MAX;
}

/* A guest that is started here waits for the partner, and for nothing else. */
static bool awaits_partner(const struct replicate *r)
{
	return r->attachment == ATTACHMENT_CLAIMING && r->connection == CONNECTION_DISCONNECTED && !r->left;
}

/* When that is over; a connection that was lost a moment ago, or that this daemon has only begun to make, has its time in any case. */
static uint64_t wait_deadline(const struct replicate *r)
{
	uint64_t until = awaited_until(r), least = parted_for_good(r);

	return until > least ? until : least;
}

/* Fencing, where it is configured, is what decides about the partner, and no time. */
static bool may_force(const struct replicate *r)
{
	return r->cfg.wfc_force && r->cfg.fencing == FENCING_DONT_CARE && disk_good(r) && !r->yielding;
}

static void claim_late(struct replicate *r);

/* True: the claim was answered, or will be without the partner. */
static bool claim_waited(struct replicate *r)
{
	if (!awaits_partner(r) || r->now_ms < wait_deadline(r))
		return false;
	if (!may_force(r))
		claim_late(r);
	else if (!r->peer_count && r->now_ms < r->claim_deadline_ms) /* the partner's last writes must not land over a guest's (P6) */
		promote_by_wait(r);
	return true;
}

void claim_status(const struct replicate *r, struct replicate_status *out, uint64_t now_ms)
{
	uint64_t until = awaited_until(r);

	if (r->connection == CONNECTION_CONNECTED || r->connection == CONNECTION_REFUSED || until == UINT64_MAX)
		return;
	out->awaited = r->cfg.fencing != FENCING_DONT_CARE && disk_good(r) && (alone_allowed(r) || fence_known(r)) ? "fence" :
		       alone_allowed(r) && disk_good(r)							     ? "start" :
		       may_force(r)									     ? "force-primary" :
														       "refuse";
	out->awaited_degraded = degraded(r);
	out->awaited_ms = until > now_ms ? until - now_ms : 0;
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
	if (claim_alone(r) || claim_waited(r))
		return;
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
	r->kept = (struct attachment){ .confirmed = r->kept.confirmed, .known = r->kept.known };
	r->want_sent = r->reserve_sent = r->commit_sent = false;
	fence_retry(r);
	attachment_event(r, c->incoming ? EVENT_RESERVE : EVENT_CLAIM);
	claim_advance(r);
}

#define AFTER_WAIT_MS 3000u /* for what is left to be done then: the token is asked for, or forced */

/* Of a start: of a wait that ends before it is the end [claim_waited]. */
static uint64_t claim_deadline(const struct replicate *r, const struct claimant *c)
{
	uint64_t until = wait_deadline(r), asked = r->now_ms - c->waited_ms;
	uint64_t bound = asked + r->cfg.claim_timeout_ms, longest = asked + r->cfg.claim_longest_ms;

	if (c->incoming)
		return r->now_ms + r->cfg.reserve_timeout_ms;
	if (r->connection == CONNECTION_CONNECTED || until == UINT64_MAX || until + AFTER_WAIT_MS <= bound)
		return bound;
	return until + AFTER_WAIT_MS < longest ? until + AFTER_WAIT_MS : longest > bound ? longest : bound;
}

static void claim_busy(struct replicate *r)
{
	char why[REPLICATE_TEXT];

	if (r->yielding)
		snprintf(why, sizeof(why), "%s: drbdxd on %s is being stopped: try again when it runs again", r->cfg.name, r->cfg.self_host);
	else
		snprintf(why, sizeof(why), "%s is already in use on %s by %s: shut that guest down first", r->cfg.name, r->cfg.self_host,
			 r->claim_after_release ? r->next.who : r->guest.who);
	r->ops->claimed(r->ctx, -EBUSY, why);
}

void replicate_claim(struct replicate *r, const struct claimant *c, uint64_t now_ms)
{
	wake(r, now_ms);
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

/* For how long the partner was waited for, in words; empty: for no time that the file says. */
static void wait_words(const struct replicate *r, char *out, size_t size)
{
	const char *option = degraded(r) ? "degr-wfc-timeout" : "wfc-timeout";
	uint64_t until = awaited_until(r), ms = degraded(r) ? r->cfg.degr_wfc_ms : r->cfg.wfc_ms;

	out[0] = '\0';
	if (until == UINT64_MAX || r->connection != CONNECTION_DISCONNECTED)
		return;
	if (r->now_ms >= until)
		snprintf(out, size, ", was waited for for the %llu s of %s", (unsigned long long)ms / 1000, option);
	else
		snprintf(out, size, ", and the wait for it (%llu s more of %s) is longer than xl's: 'backend-ctl wait-connect %s' waits as long",
			 (unsigned long long)(until - r->now_ms + 999) / 1000, option, r->cfg.name);
}

/* The connection did not come back in time. */
static void late_apart(const struct replicate *r, const struct claimant *c, char *why, size_t why_size)
{
	char problem[REPLICATE_TEXT], wait[256] = "";

	if (!c->incoming)
		wait_words(r, wait, sizeof(wait));
	snprintf(problem, sizeof(problem), "%s: the partner %s is not connected (%.150s)%s", r->cfg.name, r->cfg.peer_host,
		 r->why[0] ? r->why : connection_state_name(r->connection), wait);
	if (r->attachment == ATTACHMENT_CLAIMING && r->fence == FENCE_ASKED)
		snprintf(why, why_size, "%s, and fence-peer, which is to fence it, has been running for %llu s: try again when it has ended",
			 problem, (unsigned long long)(r->now_ms - r->fence_since_ms) / 1000);
	else if (!c->incoming && r->durable.flags & SB_OUTDATED)
		snprintf(why, why_size,
			 "%s, and this node's copy is outdated: the newer data are over there; start the guest there, or connect the two; if you are certain "
			 "that the newer data are lost, 'backend-ctl primary --force %s' lets this node go on with the old ones",
			 problem, r->cfg.name);
	else if (!c->incoming && !(r->durable.flags & SB_CONSISTENT) && r->durable.base)
		snprintf(why, why_size,
			 "%s, and this node's copy is a mixture of old and new, for a resync to it did not end: start the guest there, or connect the "
			 "two; if you are certain that the data over there are lost, and a mixture will do, 'backend-ctl primary --force %s' lets "
			 "this node go on with it",
			 problem, r->cfg.name);
	else
		snprintf(why, why_size, "%s, and it may have newer data or a guest that runs%s%s%s", problem,
			 c->incoming ? "; migrate when the two are connected" : "; if you are certain that it has not, 'backend-ctl primary --force ",
			 c->incoming ? "" : r->cfg.name, c->incoming ? "" : "' lets this node go on alone");
}

static void claim_late(struct replicate *r)
{
	const struct claimant *c = r->claim_after_release ? &r->next : &r->guest;
	char why[2 * REPLICATE_TEXT];

	if (r->claim_after_release)
		snprintf(why, sizeof(why), "%s: the last writes of %s are still being finished: try again ('backend-ctl status %s' says what they wait for)",
			 r->cfg.name, r->guest.who, r->cfg.name);
	else if (r->connection != CONNECTION_CONNECTED)
		late_apart(r, c, why, sizeof(why));
	else if (r->write_busy)
		snprintf(why, sizeof(why), "%s: a write of the metadata on %s does not end: see its kernel log (dmesg), and try again",
			 r->cfg.name, r->cfg.self_host);
	else if (r->left)
		snprintf(why, sizeof(why),
			 "%s: an earlier drbdxd on %s left a guest attached, which has not been found yet: try again", r->cfg.name,
			 r->cfg.self_host);
	else
		snprintf(why, sizeof(why), "%s: the partner %s did not %s within %u s: see 'backend-ctl status %s' there, and try again",
			 r->cfg.name, r->cfg.peer_host, c->incoming ? "answer the reservation" : "give the token",
			 ((c->incoming ? r->cfg.reserve_timeout_ms : r->cfg.claim_timeout_ms) + 999) / 1000, r->cfg.name);
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
	struct attachment old = r->kept;

	wake(r, now_ms);
	if (r->attachment != ATTACHMENT_NONE || r->yielding) {
		claim_busy(r);
		return;
	}
	r->left = false;
	if (!a->served && !a->reserved && !a->stale) { /* it has never run */
		r->ops->unhold(r->ctx);
		give_late(r);
		replicate_claim(r, c, now_ms);
		return;
	}
	r->guest = *c;
	r->kept = *a;
	r->kept.confirmed = old.confirmed; /* this daemon's, which may be newer than the record */
	r->kept.known = old.known;
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
	give_late(r);
	token_advance(r);
	replicate_settle(r);
}

/* ---- time ---- */

void handover_tick(struct replicate *r)
{
	if (r->attachment == ATTACHMENT_CLAIMING)
		claim_advance(r);
	if (r->now_ms < r->claim_deadline_ms)
		return;
	if (r->attachment == ATTACHMENT_CLAIMING || r->attachment == ATTACHMENT_RESERVING ||
	    r->claim_after_release)
		claim_late(r);
	r->claim_deadline_ms = UINT64_MAX;
}

uint64_t handover_deadline(const struct replicate *r)
{
	if (awaits_partner(r) && r->now_ms < wait_deadline(r) && wait_deadline(r) < r->claim_deadline_ms)
		return wait_deadline(r);
	return r->claim_deadline_ms;
}

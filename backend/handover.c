/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handover.c: who may write (P2): the token, its epoch, and the guest's attachment on this node.
 *
 * docs/HANDOVER.md is normative: the states, the rules R1 to R11, and the crash argument for each step.  Here
 * are the attachment's table, claims of guests that are started here, the token's way by WANT and GIVE, use and
 * release.  A running guest's way from node to node is reserve.c.
 *
 * Invariants
 *  1. A guest request is executed only while the token is durably HELD, base == epoch and
 *     SB_IN_USE are durable, and the state is ACTIVE (R1: replicate_ready()).
 *  2. The token is given only with nothing in flight, by a node without a live attachment (R7) or with one
 *     whose ring is quiet (R4); {GIVEN, epoch + 1} is durable before GIVE leaves.
 *  3. A received token is {HELD, epoch} on disk before anything is done with it; a GIVE
 *     that is not newer than our epoch is ignored (R5).
 *  4. The first sign that the partner uses epoch e makes {NONE, e, base e} durable before
 *     any write of e is acknowledged (R6).
 *  5. A claim is answered within claim_timeout_ms, a reservation within reserve_timeout_ms (P7).
 *  6. What a later daemon must know of the attachment is recorded before it is acted upon (R11).
 *
 * SB_IN_USE found at start means that the guest's last writes may be on one disk only: SB_UNCLEAN.
 */
#include "backend/replicate_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NEVER		 ATTACHMENT_STATE_COUNT
#define ATTACHMENT_NEVER NEVER

/* clang-format off */
#define ROW(state, claim, reserve, grant, refuse, activate, token, give, outdate, release, released) \
	[ATTACHMENT_##state] = { ATTACHMENT_##claim, ATTACHMENT_##reserve, ATTACHMENT_##grant, \
				 ATTACHMENT_##refuse, ATTACHMENT_##activate, ATTACHMENT_##token, \
				 ATTACHMENT_##give, ATTACHMENT_##outdate, ATTACHMENT_##release, \
				 ATTACHMENT_##released }
static const unsigned int attachment_table[ATTACHMENT_STATE_COUNT][ATTACHMENT_EVENT_COUNT] = {
	/*               CLAIM     RESERVE    GRANT     REFUSE ACTIVATE    TOKEN   GIVE         OUTDATE RELEASE    RELEASED */
	ROW(NONE,        CLAIMING, RESERVING, NEVER,    NEVER, NEVER,      NEVER,  NEVER,       NEVER,  NEVER,     NEVER),
	ROW(CLAIMING,    NEVER,    NEVER,     CLAIMED,  NONE,  NEVER,      NEVER,  NEVER,       NEVER,  NONE,      NEVER),
	ROW(CLAIMED,     NEVER,    NEVER,     NEVER,    NEVER, ACTIVE,     NEVER,  NEVER,       STALE,  RELEASING, NEVER),
	ROW(RESERVING,   NEVER,    NEVER,     RESERVED, NONE,  NEVER,      NEVER,  NEVER,       NEVER,  NONE,      NEVER),
	ROW(RESERVED,    NEVER,    NEVER,     NEVER,    NEVER, COMMITTING, NEVER,  NEVER,       STALE,  RELEASING, NEVER),
	ROW(COMMITTING,  NEVER,    NEVER,     NEVER,    NEVER, COMMITTING, ACTIVE, NEVER,       STALE,  RELEASING, NEVER),
	ROW(ACTIVE,      NEVER,    NEVER,     NEVER,    NEVER, ACTIVE,     NEVER,  HANDED_OVER, NEVER,  RELEASING, NEVER),
	ROW(HANDED_OVER, NEVER,    NEVER,     NEVER,    NEVER, HANDED_OVER, ACTIVE, NEVER,      STALE,  RELEASING, NEVER),
	ROW(STALE,       NEVER,    NEVER,     NEVER,    NEVER, NEVER,      NEVER,  NEVER,       NEVER,  RELEASING, NEVER),
	ROW(RELEASING,   NEVER,    NEVER,     NEVER,    NEVER, NEVER,      NEVER,  NEVER,       NEVER,  NEVER,     NONE),
};
/* clang-format on */

static const char *const event_names[ATTACHMENT_EVENT_COUNT] = {
	"claim", "reserve",  "granted", "refused", "activate", "token here", "token given", "outdated",
	"release", "released",
};

static void attachment_set(struct replicate *r, enum attachment_state next, const char *event)
{
	if (next != r->attachment)
		say(r, "attachment %s -> %s (%s, %s)", attachment_state_name(r->attachment),
		    attachment_state_name(next), event, r->guest.who);
	r->attachment = next;
	if (next != ATTACHMENT_NONE)
		return;
	r->guest = (struct claimant){ .who = "" };
	r->kept = (struct attachment){ .served = 0 };
	r->stale_why[0] = '\0';
	r->guest_used = r->want_back = false;
}

bool attachment_event(struct replicate *r, enum attachment_event event)
{
	unsigned int next = attachment_table[r->attachment][event];

	if (next == NEVER)
		return false;
	attachment_set(r, (enum attachment_state)next, event_names[event]);
	return true;
}

void attachment_kept(struct replicate *r)
{
	r->ops->record(r->ctx, &r->kept);
}

bool token_held(const struct replicate *r)
{
	return r->durable.token == TOKEN_HELD && r->wanted.token == TOKEN_HELD;
}

/* ---- claim: `add` on this node ---- */

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

static void send_want(struct replicate *r, bool back)
{
	struct packet p = { .type = PACKET_WANT };

	r->want_nonce = r->ops->random(r->ctx);
	r->want_sent = true;
	p.want.nonce = r->want_nonce;
	p.want.back = back;
	snprintf(p.want.who, sizeof(p.want.who), "%s", r->guest.who);
	r->ops->send(r->ctx, &p, NULL);
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

static void claim_advance(struct replicate *r)
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

static void claim_begin(struct replicate *r, const struct claimant *c)
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

static bool current(const struct replicate *r)
{
	return !r->kept.stale && r->kept.served >= r->wanted.base;
}

void hold(struct replicate *r)
{
	r->held = true;
	r->ops->hold(r->ctx);
}

void unhold(struct replicate *r)
{
	if (r->held)
		r->ops->unhold(r->ctx);
	r->held = false;
}

void replicate_adopt(struct replicate *r, const struct claimant *c, const struct attachment *a, uint64_t now_ms)
{
	r->now_ms = now_ms;
	if (r->attachment != ATTACHMENT_NONE || r->yielding) {
		claim_busy(r);
		return;
	}
	r->left = false;
	if (!a->served && !a->reserved && !a->stale) { /* it has never run */
		replicate_claim(r, c, now_ms);
		return;
	}
	r->guest = *c;
	r->kept = *a;
	if (!a->served && !a->stale)
		attachment_set(r, ATTACHMENT_RESERVED, "found again");
	else if (!current(r))
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
	replicate_settle(r);
}

/* ---- the token moves ---- */

void token_give(struct replicate *r)
{
	assert(token_held(r) && !r->guest_count);
	r->peer_want.asked = r->commit_waits = false;
	r->wanted.token = TOKEN_GIVEN;
	r->wanted.epoch++;
	r->wanted.reservation = 0;
	r->wanted.flags &= ~SB_IN_USE;
	superblock_want(r, STEP_GIVE);
	if (attachment_event(r, EVENT_GIVE)) {
		r->kept.handed_over = true;
		attachment_kept(r);
	}
}

static void send_give(struct replicate *r)
{
	struct packet p = { .type = PACKET_GIVE };

	p.give.epoch = r->durable.epoch;
	p.give.base = r->durable.base;
	p.give.gen = r->durable.gen;
	p.give.ring = r->attachment == ATTACHMENT_HANDED_OVER;
	say(r, "token given to %s (epoch %llu)", r->cfg.peer_host, (unsigned long long)p.give.epoch);
	r->ops->send(r->ctx, &p, NULL);
}

static void refuse_want(struct replicate *r)
{
	struct packet p = { .type = PACKET_WANT_REFUSE };

	r->peer_want.asked = false;
	p.refuse.nonce = r->peer_want.nonce;
	if (r->wanted.token == TOKEN_NONE)
		snprintf(p.refuse.why, sizeof(p.refuse.why), "%s does not hold the token of %s either",
			 r->cfg.self_host, r->cfg.name);
	else
		snprintf(p.refuse.why, sizeof(p.refuse.why), "%s is %s %s by %.120s", r->cfg.name,
			 r->attachment == ATTACHMENT_CLAIMING	 ? "being started on"
			 : r->attachment == ATTACHMENT_RESERVED ||
				   r->attachment == ATTACHMENT_COMMITTING
				 ? "being taken over on"
				 : "in use on",
			 r->cfg.self_host, r->claim_after_release ? r->next.who : r->guest.who);
	r->ops->send(r->ctx, &p, NULL);
}

/* No guest here that may still be served with the token. */
static bool no_guest(const struct replicate *r)
{
	return r->attachment == ATTACHMENT_NONE || r->attachment == ATTACHMENT_STALE;
}

static bool unused(const struct replicate *r)
{
	return r->wanted.base < r->wanted.epoch;
}

/* For a guest that was resumed after it had been handed over: only an unused token goes back, and only when our
 * own copy of the guest is gone; until then the question is kept. */
static void answer_want_back(struct replicate *r)
{
	if (r->wanted.token == TOKEN_NONE || !unused(r))
		r->peer_want.asked = false; /* USED tells the partner that its copy is stale */
	else if (token_held(r) && no_guest(r))
		token_give(r);
}

/* Answers the partner's WANT as soon as it can be answered; called again when a release
 * ends or the token arrives. */
static void answer_want(struct replicate *r)
{
	bool releasing = r->attachment == ATTACHMENT_RELEASING && !r->claim_after_release;

	if (!r->peer_want.asked || r->left)
		return;
	if (r->wanted.token == TOKEN_GIVEN)
		r->peer_want.asked = false; /* GIVE is on its way, or comes after the next HELLO */
	else if (r->peer_want.back)
		answer_want_back(r);
	else if (r->wanted.token == TOKEN_NONE || (!no_guest(r) && !releasing))
		refuse_want(r);
	else if (token_held(r) && no_guest(r))
		token_give(r);
}

void want_back_advance(struct replicate *r)
{
	if (r->want_back && r->attachment == ATTACHMENT_HANDED_OVER && r->connection == CONNECTION_CONNECTED &&
	    !r->want_sent && !r->step_version[STEP_GIVE]) /* GIVE goes first */
		send_want(r, true);
}

static void on_want_refuse(struct replicate *r, const struct packet_refuse *p)
{
	if (!r->want_sent || p->nonce != r->want_nonce)
		return;
	if (r->attachment == ATTACHMENT_CLAIMING)
		claim_refuse(r, -EBUSY, p->why);
}

static int on_give(struct replicate *r, const struct packet_give *g)
{
	struct superblock *sb = &r->wanted;

	if (sb->token == TOKEN_HELD || g->epoch <= sb->epoch)
		return 0; /* a repetition */
	if (g->base < sb->base || g->base >= g->epoch || g->gen.current != sb->gen.current) {
		protocol_error(r,
			       "GIVE of epoch %llu with base %llu and generation %016llX does not fit base "
			       "%llu and generation %016llX here",
			       (unsigned long long)g->epoch, (unsigned long long)g->base,
			       (unsigned long long)g->gen.current, (unsigned long long)sb->base,
			       (unsigned long long)sb->gen.current);
		return -EPROTO;
	}
	sb->token = TOKEN_HELD;
	sb->epoch = g->epoch;
	sb->base = g->base;
	sb->reservation = 0;
	r->partner_ring = g->ring;
	superblock_want(r, STEP_TAKEN);
	return 0;
}

int handover_packet(struct replicate *r, const struct packet *p)
{
	switch (p->type) {
	case PACKET_WANT:
		r->peer_want.asked = true;
		r->peer_want.back = p->want.back;
		r->peer_want.nonce = p->want.nonce;
		answer_want(r);
		return 0;
	case PACKET_WANT_REFUSE:
		on_want_refuse(r, &p->refuse);
		return 0;
	case PACKET_GIVE:
		return on_give(r, &p->give);
	case PACKET_USED:
		if (p->used.epoch >= r->wanted.epoch) /* older: a repetition */
			handover_saw_epoch(r, p->used.epoch);
		return 0;
	default:
		reserve_packet(r, p);
		return 0;
	}
}

void handover_saw_epoch(struct replicate *r, uint64_t epoch)
{
	struct superblock *sb = &r->wanted;

	if (sb->token == TOKEN_HELD || epoch < sb->epoch) {
		protocol_error(r, "%s runs requests in epoch %llu, but here the token is %s in epoch %llu",
			       r->cfg.peer_host, (unsigned long long)epoch, token_name(sb->token),
			       (unsigned long long)sb->epoch);
		return;
	}
	if (sb->token == TOKEN_NONE && sb->epoch == epoch && sb->base == epoch)
		return;
	sb->token = TOKEN_NONE;
	sb->epoch = sb->base = epoch;
	sb->reservation = 0;
	superblock_want(r, STEP_USED);
	outdate_overtaken(r);
}

/* The token is here, and nobody has told that it may be kept unused for the guest that was handed over (R7). */
static void give_back(struct replicate *r)
{
	if (r->partner_ring && r->attachment == ATTACHMENT_NONE && token_held(r) && unused(r) && !r->left &&
	    r->connection == CONNECTION_CONNECTED)
		token_give(r);
}

/* ---- activate, use, release ---- */

static void serve(struct replicate *r, enum attachment_event event)
{
	if (!attachment_event(r, event))
		return;
	r->kept = (struct attachment){ .served = r->wanted.epoch };
	attachment_kept(r);
}

void serve_arrived(struct replicate *r)
{
	serve(r, EVENT_TOKEN);
	r->ops->activated(r->ctx, 0, "");
}

void replicate_activate(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	switch (r->attachment) {
	case ATTACHMENT_RESERVED:
	case ATTACHMENT_COMMITTING:
		attachment_event(r, EVENT_ACTIVATE);
		commit_ask(r);
		break;
	case ATTACHMENT_CLAIMED:
		serve(r, EVENT_ACTIVATE);
		r->ops->activated(r->ctx, 0, "");
		break;
	case ATTACHMENT_ACTIVE: /* the frontend connects again (kexec, boot loader to kernel) */
	case ATTACHMENT_HANDED_OVER:
		r->ops->activated(r->ctx, 0, "");
		break;
	case ATTACHMENT_STALE:
		r->ops->activated(r->ctx, -ESTALE, r->stale_why);
		break;
	default:
		r->ops->activated(r->ctx, -EPERM, "the resource was not claimed for this guest");
		break;
	}
	replicate_settle(r);
}

static void use(struct replicate *r)
{
	r->wanted.base = r->wanted.epoch;
	superblock_want(r, STEP_USE);
}

bool replicate_request(struct replicate *r, uint64_t now_ms)
{
	if (replicate_ready(r))
		return true;
	if (r->attachment != ATTACHMENT_ACTIVE || r->connection != CONNECTION_CONNECTED || !token_held(r) ||
	    (!unused(r) && r->wanted.flags & SB_IN_USE))
		return false;
	r->now_ms = now_ms;
	if (unused(r))
		r->ops->used(r->ctx);
	r->wanted.flags |= SB_IN_USE;
	use(r);
	replicate_settle(r);
	return false;
}

void replicate_sibling_used(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	r->guest_used = true;
	if (token_held(r) && unused(r) && r->attachment != ATTACHMENT_NONE)
		use(r);
	replicate_settle(r);
}

static void send_used(struct replicate *r)
{
	struct packet p = { .type = PACKET_USED };

	p.used.epoch = r->durable.epoch;
	r->ops->send(r->ctx, &p, NULL);
}

static void release(struct replicate *r)
{
	switch (r->attachment) {
	case ATTACHMENT_CLAIMING:
	case ATTACHMENT_RESERVING:
		claim_refuse(r, -ECANCELED, "the request was withdrawn");
		r->ops->released(r->ctx);
		break;
	case ATTACHMENT_NONE:
		r->ops->released(r->ctx);
		break;
	case ATTACHMENT_RELEASING:
		if (r->claim_after_release) {
			r->claim_after_release = false;
			r->claim_deadline_ms = UINT64_MAX;
			r->ops->claimed(r->ctx, -ECANCELED, "the request was withdrawn");
		}
		break;
	default:
		reserve_unanswered(r);
		if (!r->parking)
			reserve_release(r);
		attachment_event(r, EVENT_RELEASE);
		requests_drop_queued(r);
		handover_drained(r);
		break;
	}
	replicate_settle(r);
}

void replicate_release(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	release(r);
}

void replicate_park(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	r->parking = r->left = true; /* the token stays with the guest */
	release(r);
}

void handover_drained(struct replicate *r)
{
	bool reserved = r->wanted.reservation && !r->parking; /* R9 */

	if (r->attachment != ATTACHMENT_RELEASING || r->guest_count || r->step_version[STEP_RELEASE])
		return;
	r->wanted.flags &= ~SB_IN_USE;
	if (reserved && token_held(r) && r->connection == CONNECTION_CONNECTED)
		token_give(r);
	superblock_want(r, STEP_RELEASE);
}

void replicate_yield(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	r->yielding = true;
	if (token_held(r) && r->attachment == ATTACHMENT_NONE && r->connection == CONNECTION_CONNECTED && !r->left)
		token_give(r);
	replicate_settle(r);
}

/* R9: the guest is gone, and the partner was granted the disk: it need not ask. */
static void give_reserved(struct replicate *r)
{
	if (r->durable.reservation && token_held(r) && r->attachment == ATTACHMENT_NONE && !r->left &&
	    r->connection == CONNECTION_CONNECTED)
		token_give(r);
}

void replicate_nobody_left(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	r->left = false;
	give_reserved(r);
	claim_advance(r);
	answer_want(r);
	replicate_settle(r);
}

/* ---- what follows when the superblock is durable, or the connection changes ---- */

static void step_taken(struct replicate *r)
{
	say(r, "token received (epoch %llu)", (unsigned long long)r->durable.epoch);
	if (!token_held(r))
		return;
	r->want_sent = false; /* it was the answer */
	if (r->attachment == ATTACHMENT_COMMITTING) {
		commit_ask(r);
	} else if (r->attachment == ATTACHMENT_HANDED_OVER && current(r)) {
		serve(r, EVENT_TOKEN);
		r->want_back = false;
		unhold(r);
	} else if (r->attachment == ATTACHMENT_HANDED_OVER) {
		outdate(r, "the guest has run on %s since", r->cfg.peer_host);
	}
	if (r->guest_used && unused(r) && r->attachment != ATTACHMENT_NONE)
		use(r); /* R10: another disk of this guest was used while the token was on its way */
}

static void step_release(struct replicate *r)
{
	if (!attachment_event(r, EVENT_RELEASED))
		return;
	if (!r->parking) /* the mark is the next daemon's */
		unhold(r);
	r->ops->released(r->ctx);
	if (r->claim_after_release) {
		r->claim_after_release = false;
		claim_begin(r, &r->next);
	}
}

void handover_step(struct replicate *r, enum step step)
{
	switch (step) {
	case STEP_GIVE:
		if (r->connection == CONNECTION_CONNECTED)
			send_give(r);
		break;
	case STEP_USE:
		if (r->connection == CONNECTION_CONNECTED && r->durable.base == r->durable.epoch)
			send_used(r);
		break;
	case STEP_RELEASE:
		step_release(r);
		break;
	case STEP_TAKEN:
		step_taken(r);
		break;
	default: /* RESERVED, ENDED */
		reserve_step(r, step);
		break;
	}
	claim_advance(r);
	give_back(r);
	answer_want(r);
	want_back_advance(r);
}

void handover_connected(struct replicate *r)
{
	if (r->give_again && r->durable.token == TOKEN_GIVEN)
		send_give(r);
	if (token_held(r) && r->durable.base == r->durable.epoch)
		send_used(r);
	give_reserved(r);
	if (r->attachment == ATTACHMENT_COMMITTING)
		commit_ask(r);
	want_back_advance(r);
	claim_advance(r);
}

void handover_refused(struct replicate *r)
{
	claim_advance(r);
}

void handover_adopt(struct replicate *r)
{
	outdate_unreserved(r);
	outdate_overtaken(r);
}

void handover_lost(struct replicate *r)
{
	r->want_sent = r->peer_want.asked = false; /* "asked" dies with the connection */
	reserve_lost(r);
}

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

const char *attachment_state_name(enum attachment_state s)
{
	static const char *const names[] = {
#define X(name, what) #name,
		ATTACHMENT_STATES(X)
#undef X
	};

	return s < ATTACHMENT_STATE_COUNT ? names[s] : "?";
}

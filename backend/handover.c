/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handover.c: who may write (P2): the token, its epoch, and the guest's attachment on this node.
 *
 * docs/HANDOVER.md is normative: the states, the rules R1 to R11, and the crash argument for each step.  Here
 * are the attachment's table, the token's way by WANT and GIVE, use and release.  How a guest gets an attachment is
 * admission.c; a running guest's way from node to node is reserve.c.
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
 *  5. What a later daemon must know of the attachment is recorded before it is acted upon (R11).
 *
 * SB_IN_USE found at start means that the guest's last writes may be on one disk only: SB_CRASHED.
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
	ROW(CLAIMED,     NEVER,    NEVER,     NEVER,    NEVER, ACTIVE,     NEVER,  HANDED_OVER, STALE,  RELEASING, NEVER),
	ROW(RESERVING,   NEVER,    NEVER,     RESERVED, NONE,  NEVER,      NEVER,  NEVER,       NEVER,  NONE,      NEVER),
	ROW(RESERVED,    NEVER,    NEVER,     NEVER,    NEVER, COMMITTING, NEVER,  NEVER,       STALE,  RELEASING, NEVER),
	ROW(COMMITTING,  NEVER,    NEVER,     NEVER,    NEVER, COMMITTING, ACTIVE, NEVER,       STALE,  RELEASING, NEVER),
	ROW(ACTIVE,      NEVER,    NEVER,     NEVER,    NEVER, ACTIVE,     NEVER,  HANDED_OVER, STALE,  RELEASING, NEVER),
	ROW(HANDED_OVER, NEVER,    NEVER,     NEVER,    NEVER, HANDED_OVER, ACTIVE, NEVER,      STALE,  RELEASING, NEVER),
	ROW(STALE,       NEVER,    NEVER,     NEVER,    NEVER, NEVER,      NEVER,  NEVER,       NEVER,  RELEASING, NEVER),
	ROW(RELEASING,   NEVER,    NEVER,     NEVER,    NEVER, NEVER,      NEVER,  NEVER,       NEVER,  NEVER,     NONE),
};
/* clang-format on */

static const char *const event_names[ATTACHMENT_EVENT_COUNT] = {
	"claim", "reserve",  "granted", "refused", "activate", "token here", "token given", "outdated",
	"release", "released",
};

void attachment_set(struct replicate *r, enum attachment_state next, const char *event)
{
	if (next != r->attachment)
		say(r, "attachment %s -> %s (%s, %s)", attachment_state_name(r->attachment),
		    attachment_state_name(next), event, r->guest.who);
	r->attachment = next;
	if (next != ATTACHMENT_NONE)
		return;
	r->guest = (struct claimant){ .who = "" };
	if (!r->parking) /* then it is the next daemon's */
		r->kept = (struct attachment){ .confirmed = r->kept.confirmed, .known = r->kept.known };
	r->stale_why[0] = '\0';
	r->guest_asked = r->guest_ready = r->alone = r->want_back = false;
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

/* ---- the token moves ---- */

bool attachment_current(const struct replicate *r)
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

void send_want(struct replicate *r, bool back)
{
	struct packet p = { .type = PACKET_WANT };

	r->want_nonce = r->ops->random(r->ctx);
	r->want_sent = true;
	p.want.nonce = r->want_nonce;
	p.want.back = back;
	snprintf(p.want.who, sizeof(p.want.who), "%s", r->guest.who);
	r->ops->send(r->ctx, &p, NULL);
}


/* If marks are still to be written, later (marks.c): a crash before finds more marked than differs, nothing else. */
static void unused_now(struct replicate *r)
{
	if (marks_durable(r) && !marks_for_partner(r) && !marks_left_to_log(r))
		r->wanted.flags &= ~SB_IN_USE;
}

bool token_quiet(const struct replicate *r)
{
	return token_held(r) && !r->guest_count && !r->copies && !r->resize.asked;
}

void token_give(struct replicate *r, uint64_t reservation)
{
	assert(token_quiet(r));
	r->peer_want.asked = r->commit_waits = false;
	r->given_taken = false;
	unconfirm(r);
	fence_undone(r);
	r->wanted.token = TOKEN_GIVEN;
	r->wanted.epoch++;
	r->wanted.reservation = reservation;
	r->wanted.flags &= ~(SB_FORCED | SB_FORCED_BY_WAIT);
	unused_now(r);
	superblock_want(r, STEP_GIVE);
	if (attachment_event(r, EVENT_GIVE)) {
		if (!r->kept.served) /* claimed, and not connected yet */
			r->kept.served = r->durable.epoch;
		r->kept.handed_over = true;
		attachment_kept(r);
	}
}

static void send_give(struct replicate *r)
{
	struct packet p = { .type = PACKET_GIVE };

	p.give.epoch = r->durable.epoch;
	p.give.base = r->durable.base;
	p.give.reservation = r->durable.reservation;
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
		snprintf(p.refuse.why, sizeof(p.refuse.why), "%s does not hold the token either: see 'backend-ctl status' there",
			 r->cfg.self_host);
	else
		snprintf(p.refuse.why, sizeof(p.refuse.why), "%s %s by %.100s: shut it down there, or migrate it here",
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

bool token_wanted(const struct replicate *r)
{
	return r->peer_want.asked && !r->left && no_guest(r);
}

/* For a guest that was resumed after it had been handed over: only an unused token goes back, and only when our
 * own copy of the guest is gone; until then the question is kept. */
static void answer_want_back(struct replicate *r)
{
	if (r->wanted.token == TOKEN_HELD && !unused(r))
		r->peer_want.asked = false; /* USED tells the partner that its copy is stale */
	else if (token_quiet(r) && no_guest(r))
		token_give(r, 0);
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
	else if (token_quiet(r) && no_guest(r))
		token_give(r, 0);
}

void want_back_advance(struct replicate *r)
{
	if (r->want_back && r->attachment == ATTACHMENT_HANDED_OVER && r->connection == CONNECTION_CONNECTED &&
	    !r->want_sent && !r->step_version[STEP_GIVE]) /* GIVE first */
		send_want(r, true);
}

static void on_want_refuse(struct replicate *r, const struct packet_refuse *p)
{
	if (!r->want_sent || p->nonce != r->want_nonce)
		return;
	if (r->attachment == ATTACHMENT_CLAIMING)
		claim_refuse_told(r, p->why);
}

static int on_give(struct replicate *r, const struct packet_give *g)
{
	struct superblock *sb = &r->wanted;

	if (r->left) { /* whether it is for the guest that an earlier daemon left is known when that is found [give_late] */
		r->late_give = *g;
		return 0;
	}
	if (sb->token == TOKEN_HELD || g->epoch <= sb->epoch || r->step_version[STEP_GIVE])
		return 0; /* a repetition; or it answers a GIVE that has not left */
	if (g->base < sb->base || g->base >= g->epoch ||
	    (g->gen.current != sb->gen.current && !r->detached && !r->peer.diskless)) {
		protocol_error(r,
			       "GIVE of epoch %llu with base %llu and generation %016llX does not fit base "
			       "%llu and generation %016llX here",
			       (unsigned long long)g->epoch, (unsigned long long)g->base,
			       (unsigned long long)g->gen.current, (unsigned long long)sb->base,
			       (unsigned long long)sb->gen.current);
		return -EPROTO;
	}
	leave_undo(r);
	sb->token = TOKEN_HELD;
	sb->epoch = g->epoch;
	sb->base = g->base;
	sb->reservation = 0;
	r->partner_ring = g->ring;
	superblock_want(r, STEP_TAKEN);
	outdate_unfulfilled(r, g->reservation);
	return 0;
}

void give_late(struct replicate *r)
{
	struct packet_give g = r->late_give;

	r->late_give.epoch = 0;
	if (g.epoch)
		on_give(r, &g);
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
	unconfirm(r);
	sb->token = TOKEN_NONE;
	sb->epoch = sb->base = epoch;
	sb->reservation = 0;
	superblock_want(r, STEP_USED);
	outdate_overtaken(r);
}

/* The token is here, and nobody has told that it may be kept unused for the guest that was handed over (R7). */
static void give_back(struct replicate *r)
{
	if (r->partner_ring && r->attachment == ATTACHMENT_NONE && token_quiet(r) && unused(r) && !r->left &&
	    r->connection == CONNECTION_CONNECTED)
		token_give(r, 0);
}

/* ---- activate, use, release ---- */

static void serve(struct replicate *r, enum attachment_event event)
{
	if (!attachment_event(r, event))
		return;
	r->guest_asked = false; /* asked already, if an earlier daemon served it in this epoch */
	r->guest_ready = r->alone || (r->kept.served == r->wanted.epoch && !unused(r));
	r->kept = (struct attachment){ .served = r->wanted.epoch, .confirmed = r->kept.confirmed, .known = r->kept.known };
	attachment_kept(r);
}

void serve_arrived(struct replicate *r)
{
	serve(r, EVENT_TOKEN);
	r->ops->activated(r->ctx, 0, "");
}

void replicate_activate(struct replicate *r, const char *who, bool alone, uint64_t now_ms)
{
	wake(r, now_ms);
	r->alone = alone;
	if (r->attachment != ATTACHMENT_NONE && r->attachment != ATTACHMENT_RELEASING)
		snprintf(r->guest.who, sizeof(r->guest.who), "%s", who);
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
		r->ops->activated(r->ctx, -EPERM, "the resource was not claimed for this guest: detach and attach the disk again (xl block-detach)");
		break;
	}
	replicate_settle(r);
}

static void use(struct replicate *r)
{
	if (r->attachment == ATTACHMENT_ACTIVE && r->kept.served != r->wanted.epoch) { /* a split brain was decided for us */
		r->kept.served = r->wanted.epoch;
		attachment_kept(r);
	}
	r->wanted.base = r->wanted.epoch;
	superblock_want(r, STEP_USE);
}

bool replicate_request(struct replicate *r, uint64_t now_ms)
{
	if (replicate_ready(r))
		return true;
	if (!servable(r))
		return false;
	if (!unused(r) && r->wanted.flags & SB_IN_USE) /* base alone may be on its way for another disk (R10) */
		return false;
	wake(r, now_ms);
	if (!r->guest_ready) { /* R10: the tokens of its other disks first */
		if (!r->guest_asked)
			r->ops->used(r->ctx);
		r->guest_asked = true;
		return false;
	}
	r->wanted.flags |= SB_IN_USE;
	use(r);
	replicate_settle(r);
	return false;
}

void replicate_guest_ready(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	if (r->attachment != ATTACHMENT_ACTIVE || !r->guest_asked)
		return;
	r->guest_ready = true;
	r->ops->resume(r->ctx);
	replicate_settle(r);
}

static void sibling_answer(struct replicate *r, int rc)
{
	r->sibling_waits = false;
	r->ops->sibling_ready(r->ctx, rc);
}

/* Another disk of our guest is about to be used: our token has to be here, certainly (R12), and to count as used (R10). */
static void sibling_advance(struct replicate *r)
{
	bool certain = r->connection == CONNECTION_CONNECTED || alone_allowed(r);

	if (!r->sibling_waits)
		return;
	switch (r->attachment) {
	case ATTACHMENT_RESERVED:
	case ATTACHMENT_COMMITTING:
	case ATTACHMENT_CLAIMED:
	case ATTACHMENT_ACTIVE:
	case ATTACHMENT_HANDED_OVER:
		break;
	default:
		sibling_answer(r, r->attachment == ATTACHMENT_STALE ? -ESTALE : -ECANCELED);
		return;
	}
	if (token_held(r) && !unused(r)) {
		if (certain && r->durable.base == r->durable.epoch)
			sibling_answer(r, 0);
	} else if (token_held(r)) {
		if (certain)
			use(r);
	} else if (r->attachment == ATTACHMENT_RESERVED) {
		commit_ask(r);
	} else if (r->attachment == ATTACHMENT_HANDED_OVER) {
		r->want_back = true;
		want_back_advance(r);
	}
}

void replicate_sibling_used(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	r->sibling_waits = true;
	sibling_advance(r);
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
		reserve_release(r);
		attachment_event(r, EVENT_RELEASE);
		sibling_advance(r);
		requests_drop_queued(r);
		handover_drained(r);
		break;
	}
	replicate_settle(r);
}

void replicate_release(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	release(r);
}

void replicate_park(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	r->parking = r->left = true; /* the token stays with the guest */
	release(r);
}

void handover_drained(struct replicate *r)
{
	bool reserved = r->wanted.reservation && !r->parking; /* R9 */

	if (r->attachment != ATTACHMENT_RELEASING || r->guest_count || r->copies || r->step_version[STEP_RELEASE])
		return;
	unused_now(r);
	if (reserved && token_quiet(r) && r->connection == CONNECTION_CONNECTED)
		token_give(r, r->wanted.reservation);
	superblock_want(r, STEP_RELEASE);
}

/* An idle token goes to the partner before this daemon ends, if the partner has the data; once, for that may be ending, too. */
static void yield_advance(struct replicate *r)
{
	if (r->yielding && !r->yielded && token_quiet(r) && r->attachment == ATTACHMENT_NONE && r->connection == CONNECTION_CONNECTED &&
	    !r->left && peer_good(r)) {
		r->yielded = true;
		token_give(r, 0);
	}
}

void replicate_yield(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	r->yielding = true;
	yield_advance(r);
	replicate_settle(r);
}

/* R9: the guest is gone, and the partner was granted the disk: it need not ask. */
static void give_reserved(struct replicate *r)
{
	if (r->durable.reservation && token_quiet(r) && !r->left && r->connection == CONNECTION_CONNECTED &&
	    r->attachment == ATTACHMENT_NONE)
		token_give(r, r->durable.reservation);
}

void replicate_nobody_left(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	r->left = false;
	give_late(r);
	give_reserved(r);
	token_advance(r);
	replicate_settle(r);
}

/* ---- what follows when the superblock is durable, or the connection changes ---- */

static void send_taken(struct replicate *r)
{
	struct packet p = { .type = PACKET_TAKEN };

	p.used.epoch = r->durable.epoch;
	r->ops->send(r->ctx, &p, NULL);
}

static void step_taken(struct replicate *r)
{
	say(r, "token received (epoch %llu)", (unsigned long long)r->durable.epoch);
	if (!token_held(r))
		return;
	if (r->connection == CONNECTION_CONNECTED)
		send_taken(r);
	r->want_sent = false; /* it was the answer */
	confirm(r);
	if (r->attachment == ATTACHMENT_COMMITTING) {
		commit_ask(r);
	} else if (r->attachment == ATTACHMENT_HANDED_OVER && attachment_current(r)) {
		serve(r, EVENT_TOKEN);
		r->want_back = false;
		unhold(r);
	} else if (r->attachment == ATTACHMENT_HANDED_OVER) {
		outdate(r, "the guest has run on %s since", r->cfg.peer_host);
	}
}

static void step_release(struct replicate *r)
{
	if (!attachment_event(r, EVENT_RELEASED))
		return;
	if (!r->parking) /* the mark is the next daemon's */
		unhold(r);
	r->ops->released(r->ctx);
	handshake_guest_gone(r);
	if (r->claim_after_release) {
		r->claim_after_release = false;
		claim_begin(r, &r->next);
	}
}

/* Whatever waits for the token, its durable state, or the end of an attachment. */
void token_advance(struct replicate *r)
{
	claim_advance(r);
	commit_advance(r);
	give_reserved(r);
	give_back(r);
	yield_advance(r);
	answer_want(r);
	want_back_advance(r);
	sibling_advance(r);
}

void handover_step(struct replicate *r, enum step step)
{
	switch (step) {
	case STEP_GIVE:
		if (r->connection == CONNECTION_CONNECTED && r->durable.token == TOKEN_GIVEN)
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
	token_advance(r);
}

void handover_connected(struct replicate *r)
{
	if (r->durable.token == TOKEN_GIVEN && r->durable.epoch > r->peer.epoch)
		send_give(r); /* again */
	if (token_held(r) && r->durable.base == r->durable.epoch)
		send_used(r);
	give_reserved(r);
	reservation_tell(r);
	if (r->attachment == ATTACHMENT_COMMITTING)
		commit_ask(r);
	token_advance(r);
}

void handover_lost(struct replicate *r)
{
	r->want_sent = r->peer_want.asked = false; /* "asked" dies with the connection */
	r->late_give.epoch = 0;			   /* and is sent again */
	reserve_lost(r);
	leave_lost(r);
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handover.c: who may write (P2): the token, its epoch, and the guest's attachment on this node.
 *
 *   NONE ─ claim ─> CLAIMING ─ token here, partner connected ─> CLAIMED ─ activate ─> ACTIVATING
 *     ^                │                                           │                   │   │ IN_USE and base
 *     │                │ refused, late                             │ release           │   │ durable
 *     │                │                                           │                   │  ACTIVE
 *     └────────────────┴── nothing in flight, IN_USE cleared ─ RELEASING <─────────────┴───┘ release
 *
 * Invariants
 *  1. A guest request is executed only while the token is durably HELD, base == epoch and
 *     SB_IN_USE are durable, and the state is ACTIVE (rule 1).
 *  2. The token is given only while no attachment exists and nothing is in flight; {GIVEN,
 *     epoch + 1} is durable before GIVE leaves (rules 4 and 7).
 *  3. A received token is {HELD, epoch} on disk before anything is granted with it; a GIVE
 *     that is not newer than our epoch is ignored (rule 5).
 *  4. The first sign that the partner uses epoch e makes {NONE, e, base e} durable before
 *     any write of e is acknowledged (rule 6).
 *  5. A claim is answered within claim_timeout_ms (P7).
 *
 * Crash argument: HELD moves by two durable writes on two nodes, GIVEN first, so at no moment both say
 * HELD; if the second one is missing, GIVEN's node sends GIVE again after the next HELLO (handshake.c).
 * SB_IN_USE found at start means that the guest's last writes may be on one disk only: SB_UNCLEAN.
 */
#include "backend/replicate_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum attachment_event {
	EVENT_CLAIM,
	EVENT_GRANT,
	EVENT_REFUSE,
	EVENT_ACTIVATE,
	EVENT_ACTIVATED,
	EVENT_RELEASE,
	EVENT_RELEASED,
	EVENT_COUNT
};

#define STATES		 (ATTACHMENT_RELEASING + 1)
#define NEVER		 STATES
#define ATTACHMENT_NEVER NEVER

/* clang-format off */
#define ROW(state, claim, grant, refuse, activate, activated, release, released) \
	[ATTACHMENT_##state] = { ATTACHMENT_##claim, ATTACHMENT_##grant, ATTACHMENT_##refuse, \
				 ATTACHMENT_##activate, ATTACHMENT_##activated, ATTACHMENT_##release, \
				 ATTACHMENT_##released }
static const unsigned int attachment_table[STATES][EVENT_COUNT] = {
	/*              CLAIM     GRANT    REFUSE  ACTIVATE    ACTIVATED  RELEASE    RELEASED */
	ROW(NONE,       CLAIMING, NEVER,   NEVER,  NEVER,      NEVER,     NEVER,     NEVER),
	ROW(CLAIMING,   NEVER,    CLAIMED, NONE,   NEVER,      NEVER,     NONE,      NEVER),
	ROW(CLAIMED,    NEVER,    NEVER,   NEVER,  ACTIVATING, NEVER,     RELEASING, NEVER),
	ROW(ACTIVATING, NEVER,    NEVER,   NEVER,  ACTIVATING, ACTIVE,    RELEASING, NEVER),
	ROW(ACTIVE,     NEVER,    NEVER,   NEVER,  NEVER,      NEVER,     RELEASING, NEVER),
	ROW(RELEASING,  NEVER,    NEVER,   NEVER,  NEVER,      NEVER,     NEVER,     NONE),
};
/* clang-format on */

static const char *const event_names[EVENT_COUNT] = {
	"claim", "granted", "refused", "activate", "durable", "release", "released",
};

/* The one setter of r->attachment. False: the event may not come in this state. */
static bool attachment_event(struct replicate *r, enum attachment_event event)
{
	unsigned int next = attachment_table[r->attachment][event];

	if (next == NEVER)
		return false;
	say(r, "attachment %s -> %s (%s, %s)", attachment_state_name(r->attachment),
	    attachment_state_name((enum attachment_state)next), event_names[event], r->who);
	r->attachment = (enum attachment_state)next;
	if (next == ATTACHMENT_NONE)
		r->who[0] = '\0';
	return true;
}

bool token_held(const struct replicate *r)
{
	return r->durable.token == TOKEN_HELD && r->wanted.token == TOKEN_HELD;
}

/* ---- claim: `add` on this node ---- */

static void claim_refuse(struct replicate *r, int rc, const char *why)
{
	r->claim_deadline_ms = UINT64_MAX;
	r->want_sent = false;
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

static void claim_advance(struct replicate *r)
{
	char why[2 * REPLICATE_TEXT];

	if (r->attachment != ATTACHMENT_CLAIMING)
		return;
	if (claim_hopeless(r, why, sizeof(why))) {
		claim_refuse(r, -EPERM, why);
		return;
	}
	if (r->connection != CONNECTION_CONNECTED)
		return; /* until the deadline */
	if (token_held(r)) {
		r->claim_deadline_ms = UINT64_MAX;
		attachment_event(r, EVENT_GRANT);
		r->ops->claimed(r->ctx, 0, "");
	} else if (r->wanted.token == TOKEN_HELD || r->step_version[STEP_GIVE]) {
		return; /* it is arriving, or leaving: ask when that is done */
	} else if (!r->want_sent) {
		struct packet p = { .type = PACKET_WANT };

		r->want_nonce = r->ops->random(r->ctx);
		r->want_sent = true;
		p.want.nonce = r->want_nonce;
		snprintf(p.want.who, sizeof(p.want.who), "%s", r->who);
		r->ops->send(r->ctx, &p, NULL);
	}
}

static void claim_begin(struct replicate *r, const char *who)
{
	snprintf(r->who, sizeof(r->who), "%s", who);
	r->want_sent = false;
	attachment_event(r, EVENT_CLAIM);
	claim_advance(r);
}

void replicate_claim(struct replicate *r, const char *who, uint64_t now_ms)
{
	char why[REPLICATE_TEXT];

	r->now_ms = now_ms;
	if (r->attachment == ATTACHMENT_NONE && !r->yielding) {
		r->claim_deadline_ms = now_ms + r->cfg.claim_timeout_ms;
		claim_begin(r, who);
	} else if (r->attachment == ATTACHMENT_RELEASING && !r->claim_after_release) {
		r->claim_deadline_ms = now_ms + r->cfg.claim_timeout_ms;
		r->claim_after_release = true;
		snprintf(r->next_who, sizeof(r->next_who), "%s", who);
	} else {
		snprintf(why, sizeof(why),
			 r->yielding ? "%s is being stopped on %s" : "%s is already in use on %s by %s",
			 r->cfg.name, r->cfg.self_host, r->claim_after_release ? r->next_who : r->who);
		r->ops->claimed(r->ctx, -EBUSY, why);
	}
	replicate_settle(r);
}

static void claim_late(struct replicate *r)
{
	char why[2 * REPLICATE_TEXT];

	if (r->connection != CONNECTION_CONNECTED)
		snprintf(why, sizeof(why),
			 "%s: the partner %s is not connected (%s); a guest is started only while both "
			 "copies can be written (starting alone is not available in this version)",
			 r->cfg.name, r->cfg.peer_host,
			 r->why[0] ? r->why : connection_state_name(r->connection));
	else if (r->write_busy)
		snprintf(why, sizeof(why), "%s: a write of the metadata on %s does not end", r->cfg.name,
			 r->cfg.self_host);
	else if (r->claim_after_release)
		snprintf(why, sizeof(why), "%s: the last writes of %s are still being finished", r->cfg.name,
			 r->who);
	else
		snprintf(why, sizeof(why), "%s: the partner %s did not give the token within %u s",
			 r->cfg.name, r->cfg.peer_host, (r->cfg.claim_timeout_ms + 999) / 1000);
	if (r->claim_after_release) {
		r->claim_after_release = false;
		r->claim_deadline_ms = UINT64_MAX;
		r->ops->claimed(r->ctx, -ETIMEDOUT, why);
	} else {
		claim_refuse(r, -ETIMEDOUT, why);
	}
}

/* ---- the token moves ---- */

static void give(struct replicate *r)
{
	assert(token_held(r) && r->attachment == ATTACHMENT_NONE && !r->guest_count);
	r->peer_wants = false;
	r->wanted.token = TOKEN_GIVEN;
	r->wanted.epoch++;
	r->wanted.reservation = 0;
	superblock_want(r, STEP_GIVE);
}

static void send_give(struct replicate *r)
{
	struct packet p = { .type = PACKET_GIVE };

	p.give.epoch = r->durable.epoch;
	p.give.base = r->durable.base;
	say(r, "token given to %s (epoch %llu)", r->cfg.peer_host, (unsigned long long)p.give.epoch);
	r->ops->send(r->ctx, &p, NULL);
}

static void refuse_want(struct replicate *r)
{
	struct packet p = { .type = PACKET_WANT_REFUSE };

	r->peer_wants = false;
	p.refuse.nonce = r->peer_want_nonce;
	if (r->wanted.token == TOKEN_NONE)
		snprintf(p.refuse.why, sizeof(p.refuse.why), "%s does not hold the token of %s either",
			 r->cfg.self_host, r->cfg.name);
	else
		snprintf(p.refuse.why, sizeof(p.refuse.why), "%s is %s %s by %.120s", r->cfg.name,
			 r->attachment == ATTACHMENT_CLAIMING ? "being started on" : "in use on",
			 r->cfg.self_host, r->claim_after_release ? r->next_who : r->who);
	r->ops->send(r->ctx, &p, NULL);
}

/* Answers the partner's WANT as soon as it can be answered; called again when a release
 * ends or the token arrives. */
static void answer_want(struct replicate *r)
{
	bool busy = r->attachment != ATTACHMENT_NONE &&
		    (r->attachment != ATTACHMENT_RELEASING || r->claim_after_release);

	if (!r->peer_wants)
		return;
	if (r->wanted.token == TOKEN_GIVEN)
		r->peer_wants = false; /* GIVE is on its way, or comes after the next HELLO */
	else if (r->wanted.token == TOKEN_NONE || busy)
		refuse_want(r);
	else if (token_held(r) && r->attachment == ATTACHMENT_NONE)
		give(r);
}

static int on_give(struct replicate *r, const struct packet_give *g)
{
	struct superblock *sb = &r->wanted;

	if (sb->token == TOKEN_HELD || g->epoch <= sb->epoch)
		return 0; /* a repetition */
	if (g->base < sb->base || g->base >= g->epoch) {
		protocol_error(r, "GIVE of epoch %llu with base %llu does not fit base %llu here",
			       (unsigned long long)g->epoch, (unsigned long long)g->base,
			       (unsigned long long)sb->base);
		return -EPROTO;
	}
	sb->token = TOKEN_HELD;
	sb->epoch = g->epoch;
	sb->base = g->base;
	sb->reservation = 0;
	superblock_want(r, STEP_TAKEN);
	return 0;
}

int handover_packet(struct replicate *r, const struct packet *p)
{
	switch (p->type) {
	case PACKET_WANT:
		r->peer_wants = true;
		r->peer_want_nonce = p->want.nonce;
		answer_want(r);
		return 0;
	case PACKET_WANT_REFUSE:
		if (r->attachment == ATTACHMENT_CLAIMING && r->want_sent && p->refuse.nonce == r->want_nonce)
			claim_refuse(r, -EBUSY, p->refuse.why);
		return 0;
	case PACKET_GIVE:
		return on_give(r, &p->give);
	default: /* USED */
		handover_saw_epoch(r, p->used.epoch);
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
}

/* ---- activate, release ---- */

void replicate_activate(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	if (r->attachment == ATTACHMENT_ACTIVE) {
		/* the frontend connects again (kexec, boot loader to kernel) */
		r->ops->activated(r->ctx, 0, "");
	} else if (!attachment_event(r, EVENT_ACTIVATE)) {
		r->ops->activated(r->ctx, -EPERM, "the resource was not claimed for this guest");
	} else {
		r->wanted.base = r->wanted.epoch;
		r->wanted.flags |= SB_IN_USE;
		superblock_want(r, STEP_ACTIVATE);
	}
	replicate_settle(r);
}

static void send_used(struct replicate *r)
{
	struct packet p = { .type = PACKET_USED };

	p.used.epoch = r->durable.epoch;
	r->ops->send(r->ctx, &p, NULL);
}

void replicate_release(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	switch (r->attachment) {
	case ATTACHMENT_CLAIMING:
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
	case ATTACHMENT_CLAIMED:
	case ATTACHMENT_ACTIVATING:
	case ATTACHMENT_ACTIVE:
		attachment_event(r, EVENT_RELEASE);
		r->step_version[STEP_ACTIVATE] = 0;
		requests_drop_queued(r);
		handover_drained(r);
		break;
	}
	replicate_settle(r);
}

void handover_drained(struct replicate *r)
{
	if (r->attachment != ATTACHMENT_RELEASING || r->guest_count || r->step_version[STEP_RELEASE])
		return;
	r->wanted.flags &= ~SB_IN_USE;
	superblock_want(r, STEP_RELEASE);
}

void replicate_yield(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	r->yielding = true;
	if (token_held(r) && r->attachment == ATTACHMENT_NONE && r->connection == CONNECTION_CONNECTED)
		give(r);
	replicate_settle(r);
}

/* ---- what follows when the superblock is durable, or the connection changes ---- */

void handover_step(struct replicate *r, enum step step)
{
	switch (step) {
	case STEP_GIVE:
		if (r->connection == CONNECTION_CONNECTED)
			send_give(r);
		break;
	case STEP_ACTIVATE:
		if (!attachment_event(r, EVENT_ACTIVATED))
			break;
		if (r->connection == CONNECTION_CONNECTED)
			send_used(r);
		r->ops->activated(r->ctx, 0, "");
		break;
	case STEP_RELEASE:
		if (!attachment_event(r, EVENT_RELEASED))
			break;
		r->ops->released(r->ctx);
		if (r->claim_after_release) {
			r->claim_after_release = false;
			claim_begin(r, r->next_who);
		}
		break;
	default: /* STEP_TAKEN */
		say(r, "token received (epoch %llu)", (unsigned long long)r->durable.epoch);
		break;
	}
	claim_advance(r);
	answer_want(r);
}

void handover_connected(struct replicate *r)
{
	if (r->give_again && r->durable.token == TOKEN_GIVEN)
		send_give(r);
	if (r->attachment == ATTACHMENT_ACTIVE || r->attachment == ATTACHMENT_RELEASING)
		if (r->durable.base == r->durable.epoch)
			send_used(r);
	claim_advance(r);
}

void handover_refused(struct replicate *r)
{
	claim_advance(r);
}

void handover_lost(struct replicate *r)
{
	r->want_sent = r->peer_wants = false; /* "asked" dies with the connection */
}

void handover_tick(struct replicate *r)
{
	if (r->now_ms < r->claim_deadline_ms)
		return;
	if (r->attachment == ATTACHMENT_CLAIMING || r->claim_after_release)
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
		"NONE", "CLAIMING", "CLAIMED", "ACTIVATING", "ACTIVE", "RELEASING",
	};

	return s < sizeof(names) / sizeof(names[0]) ? names[s] : "?";
}

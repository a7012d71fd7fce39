/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reserve.c: a running guest moves: reserve, commit, and every way back (docs/HANDOVER.md, R2 to R4, R8 to R10).
 *
 *            destination                                     source
 *   add ──> RESERVING   ──── RESERVE(nonce, uuid) ────>  [on_reserve] ring held, then: is the guest suspended?
 *                                                        [replicate_suspended] reservation durable
 *           RESERVED    <─── GRANT(nonce, id) ────────   [STEP_RESERVED] serves what is before the mark
 *   state 3 COMMITTING  ──── COMMIT(id) ──────────────>  [on_commit] until the ring is quiet
 *                                                        [commit_advance] {GIVEN, epoch + 1} durable
 *           ACTIVE      <─── GIVE(epoch, base) ───────   [STEP_GIVE] HANDED_OVER
 *
 * Invariants
 *  1. The ring is held before the domain is looked at: what the guest does between the look and the
 *     reservation lies beyond the mark, and ends the reservation (R2, R3).
 *  2. A reservation is durable before it is granted, and over durably before anything beyond the mark is
 *     consumed (R3).
 *  3. The token is given for the durable reservation only, with nothing in flight on either node and nothing
 *     new in the ring (R4).
 *  4. A copy of the guest whose reservation is over is STALE and never served (R8, R10).
 *
 * Crash argument: docs/HANDOVER.md, section 5.
 */
#include "backend/replicate_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void send_reservation(struct replicate *r, enum packet_type type, uint64_t id)
{
	struct packet p = { .type = type };

	if (!id || r->connection != CONNECTION_CONNECTED)
		return;
	p.reservation.id = id;
	r->ops->send(r->ctx, &p, NULL);
}

static void send_refusal(struct replicate *r, enum packet_type type, uint64_t nonce, const char *why)
{
	struct packet p = { .type = type };

	p.refuse.nonce = nonce;
	snprintf(p.refuse.why, sizeof(p.refuse.why), "%s", why);
	r->ops->send(r->ctx, &p, NULL);
}

/* ---- a copy of the guest that was overtaken ---- */

void outdate(struct replicate *r, const char *fmt, ...)
{
	bool connecting = r->attachment == ATTACHMENT_COMMITTING;
	char why[REPLICATE_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (!attachment_event(r, EVENT_OUTDATE))
		return;
	memcpy(r->stale_why, why, sizeof(why));
	r->kept.stale = true;
	r->want_back = false;
	attachment_kept(r);
	r->ops->outdated(r->ctx, r->stale_why);
	if (connecting)
		r->ops->activated(r->ctx, -ESTALE, r->stale_why);
}

static bool arriving(const struct replicate *r)
{
	return r->attachment == ATTACHMENT_RESERVED || r->attachment == ATTACHMENT_COMMITTING;
}

void outdate_overtaken(struct replicate *r)
{
	if (r->wanted.token != TOKEN_HELD && r->kept.served && r->kept.served < r->wanted.base)
		outdate(r, "the guest has run on %s since", r->cfg.peer_host);
}

void outdate_unreserved(struct replicate *r)
{
	if (arriving(r) && r->peer.token == TOKEN_HELD && r->peer.reservation != r->kept.reserved)
		outdate(r, "the guest went on at %s while the connection was lost", r->cfg.peer_host);
}

void replicate_outdate(struct replicate *r, const char *why, uint64_t now_ms)
{
	r->now_ms = now_ms;
	if (r->wanted.token != TOKEN_HELD) {
		if (arriving(r))
			send_reservation(r, PACKET_ENDED, r->kept.reserved);
		if (arriving(r) || r->attachment == ATTACHMENT_HANDED_OVER)
			outdate(r, "another disk of this guest: %s", why);
	}
	replicate_settle(r);
}

/* ---- the destination ---- */

void reserve_ask(struct replicate *r)
{
	struct packet p = { .type = PACKET_RESERVE };
	char why[REPLICATE_TEXT];

	if (r->wanted.token == TOKEN_HELD) {
		snprintf(why, sizeof(why),
			 "%s: %s holds the token itself, so no guest of %s can be arriving with this disk",
			 r->cfg.name, r->cfg.self_host, r->cfg.peer_host);
		claim_refuse(r, -EPERM, why);
		return;
	}
	if (r->reserve_sent)
		return;
	r->reserve_sent = true;
	r->reserve_nonce = r->reserve_nonce ? r->reserve_nonce + 1 : (r->ops->random(r->ctx) >> 1) + 1;
	p.reserve.nonce = r->reserve_nonce;
	memcpy(p.reserve.uuid, r->guest.uuid, sizeof(p.reserve.uuid));
	snprintf(p.reserve.who, sizeof(p.reserve.who), "%s", r->guest.who);
	r->ops->send(r->ctx, &p, NULL);
}

static bool same_disk(const struct replicate *r, const struct packet_grant *g)
{
	return g->gen.current == r->durable.gen.current && g->agreed.sectors == r->durable.agreed.sectors &&
	       g->agreed.block_size == r->durable.agreed.block_size;
}

static void on_grant(struct replicate *r, const struct packet_grant *g)
{
	char why[REPLICATE_TEXT];

	if (r->attachment != ATTACHMENT_RESERVING || !r->reserve_sent || g->nonce != r->reserve_nonce) {
		if (g->id != r->kept.reserved) /* not a repetition: nobody here wants it any more */
			send_reservation(r, PACKET_ENDED, g->id);
		return;
	}
	if (!same_disk(r, g)) {
		snprintf(why, sizeof(why), "%s: the disks on %s and %s are not the same (generations %016llX and %016llX)",
			 r->cfg.name, r->cfg.self_host, r->cfg.peer_host,
			 (unsigned long long)r->durable.gen.current, (unsigned long long)g->gen.current);
		send_reservation(r, PACKET_ENDED, g->id);
		claim_refuse(r, -EPROTO, why);
		return;
	}
	r->claim_deadline_ms = UINT64_MAX;
	r->kept.reserved = g->id;
	attachment_kept(r);
	attachment_event(r, EVENT_GRANT);
	r->ops->claimed(r->ctx, 0, "");
}

static void on_reserve_refuse(struct replicate *r, const struct packet_refuse *p)
{
	if (r->attachment == ATTACHMENT_RESERVING && r->reserve_sent && p->nonce == r->reserve_nonce)
		claim_refuse(r, -EBUSY, p->why);
}

/* The token may be here already: the source's device was closed first (R9). */
void commit_ask(struct replicate *r)
{
	if (token_held(r)) {
		serve_arrived(r);
	} else if (r->wanted.token != TOKEN_HELD && r->connection == CONNECTION_CONNECTED && !r->commit_sent) {
		r->commit_sent = true;
		send_reservation(r, PACKET_COMMIT, r->kept.reserved);
	}
}

static void on_commit_refuse(struct replicate *r, const struct packet_refuse *p)
{
	if (arriving(r) && p->nonce == r->kept.reserved && r->wanted.token != TOKEN_HELD)
		outdate(r, "%s", p->why);
}

void reserve_release(struct replicate *r)
{
	if (arriving(r) && r->wanted.token != TOKEN_HELD)
		send_reservation(r, PACKET_ENDED, r->kept.reserved);
}

/* ---- the source ---- */

/* Why the guest here cannot be handed over now: fills `why`. */
static bool unable(const struct replicate *r, char *why, size_t size)
{
	if (r->left || r->yielding)
		snprintf(why, size, "drbdxd on %s is being %s: try again", r->cfg.self_host,
			 r->left && !r->parking ? "started" : "stopped");
	else if (!token_held(r))
		snprintf(why, size, "%s does not hold the token of %s either", r->cfg.self_host, r->cfg.name);
	else if (r->attachment == ATTACHMENT_NONE || r->attachment == ATTACHMENT_RELEASING)
		snprintf(why, size, "no guest has %s on %s, so none can be arriving from there", r->cfg.name,
			 r->cfg.self_host);
	else if (r->attachment != ATTACHMENT_ACTIVE)
		snprintf(why, size, "%s on %s is not being served: %.120s is %s", r->cfg.name, r->cfg.self_host,
			 r->guest.who, attachment_state_name(r->attachment));
	else if (r->commit_waits)
		snprintf(why, size, "a hand-over of %s from %s is under way", r->cfg.name, r->cfg.self_host);
	else
		return false;
	return true;
}

static void send_grant(struct replicate *r)
{
	struct packet p = { .type = PACKET_GRANT };

	p.grant.nonce = r->asked.nonce;
	p.grant.id = r->durable.reservation;
	p.grant.gen = r->durable.gen;
	p.grant.agreed = r->durable.agreed;
	r->ops->send(r->ctx, &p, NULL);
}

static void refuse_reserve(struct replicate *r, const char *why)
{
	r->asked.looking = false;
	say(r, "reservation for %s on %s refused: %s", r->asked.who, r->cfg.peer_host, why);
	send_refusal(r, PACKET_RESERVE_REFUSE, r->asked.nonce, why);
	r->asked.nonce = 0;
}

void reservation_over(struct replicate *r, uint64_t tell)
{
	r->ended = tell;
	r->commit_waits = false;
	r->wanted.reservation = 0;
	superblock_want(r, STEP_ENDED);
}

/* This copy of the guest is not that of an earlier reservation, which is over, and its mark with it. */
static void hold_anew(struct replicate *r)
{
	if (r->wanted.reservation)
		reservation_over(r, 0);
	unhold(r);
	hold(r);
}

static void on_reserve(struct replicate *r, const struct packet_reserve *p)
{
	char why[WIRE_TEXT];

	if (p->nonce == r->asked.nonce) { /* a repetition: the same answer, if there is one already */
		if (!r->asked.looking && r->durable.reservation && r->wanted.reservation == r->durable.reservation)
			send_grant(r);
		return;
	}
	if (p->nonce < r->asked.newest) /* a repetition of one that a later one has replaced: nonces grow */
		return;
	r->asked.nonce = r->asked.newest = p->nonce;
	snprintf(r->asked.who, sizeof(r->asked.who), "%s", p->who);
	if (unable(r, why, sizeof(why))) {
		refuse_reserve(r, why);
		return;
	}
	hold_anew(r);
	r->asked.looking = true;
	r->asked.query = r->ops->random(r->ctx);
	r->ops->look_suspended(r->ctx, r->asked.query, p->uuid);
}

/* The guest that is being looked at is gone, or left to the next daemon: the answer would be about another one. */
void reserve_unanswered(struct replicate *r)
{
	if (r->asked.looking)
		refuse_reserve(r, "the guest at the source is gone, or its daemon is being stopped");
}

static void unhold_unreserved(struct replicate *r)
{
	if (!r->wanted.reservation && !r->asked.looking && token_held(r))
		unhold(r);
}

void replicate_suspended(struct replicate *r, uint64_t query, int rc, const char *why, uint64_t now_ms)
{
	char words[WIRE_TEXT];

	r->now_ms = now_ms;
	if (!r->asked.looking || query != r->asked.query)
		return;
	if (rc || unable(r, words, sizeof(words))) {
		refuse_reserve(r, rc ? why : words);
		unhold_unreserved(r);
	} else {
		r->asked.looking = false;
		do /* 0 means none */
			r->wanted.reservation = r->ops->random(r->ctx);
		while (!r->wanted.reservation);
		say(r, "reserved for %s on %s", r->asked.who, r->cfg.peer_host);
		superblock_want(r, STEP_RESERVED);
	}
	replicate_settle(r);
}

void replicate_resumed(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	if (!r->held)
		return;
	if (r->wanted.token == TOKEN_HELD) {
		say(r, "%s was resumed here: no hand-over", r->guest.who);
		if (r->asked.looking)
			refuse_reserve(r, "the guest was resumed at its source");
		reservation_over(r, r->wanted.reservation);
	} else if (r->attachment == ATTACHMENT_HANDED_OVER) {
		r->want_back = true;
		want_back_advance(r);
	}
	replicate_settle(r);
}

static void on_commit(struct replicate *r, uint64_t id)
{
	char why[WIRE_TEXT];

	if (r->wanted.token != TOKEN_HELD)
		return; /* given already: GIVE is on its way, or comes after the next HELLO */
	if (id != r->durable.reservation || id != r->wanted.reservation) {
		snprintf(why, sizeof(why), "the guest went on at %s after this copy of it was made", r->cfg.self_host);
		send_refusal(r, PACKET_COMMIT_REFUSE, id, why);
		return;
	}
	r->commit_waits = true;
	commit_advance(r);
}

void commit_advance(struct replicate *r)
{
	bool ready = r->attachment == ATTACHMENT_ACTIVE || r->attachment == ATTACHMENT_NONE;

	if (r->commit_waits && ready && token_held(r) && !r->left && !r->guest_count && r->ops->quiet(r->ctx))
		token_give(r);
}

void replicate_quiet(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	commit_advance(r);
	replicate_settle(r);
}

/* ---- both ---- */

static void on_ended(struct replicate *r, uint64_t id)
{
	if (r->wanted.token == TOKEN_HELD && id == r->wanted.reservation)
		reservation_over(r, 0); /* its copy of the guest is gone */
	else if (arriving(r) && r->wanted.token != TOKEN_HELD && id == r->kept.reserved)
		outdate(r, "the guest was resumed on %s", r->cfg.peer_host);
}

void reserve_packet(struct replicate *r, const struct packet *p)
{
	switch (p->type) {
	case PACKET_RESERVE:
		on_reserve(r, &p->reserve);
		break;
	case PACKET_GRANT:
		on_grant(r, &p->grant);
		break;
	case PACKET_RESERVE_REFUSE:
		on_reserve_refuse(r, &p->refuse);
		break;
	case PACKET_COMMIT:
		on_commit(r, p->reservation.id);
		break;
	case PACKET_COMMIT_REFUSE:
		on_commit_refuse(r, &p->refuse);
		break;
	default:
		on_ended(r, p->reservation.id);
		break;
	}
}

/* One write can make a reservation and its end durable. */
static void step_reserved(struct replicate *r)
{
	if (!r->asked.nonce || r->asked.looking || r->connection != CONNECTION_CONNECTED)
		return;
	if (!r->wanted.reservation)
		refuse_reserve(r, "the guest went on at its source, or is gone");
	else if (r->durable.reservation == r->wanted.reservation)
		send_grant(r);
}

void reserve_step(struct replicate *r, enum step step)
{
	if (step == STEP_RESERVED) {
		step_reserved(r);
		return;
	}
	send_reservation(r, PACKET_ENDED, r->ended); /* ahead of any DATA */
	r->ended = 0;
	unhold_unreserved(r);
}

void reserve_lost(struct replicate *r)
{
	r->reserve_sent = r->commit_sent = false;
	r->commit_waits = false;
	if (r->asked.looking) {
		r->asked.looking = false;
		unhold_unreserved(r);
	}
	r->asked.nonce = r->asked.newest = 0;
}

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

bool arriving(const struct replicate *r)
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

void outdate_unfulfilled(struct replicate *r, uint64_t reservation)
{
	if (arriving(r) && reservation != r->kept.reserved)
		outdate(r, "%s gave the token, but not for this copy of the guest", r->cfg.peer_host);
}

/* Served, and nothing has been executed with this token. */
static bool never_used(const struct replicate *r)
{
	return r->attachment == ATTACHMENT_ACTIVE && r->wanted.base < r->wanted.epoch;
}

void replicate_outdate(struct replicate *r, const char *why, uint64_t now_ms)
{
	wake(r, now_ms);
	if (arriving(r) && r->wanted.token != TOKEN_HELD)
		send_reservation(r, PACKET_ENDED, r->kept.reserved);
	if (arriving(r) || r->attachment == ATTACHMENT_HANDED_OVER || never_used(r))
		outdate(r, "another disk of this guest: %s", why);
	token_advance(r);
	replicate_settle(r);
}

/* ---- the destination ---- */

void reserve_ask(struct replicate *r)
{
	struct packet p = { .type = PACKET_RESERVE };
	char why[REPLICATE_TEXT];

	if (r->wanted.token == TOKEN_HELD) {
		snprintf(why, sizeof(why),
			 "%s: %s holds the token itself, so no guest of %s can be arriving with this disk: see 'backend-ctl status %s' "
			 "there",
			 r->cfg.name, r->cfg.self_host, r->cfg.peer_host, r->cfg.name);
		claim_refuse(r, -EPERM, why);
		return;
	}
	if (r->reserve_sent || resize_under_way(r))
		return;
	r->reserve_sent = true;
	p.reserve.nonce = ++r->reserve_nonce;
	memcpy(p.reserve.uuid, r->guest.uuid, sizeof(p.reserve.uuid));
	snprintf(p.reserve.who, sizeof(p.reserve.who), "%s", r->guest.who);
	r->ops->send(r->ctx, &p, NULL);
}

static bool same_disk(const struct replicate *r, const struct packet_grant *g)
{
	return (g->gen.current == r->durable.gen.current || r->detached || r->peer.diskless) && g->agreed.sectors == r->durable.agreed.sectors &&
	       g->agreed.block_size == r->durable.agreed.block_size;
}

static void on_grant(struct replicate *r, const struct packet_grant *g)
{
	char why[REPLICATE_TEXT];

	if (r->attachment != ATTACHMENT_RESERVING || !r->reserve_sent || g->nonce != r->reserve_nonce) {
		if (g->id != r->kept.reserved && !r->left) /* not a repetition: nobody here wants it, nor may a later daemon */
			send_reservation(r, PACKET_ENDED, g->id);
		return;
	}
	if (!same_disk(r, g)) {
		snprintf(why, sizeof(why), "%s: the disks on %s and %s are not the same (generations %016llX and %016llX): see 'backend-ctl status %s', and "
			 "migrate when both are up to date",
			 r->cfg.name, r->cfg.self_host, r->cfg.peer_host, (unsigned long long)r->durable.gen.current,
			 (unsigned long long)g->gen.current, r->cfg.name);
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
		claim_refuse_told(r, p->why);
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

/* ---- the source ---- */

static const char resumed_words[] = "the guest was resumed at its source: migrate it once more";
static const char gone_words[] = "the guest is gone at its source: start it with 'xl create'";

/* Why the guest here cannot be handed over now: fills `why`, for the partner, which puts the resource's name before it. */
static bool unable(const struct replicate *r, char *why, size_t size)
{
	if (r->left || r->yielding)
		snprintf(why, size, "drbdxd on %s is being %s: try again", r->cfg.self_host,
			 r->left && !r->parking ? "started" : "stopped");
	else if (!token_held(r))
		snprintf(why, size, "%s does not hold the token either: see 'backend-ctl status' there", r->cfg.self_host);
	else if (r->attachment == ATTACHMENT_NONE || r->attachment == ATTACHMENT_RELEASING)
		snprintf(why, size, "no guest has it on %s, so none can be arriving from there: start it with 'xl create'", r->cfg.self_host);
	else if (r->attachment != ATTACHMENT_ACTIVE && r->attachment != ATTACHMENT_CLAIMED)
		snprintf(why, size, "%.80s is not being served on %s (%s): see 'backend-ctl status' there", r->guest.who, r->cfg.self_host,
			 attachment_state_name(r->attachment));
	else if (r->io_suspended)
		snprintf(why, size, "I/O held on %s: 'backend-ctl resume-io %s' there", r->cfg.self_host, r->cfg.name);
	else if (r->commit_waits)
		snprintf(why, size, "a hand-over from %s is under way: try again when it has ended", r->cfg.self_host);
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
	r->asked.looking = r->asked.granted = r->asked.again = r->asked.hot = false;
	if (r->asked.nonce && r->connection == CONNECTION_CONNECTED) /* the asker's connection */
		send_refusal(r, PACKET_RESERVE_REFUSE, r->asked.nonce, why);
}

void reservation_over(struct replicate *r, uint64_t tell)
{
	r->ended = tell;
	r->commit_waits = false;
	r->wanted.reservation = 0;
	r->step_version[STEP_RESERVED] = 0;
	superblock_want(r, STEP_ENDED);
}

/* The guest's copy is another one than an earlier reservation's: that one is over, and its mark says nothing. */
static void hold_anew(struct replicate *r)
{
	if (r->wanted.reservation)
		reservation_over(r, 0);
	unhold(r);
	hold(r);
}

static void look(struct replicate *r)
{
	hold_anew(r);
	r->asked.looking = true;
	r->asked.resumed = r->asked.again = false;
	r->asked.query = r->ops->random(r->ctx);
	r->ops->look_suspended(r->ctx, r->asked.query, r->asked.uuid);
}

static void on_reserve(struct replicate *r, const struct packet_reserve *p)
{
	char why[WIRE_TEXT];

	if (p->nonce < r->asked.nonce)
		return; /* a late repetition: a newer one has been answered */
	if (p->nonce == r->asked.nonce) { /* a repetition: the same answer, if there is one already */
		if (r->asked.granted && r->durable.reservation && r->wanted.reservation == r->durable.reservation)
			send_grant(r);
		return;
	}
	r->asked.nonce = p->nonce;
	r->asked.granted = false;
	memcpy(r->asked.uuid, p->uuid, sizeof(r->asked.uuid));
	snprintf(r->asked.who, sizeof(r->asked.who), "%s", p->who);
	if (r->asked.looking)
		r->asked.again = true; /* one look at a time, whatever the partner sends (P4) */
	else if (unable(r, why, sizeof(why)))
		refuse_reserve(r, why);
	else
		look(r);
}

static void unhold_unreserved(struct replicate *r)
{
	if (!r->wanted.reservation && token_held(r) && (!r->asked.looking || r->asked.resumed))
		unhold(r);
}

void replicate_suspended(struct replicate *r, uint64_t query, int rc, const char *why, uint64_t now_ms)
{
	char words[WIRE_TEXT];

	wake(r, now_ms);
	if (!r->asked.looking || query != r->asked.query)
		return;
	if (r->asked.again && !unable(r, words, sizeof(words))) {
		look(r); /* for the newest RESERVE */
	} else if (rc || r->asked.resumed || unable(r, words, sizeof(words))) {
		why = rc ? why : r->asked.resumed ? resumed_words : words;
		say(r, "no reservation for %s on %s: %s", r->asked.who, r->cfg.peer_host, why);
		refuse_reserve(r, why);
		unhold_unreserved(r);
	} else {
		r->asked.looking = false;
		r->asked.granted = true;
		r->wanted.reservation = random_id(r);
		say(r, "reserved for %s on %s", r->asked.who, r->cfg.peer_host);
		superblock_want(r, STEP_RESERVED);
	}
	replicate_settle(r);
}

void replicate_resumed(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	if (!r->held)
		return;
	if (r->wanted.token == TOKEN_HELD) {
		say(r, "%s was resumed here: no hand-over", r->guest.who);
		r->asked.resumed = r->asked.looking; /* what the look finds has better words */
		if (r->step_version[STEP_RESERVED])
			refuse_reserve(r, resumed_words);
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
	if (!r->commit_waits || !token_quiet(r) || r->left ||
	    r->attachment == ATTACHMENT_RELEASING) /* that gives the token by itself */
		return;
	if (r->attachment == ATTACHMENT_STALE || r->ops->quiet(r->ctx))
		token_give(r, r->durable.reservation);
}

void replicate_quiet(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	commit_advance(r);
	replicate_settle(r);
}

/* ---- both ---- */

void reserve_release(struct replicate *r)
{
	if (r->asked.looking)
		refuse_reserve(r, r->parking ? "drbdxd is being stopped at the source: try again"
					     : gone_words);
	if (arriving(r) && !r->parking && r->wanted.token != TOKEN_HELD)
		send_reservation(r, PACKET_ENDED, r->kept.reserved);
}

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

/* Told on the next connection, if there is none: HELLO may have shown the reservation that has ended since. */
void reservation_tell(struct replicate *r)
{
	if (r->connection != CONNECTION_CONNECTED || r->step_version[STEP_ENDED])
		return;
	send_reservation(r, PACKET_ENDED, r->ended);
	r->ended = 0;
}

void reserve_step(struct replicate *r, enum step step)
{
	if (step == STEP_RESERVED) {
		if (!r->asked.granted || r->connection != CONNECTION_CONNECTED)
			return;
		if (r->durable.reservation && r->durable.reservation == r->wanted.reservation) {
			send_grant(r);
			r->asked.hot = true;
		} else /* it was closed in the same moment */
			refuse_reserve(r, gone_words);
		return;
	}
	reservation_tell(r); /* ahead of any DATA */
	unhold_unreserved(r);
}

void reserve_lost(struct replicate *r)
{
	bool looking = r->asked.looking;

	r->reserve_sent = r->commit_sent = false;
	r->commit_waits = false;
	r->asked.looking = r->asked.granted = r->asked.again = r->asked.hot = false;
	if (looking)
		unhold_unreserved(r);
	r->asked.nonce = 0;
}

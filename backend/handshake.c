/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handshake.c: two nodes meet: HELLO, READY, and for a new pair PAIR.
 *
 *   DISCONNECTED ─ connected ─> DRAINING ─ nothing of an older connection left ─> HELLO_SENT ─ HELLO ─┐
 *     ┌────────────────────────────────────────────────────────────────────────────────────────────────┘
 *     └─> SETTLING ─ READY both ways ─> CONNECTED
 *            └────── settle() refuses ─> REFUSED
 *
 * Invariants
 *  1. HELLO describes the durable superblock (but a disk that is broken is not CONSISTENT: detach.c); it is sent when no superblock
 *     write, no peer write and no copy of an older connection is on its way (P6).
 *  2. READY is sent after what the partner's HELLO asked of us is durable, and after the last write of a guest whose data
 *     do not count; no ACK and no GIVE leaves before READY has gone both ways (R8).
 *  3. Of two holders the loser gives its token up when the other's READY says that its epoch is the higher one, durably: nobody is to find a
 *     holder that remembers less than its partner.
 *  4. A node with a disk begins a generation for a partner without one when that one's READY says that its disk is not CONSISTENT.
 *  5. A node whose partner has the token on its way to it does not raise its epoch from
 *     HELLO: it would swallow the token (R8).
 *
 * Crash argument: each side's change is one superblock write, and every pair of durable
 * states that a crash can leave is one that settle() resolves: a PAIR that only the leader
 * stored is sent again; an adoption that was not stored is decided again from the same facts.
 */
#include "backend/replicate_private.h"
#include "backend/settle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BACK_WITHIN_MS 2000u /* so is a partner whose daemon is restarted, or that wanted to meet anew */

enum connection_event {
	EVENT_CONNECTED,
	EVENT_DRAINED,
	EVENT_HELLO,
	EVENT_SETTLED,
	EVENT_REFUSED,
	EVENT_LOST,
	EVENT_COUNT
};

#define NEVER		 CONNECTION_STATE_COUNT
#define CONNECTION_NEVER NEVER

/* clang-format off */
#define ROW(state, connected, drained, hello, settled, refused, lost) \
	[CONNECTION_##state] = { CONNECTION_##connected, CONNECTION_##drained, CONNECTION_##hello, \
				 CONNECTION_##settled, CONNECTION_##refused, CONNECTION_##lost }
static const enum connection_state connection_table[CONNECTION_STATE_COUNT][EVENT_COUNT] = {
	/*                CONNECTED  DRAINED     HELLO     SETTLED    REFUSED  LOST */
	ROW(DISCONNECTED, DRAINING,  NEVER,      NEVER,    NEVER,     NEVER,   DISCONNECTED),
	ROW(DRAINING,     NEVER,     HELLO_SENT, NEVER,    NEVER,     NEVER,   DISCONNECTED),
	ROW(HELLO_SENT,   NEVER,     NEVER,      SETTLING, NEVER,     NEVER,   DISCONNECTED),
	ROW(SETTLING,     NEVER,     NEVER,      NEVER,    CONNECTED, REFUSED, DISCONNECTED),
	ROW(CONNECTED,    NEVER,     NEVER,      NEVER,    NEVER,     NEVER,   DISCONNECTED),
	ROW(REFUSED,      NEVER,     NEVER,      NEVER,    NEVER,     NEVER,   DISCONNECTED),
};
/* clang-format on */

static const char *const event_names[EVENT_COUNT] = {
	"connected", "drained", "HELLO", "READY", "refused", "lost",
};

/* The one setter of r->connection. False: the event may not come in this state. */
static bool connection_event(struct replicate *r, enum connection_event event)
{
	enum connection_state next = connection_table[r->connection][event];

	if (next == NEVER)
		return false;
	if (next != r->connection) {
		say(r, "connection %s -> %s (%s%s%s)", connection_state_name(r->connection),
		    connection_state_name(next), event_names[event], r->why[0] ? ": " : "", r->why);
		r->connection = next;
		r->connection_since_ms = r->now_ms;
	}
	return true;
}

/* At least 1 if there may be marks that have not been read: "none" must be certain. */
static uint64_t marked(const struct replicate *r)
{
	uint64_t bits = bitmap_bits(r->bitmap);

	if (bitmap_all_known(r->bitmap))
		return bits;
	if (r->durable.flags & SB_BITMAP_SUMMED && r->durable.bitmap_bits > bits)
		return r->durable.bitmap_bits;
	return bits ? bits : 1;
}

static void fill_hello(struct replicate *r, struct packet_hello *h)
{
	const struct superblock *sb = &r->durable;

	memset(h, 0, sizeof(*h));
	h->token = sb->token;
	h->flags = sb->flags & ~SB_FORCED_BY_WAIT; /* which concerns nobody else */
	if (r->detached && !disk_returnable(r))
		h->flags &= ~SB_CONSISTENT;
	h->epoch = sb->epoch;
	h->base = sb->base;
	h->reservation = sb->reservation;
	h->gen = sb->gen;
	h->agreed = sb->agreed;
	h->offer = r->cfg.offer;
	memcpy(h->device_uuid, sb->device_uuid, sizeof(h->device_uuid));
	h->window_bytes = r->cfg.window_bytes;
	h->window_requests = r->cfg.window_requests;
	h->bits = marked(r);
	h->diskless = r->detached;
	h->primary = sb->token == TOKEN_HELD && (r->attachment == ATTACHMENT_ACTIVE || r->attachment == ATTACHMENT_CLAIMED ||
						 r->attachment == ATTACHMENT_RELEASING);
	h->discard = r->discard_my_data;
	h->after_sb_0pri = r->cfg.after_sb.zero;
	h->after_sb_1pri = r->cfg.after_sb.one;
	h->after_sb_2pri = r->cfg.after_sb.two;
	h->always_asbp = r->cfg.after_sb.always;
	h->fresh = random_id(r);
}

static void refuse(struct replicate *r)
{
	r->discard_my_data = false; /* it was for this meeting */
	connection_event(r, EVENT_REFUSED);
	claim_advance(r);
}

/* What guests are offered from now on. Whoever was offered more before is not refused it: what a disk cannot discard is written with
 * zeroes. */
static void agree_on_discards(struct replicate *r)
{
	r->wanted.discard_unit = settle_discard_unit(&r->own.offer, &r->peer.offer);
	r->wanted.discard_secure = settle_discard_secure(&r->own.offer, &r->peer.offer);
}

static void lead_pair(struct replicate *r)
{
	struct superblock *sb = &r->wanted;

	agree_on_discards(r);
	if (sb->flags & SB_JUST_CREATED) {
		struct features agreed;

		settle_features(&r->cfg.offer, &r->peer.offer, &agreed);
		if (!marks_agree(r, agreed.sectors))
			return;
		sb->agreed = agreed;
		sb->gen.current = r->own.fresh;
		sb->epoch = 1;
		sb->base = 0;
		sb->token = TOKEN_HELD;
		sb->flags &= ~SB_JUST_CREATED;
	}
	sb->flags &= ~(SB_OUTDATED | SB_PEER_OUTDATED);
	if (r->verdict == SYNC_SOURCE_FULL)
		marks_set_all(r);
	superblock_want(r, STEP_PAIR);
}

/* The token is the partner's, and whoever was served here is overtaken by what it did. */
static void adopt(struct replicate *r, uint64_t epoch)
{
	struct superblock *sb = &r->wanted;
	bool lost = sb->token == TOKEN_HELD; /* a split brain was decided against us */

	unconfirm(r);
	sb->token = TOKEN_NONE;
	sb->epoch = epoch;
	sb->base = r->peer.base;
	sb->reservation = 0;
	if (lost) {
		outdate(r, "what %s wrote alone was thrown away for what %s wrote", r->cfg.self_host, r->cfg.peer_host);
		requests_discard(r);
	}
	outdate_unreserved(r);
	outdate_overtaken(r);
}

/* Our guest goes on, if there is one, in an epoch that is higher than whatever the partner served in. */
static void raise_epoch(struct replicate *r)
{
	struct superblock *sb = &r->wanted;
	/* not of a guest that an earlier daemon left: its record tells the epoch in which it was served, which is not overtaken */
	bool used = sb->base == sb->epoch && !r->left, certain = alone_allowed(r);

	sb->epoch = settle_raised(&r->own, &r->peer);
	if (used && r->attachment == ATTACHMENT_ACTIVE)
		r->kept.served = sb->epoch; /* R1: recorded first */
	if (certain)
		r->kept.confirmed = sb->epoch; /* should the connection be lost before the end of this meeting */
	attachment_kept(r);
	if (used)
		sb->base = sb->epoch;
}

static void take_token(struct replicate *r, enum settle_verdict verdict)
{
	if (verdict == SETTLE_ADOPT)
		adopt(r, r->own.token == TOKEN_HELD ? settle_raised(&r->own, &r->peer) : r->peer.epoch);
	else if (verdict == SETTLE_RAISE)
		raise_epoch(r);
}

/* Whose data count, as far as it has to be durable before READY. */
static void take_data(struct replicate *r)
{
	struct superblock *sb = &r->wanted;

	agree_on_discards(r);
	sb->flags &= ~(SB_CRASHED | SB_PEER_OUTDATED);
	if (r->verdict == SYNC_TARGET_FULL || r->verdict == SYNC_SOURCE_FULL)
		marks_set_all(r);
	if (sync_is_target(r->verdict)) {
		generation_become_target(&sb->gen, &r->peer.gen);
		sb->flags &= ~(SB_CONSISTENT | SB_OUTDATED | SB_MIXED);
	} else if (sync_is_source(r->verdict)) {
		sb->flags &= ~SB_OUTDATED; /* its data count */
		r->settling_as_source = true;
	} else {
		sb->flags &= ~SB_MIXED;
	}
	/* One disk only: what is written from now on is written under a generation of its own [begin_lone], and is marked on this node:
	 * SB_IN_USE makes its log count (marks.c). The node without a disk keeps its generation: that is what its disk holds, should it come back. */
	if (r->peer.diskless) {
		sb->flags |= SB_IN_USE;
	} else if (r->detached) {
		sb->flags &= ~SB_CONSISTENT;
	}
}

/* The partner has no disk, and our data have no generation of their own yet. */
static bool lone_due(const struct replicate *r)
{
	return r->peer.diskless && !r->detached && !r->wanted.gen.bitmap && !((r->own.flags | r->peer.flags) & SB_JUST_CREATED);
}

/* The partner's READY: its disk, should it come back, is durably not CONSISTENT, so that it cannot go on alone with that. */
static void begin_lone(struct replicate *r)
{
	if (!lone_due(r))
		return;
	generation_alone(&r->wanted.gen, r->own.fresh, NULL);
	superblock_want(r, STEP_READY);
}

static void settle_now(struct replicate *r);

/* The handler may take a snapshot of what will be inconsistent, and may forbid it. False: it is being asked. */
static bool target_allowed(struct replicate *r)
{
	if (r->target_allowed || !sync_is_target(r->verdict) || !(r->wanted.flags & SB_CONSISTENT) || r->detached ||
	    resync_empty(r) || !has_handler(r, HANDLER_BEFORE_RESYNC_TARGET))
		return true;
	r->target_asked = true;
	run_handler(r, HANDLER_BEFORE_RESYNC_TARGET);
	return false;
}

void handshake_handled(struct replicate *r, bool ok)
{
	if (!r->target_asked || r->connection != CONNECTION_SETTLING)
		return;
	r->target_asked = false;
	r->target_allowed = ok;
	if (ok)
		settle_now(r);
	else
		r->ops->disconnect(r->ctx, "the handler before-resync-target failed, so there is no resync to here: see the log (journalctl -u drbdxd) for why; trying again");
}

/* What a person is told of a meeting that went wrong, or that threw something away. */
static void run_meeting_handlers(struct replicate *r, enum settle_verdict verdict, const struct generation_decision *data)
{
	bool loses = sync_is_target(data->verdict);

	if (data->split_brain || data->verdict == SYNC_SPLIT_BRAIN)
		run_handler(r, HANDLER_INITIAL_SPLIT_BRAIN);
	if (verdict != SETTLE_REFUSE)
		return;
	if (data->verdict == SYNC_SPLIT_BRAIN)
		run_handler(r, HANDLER_SPLIT_BRAIN);
	if (!data->primary_loses || !loses)
		return;
	if (data->call_pri_lost)
		run_handler(r, HANDLER_PRI_LOST_AFTER_SB);
	else if (r->cfg.call_pri_lost)
		run_handler(r, HANDLER_PRI_LOST);
}

/* A node gave its disk up for the other's, which cannot take its place: it is taken back, and the two meet anew. False: that is not the case. */
static bool settle_disks(struct replicate *r, const struct settle_side *self, const struct settle_side *peer)
{
	const struct settle_side *back = settle_returning(self, peer);

	if (!back)
		return false;
	r->verdict = SYNC_NONE;
	if (self->hello->diskless && peer->hello->diskless)
		snprintf(r->why, sizeof(r->why), "%s and %s gave their disks up at the same moment, and that of %s is taken back", r->cfg.self_host,
			 r->cfg.peer_host, back->host);
	else
		snprintf(r->why, sizeof(r->why), "%s gave its disk up at the moment when that of %s became unusable, and it is taken back", back->host,
			 back == self ? r->cfg.peer_host : r->cfg.self_host);
	connection_event(r, EVENT_REFUSED);
	if (back != self)
		return true; /* it closes the connection */
	if (disk_returnable(r))
		disk_return(r, r->why);
	else
		reconnect(r, "its disk has failed since"); /* and its next HELLO says so */
	return true;
}

static void settle_now(struct replicate *r)
{
	struct settle_side self = { r->cfg.self_host, &r->own, r->cfg.first };
	struct settle_side peer = { r->cfg.peer_host, &r->peer, !r->cfg.first };
	struct generation_decision data;
	enum settle_verdict verdict;

	if (r->connection == CONNECTION_HELLO_SENT)
		connection_event(r, EVENT_HELLO);
	if (settle_disks(r, &self, &peer))
		return;
	verdict = settle(r->cfg.name, &self, &peer, &data, r->why, sizeof(r->why));
	r->verdict = verdict == SETTLE_REFUSE ? SYNC_NONE : data.verdict;
	if (!target_allowed(r))
		return;
	r->awaits_winner = verdict == SETTLE_ADOPT && r->own.token == TOKEN_HELD && !r->ready_received;
	if (r->awaits_winner)
		return;
	run_meeting_handlers(r, verdict, &data);
	if (data.rule && verdict != SETTLE_REFUSE && data.verdict != SYNC_NONE)
		say(r, "%s (rule %u): %s", sync_verdict_name(data.verdict), data.rule, r->why);
	switch (verdict) {
	case SETTLE_KEEP:
	case SETTLE_ADOPT:
	case SETTLE_RAISE:
		if (!resize_met(r))
			break;
		take_token(r, verdict);
		take_data(r);
		superblock_want(r, STEP_READY);
		break;
	case SETTLE_PAIR_LEAD:
		lead_pair(r);
		break;
	case SETTLE_PAIR_FOLLOW:
		break; /* PAIR comes */
	case SETTLE_REFUSE:
		refuse(r);
		break;
	}
}

bool handshake_begin(struct replicate *r)
{
	struct packet p;

	if (r->connection != CONNECTION_DRAINING || r->peer_count || r->copies || r->write_busy ||
	    r->wanted_version != r->durable_version)
		return false;
	p = (struct packet){ .type = PACKET_HELLO };
	fill_hello(r, &p.hello);
	r->own = p.hello;
	r->ops->send(r->ctx, &p, NULL);
	connection_event(r, EVENT_DRAINED);
	if (r->peer_current)
		settle_now(r);
	return true;
}

static int on_hello(struct replicate *r, const struct packet_hello *h)
{
	if (r->peer_current || r->connection < CONNECTION_DRAINING || r->connection > CONNECTION_HELLO_SENT) {
		protocol_error(r, "HELLO in state %s", connection_state_name(r->connection));
		return -EPROTO;
	}
	r->peer = *h;
	r->peer_known = r->peer_current = true;
	if (r->connection == CONNECTION_HELLO_SENT)
		settle_now(r);
	return 0;
}

static int on_pair(struct replicate *r, const struct packet_pair *p)
{
	struct superblock *sb = &r->wanted;

	if (r->connection != CONNECTION_SETTLING || !(sb->flags & SB_JUST_CREATED) || !p->generation ||
	    !p->epoch || !settle_features_cover(&r->cfg.offer, &p->agreed)) {
		protocol_error(r, "PAIR that does not fit this node");
		return -EPROTO;
	}
	if (!marks_agree(r, p->agreed.sectors))
		return 0;
	agree_on_discards(r);
	sb->gen = (struct generations){ .current = p->generation };
	sb->agreed = p->agreed;
	sb->epoch = p->epoch;
	sb->base = 0;
	sb->token = TOKEN_NONE;
	sb->flags &= ~(SB_JUST_CREATED | SB_OUTDATED | SB_PEER_OUTDATED);
	if (r->verdict == SYNC_TARGET_FULL) {
		sb->flags &= ~SB_CONSISTENT;
		marks_set_all(r);
	}
	superblock_want(r, STEP_READY);
	return 0;
}

static void settled(struct replicate *r)
{
	if (!r->ready_sent || !r->ready_received || !connection_event(r, EVENT_SETTLED))
		return;
	r->why[0] = '\0';
	if (sync_is_source(r->verdict)) /* what READY said is durable there */
		r->peer.flags &= ~(SB_CONSISTENT | SB_OUTDATED);
	if (sync_is_target(r->verdict) || (r->own.flags | r->peer.flags) & SB_JUST_CREATED) /* PAIR: nobody has newer data */
		r->peer.flags &= ~SB_OUTDATED;
	r->peer.flags &= ~SB_JUST_CREATED;
	if (r->verdict == SYNC_NONE && r->wanted.flags & SB_FORCED) { /* not before: the partner's older token is gone, durably */
		r->wanted.flags &= ~(SB_FORCED | SB_FORCED_BY_WAIT);
		superblock_want(r, STEP_NOTED);
	}
	if (r->wanted.gen.bitmap && !r->peer.diskless && !sync_is_target(r->verdict)) {
		generation_met(&r->wanted.gen);
		superblock_want(r, STEP_MET);
	} else {
		r->settling_as_source = false;
	}
	alone_met(r);
	requests_connection_up(r);
	handover_connected(r);
	resync_met(r);
}

int handshake_packet(struct replicate *r, const struct packet *p)
{
	if (p->type == PACKET_HELLO)
		return on_hello(r, &p->hello);
	if (p->type == PACKET_PAIR)
		return on_pair(r, &p->pair);
	if (r->connection == CONNECTION_REFUSED)
		return 0; /* the partner sent READY before it knew */
	if (r->connection != CONNECTION_SETTLING || r->ready_received) {
		protocol_error(r, "READY in state %s", connection_state_name(r->connection));
		return -EPROTO;
	}
	r->ready_received = true;
	if (r->awaits_winner)
		settle_now(r);
	begin_lone(r);
	settled(r);
	return 0;
}

void handshake_step(struct replicate *r, enum step step)
{
	if (step == STEP_MET) {
		if (r->connection == CONNECTION_CONNECTED)
			r->settling_as_source = false;
		return;
	}
	if (r->connection != CONNECTION_SETTLING || lone_due(r))
		return;
	if (step == STEP_PAIR) {
		struct packet p = { .type = PACKET_PAIR };

		p.pair.generation = r->durable.gen.current;
		p.pair.epoch = r->durable.epoch;
		p.pair.agreed = r->durable.agreed;
		r->ops->send(r->ctx, &p, NULL);
	}
	fence_over(r);
	resize_ready(r);
	send_simple(r, PACKET_READY);
	r->ready_sent = true;
	settled(r);
}

void handshake_lost(struct replicate *r, const char *why)
{
	snprintf(r->why, sizeof(r->why), "%s", why);
	if (r->ready_sent)
		r->back_ms = r->now_ms + BACK_WITHIN_MS;
	if (r->peer_back_ms && r->alone_ms < r->now_ms + r->peer_back_ms)
		r->alone_ms = r->now_ms + r->peer_back_ms;
	r->peer_back_ms = 0;
	r->peer_current = r->ready_sent = r->ready_received = r->reconnecting = false;
	r->target_asked = r->target_allowed = r->awaits_winner = false;
	if (r->connection == CONNECTION_CONNECTED) {
		r->apart_ms = r->now_ms;
		run_handler(r, HANDLER_DISCONNECTED);
	}
	r->step_version[STEP_READY] = r->step_version[STEP_PAIR] = 0;
	connection_event(r, EVENT_LOST);
}

void replicate_partner_restarts(struct replicate *r, uint32_t within_ms, uint64_t now_ms)
{
	wake(r, now_ms);
	if (r->connection != CONNECTION_CONNECTED)
		return;
	say(r, "another program takes the place of drbdxd on %s: it is waited for for %u ms", r->cfg.peer_host, within_ms);
	r->peer_back_ms = within_ms;
}

void handshake_guest_gone(struct replicate *r)
{
	if (r->connection == CONNECTION_REFUSED && r->own.primary) /* it may have been for the guest */
		reconnect(r, "its guest is gone, so the two meet anew");
}

void replicate_link_problem(struct replicate *r, const char *why, uint64_t now_ms)
{
	wake(r, now_ms);
	if (r->connection != CONNECTION_DISCONNECTED)
		return;
	snprintf(r->why, sizeof(r->why), "%s", why);
	replicate_settle(r);
}

void replicate_connected(struct replicate *r, uint64_t now_ms)
{
	wake(r, now_ms);
	r->why[0] = '\0';
	connection_event(r, EVENT_CONNECTED);
	replicate_settle(r);
}

const char *connection_state_name(enum connection_state s)
{
	static const char *const names[] = {
#define X(name, what) #name,
		CONNECTION_STATES(X)
#undef X
	};

	return s < CONNECTION_STATE_COUNT ? names[s] : "?";
}

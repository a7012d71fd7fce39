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
 *  1. HELLO describes the durable superblock; it is sent when no superblock write and no
 *     peer write of an older connection is on its way (P6).
 *  2. READY is sent after what the partner's HELLO asked of us is durable; no ACK and no
 *     GIVE leaves before READY has gone both ways (R8).
 *  3. A node whose partner has the token on its way to it does not raise its epoch from
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

static void fill_hello(const struct replicate *r, struct packet_hello *h)
{
	const struct superblock *sb = &r->durable;

	memset(h, 0, sizeof(*h));
	h->token = sb->token;
	h->flags = sb->flags;
	h->epoch = sb->epoch;
	h->base = sb->base;
	h->reservation = sb->reservation;
	h->gen = sb->gen;
	h->agreed = sb->agreed;
	h->offer = r->cfg.offer;
	memcpy(h->device_uuid, sb->device_uuid, sizeof(h->device_uuid));
	h->window_bytes = r->cfg.window_bytes;
	h->window_requests = r->cfg.window_requests;
}

static void refuse(struct replicate *r)
{
	connection_event(r, EVENT_REFUSED);
	claim_advance(r);
}

static void lead_pair(struct replicate *r)
{
	struct superblock *sb = &r->wanted;

	if (sb->flags & SB_JUST_CREATED) {
		settle_features(&r->cfg.offer, &r->peer.offer, &sb->agreed);
		do /* 0 means none */
			sb->gen.current = r->ops->random(r->ctx);
		while (!sb->gen.current);
		sb->epoch = 1;
		sb->base = 0;
		sb->token = TOKEN_HELD;
		sb->flags &= ~SB_JUST_CREATED;
	}
	superblock_want(r, STEP_PAIR);
}

static void adopt(struct replicate *r)
{
	struct superblock *sb = &r->wanted;

	sb->token = TOKEN_NONE;
	sb->epoch = r->peer.epoch;
	sb->base = r->peer.base;
	sb->reservation = 0;
	superblock_want(r, STEP_READY);
	outdate_unreserved(r);
	outdate_overtaken(r);
}

static void settle_now(struct replicate *r)
{
	struct packet_hello own;
	struct settle_side self = { r->cfg.self_host, &own, r->cfg.first };
	struct settle_side peer = { r->cfg.peer_host, &r->peer, !r->cfg.first };

	connection_event(r, EVENT_HELLO);
	fill_hello(r, &own);
	switch (settle(&self, &peer, r->why, sizeof(r->why))) {
	case SETTLE_KEEP:
	case SETTLE_GIVE_AGAIN: /* handover_connected() does */
		superblock_want(r, STEP_READY);
		break;
	case SETTLE_ADOPT:
		adopt(r);
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

void handshake_begin(struct replicate *r)
{
	struct packet p = { .type = PACKET_HELLO };

	if (r->connection != CONNECTION_DRAINING || r->peer_count || r->write_busy ||
	    r->wanted_version != r->durable_version)
		return;
	fill_hello(r, &p.hello);
	r->ops->send(r->ctx, &p, NULL);
	connection_event(r, EVENT_DRAINED);
	if (r->peer_current)
		settle_now(r);
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
	sb->gen = (struct generations){ .current = p->generation };
	sb->agreed = p->agreed;
	sb->epoch = p->epoch;
	sb->base = 0;
	sb->token = TOKEN_NONE;
	sb->flags &= ~SB_JUST_CREATED;
	superblock_want(r, STEP_READY);
	return 0;
}

static void settled(struct replicate *r)
{
	if (!r->ready_sent || !r->ready_received || !connection_event(r, EVENT_SETTLED))
		return;
	r->why[0] = '\0';
	requests_connection_up(r);
	handover_connected(r);
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
	settled(r);
	return 0;
}

void handshake_step(struct replicate *r, enum step step)
{
	if (r->connection != CONNECTION_SETTLING)
		return;
	if (step == STEP_PAIR) {
		struct packet p = { .type = PACKET_PAIR };

		p.pair.generation = r->durable.gen.current;
		p.pair.epoch = r->durable.epoch;
		p.pair.agreed = r->durable.agreed;
		r->ops->send(r->ctx, &p, NULL);
	}
	send_simple(r, PACKET_READY);
	r->ready_sent = true;
	settled(r);
}

void handshake_lost(struct replicate *r, const char *why)
{
	snprintf(r->why, sizeof(r->why), "%s", why);
	r->peer_current = r->ready_sent = r->ready_received = false;
	r->step_version[STEP_READY] = r->step_version[STEP_PAIR] = 0;
	connection_event(r, EVENT_LOST);
}

void replicate_link_problem(struct replicate *r, const char *why, uint64_t now_ms)
{
	r->now_ms = now_ms;
	if (r->connection != CONNECTION_DISCONNECTED)
		return;
	snprintf(r->why, sizeof(r->why), "%s", why);
	replicate_settle(r);
}

void replicate_connected(struct replicate *r, uint64_t now_ms)
{
	r->now_ms = now_ms;
	r->why[0] = '\0';
	connection_event(r, EVENT_CONNECTED);
	handshake_begin(r);
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

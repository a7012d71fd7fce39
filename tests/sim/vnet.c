/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnet.c: connections between the two nodes.
 *
 * Packets of one connection arrive in order, after random delays, through wire_encode() and wire_decode().  A
 * cut ends a connection: in each direction packets are lost from that moment on, or still arrive until the
 * receiver notices (one-sided cut); each side notices at its own time, up to seconds apart.  A new connection
 * can reach a side that has not noticed the end of the old one: it is told of the end first, as the transport
 * does.  What a side was told is what its core knows; nothing else of a connection is visible to it.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define LATE (100 * SIM_MS)

struct flight {
	uint64_t sent;
	struct request *req; /* until departure */
	uint8_t head[WIRE_HEADER + WIRE_BODY_MAX];
	size_t head_length;
	enum packet_type type;
	enum cruelty cruelty;
	struct packet packet; /* until departure: encoded then, in the order of departures */
	uint32_t payload;
	uint8_t data[];
};

static struct connection *find(struct sim *s, uint64_t id)
{
	struct connection *c = &s->net.c[id % VNET_CONNECTIONS];

	return id && c->id == id ? c : NULL;
}

static void count(struct sim *s, enum packet_type type, bool delivered)
{
	if ((unsigned int)type <= PACKET_LAST)
		(delivered ? s->totals->delivered : s->totals->lost)[type]++;
}

static bool of_handover(enum packet_type type)
{
	return type >= PACKET_WANT && type <= PACKET_ENDED && type != PACKET_PAIR;
}

/* ---- a packet: departure, arrival ---- */

static bool receive(struct node *n, struct connection *c, struct flight *f)
{
	struct packet p;
	char why[256] = "";
	int length = wire_length(f->head, WIRE_VERSION_MAX);
	int rc = length == (int)f->head_length
			 ? wire_decode(f->head, length, c->received[n->index]++, &p, why, sizeof(why))
			 : -1;

	if (rc) {
		sim_violate(n->sim, ORACLE_CONTRACT,
			    "node %d: a packet of type %s does not decode (length %d of %zu): %s", n->index,
			    packet_name(f->type), length, f->head_length, why);
		return false;
	}
	node_receive(n, &p, f->data);
	return true;
}

static void arrive_event(struct sim *s, struct event *e)
{
	struct flight *f = e->p;
	struct connection *c = find(s, e->a);
	struct node *n = e->node;
	bool alive = n->up && c && n->connection == e->a && !c->closing[n->index] &&
		     (!c->cut || c->carries[!n->index]);

	count(s, f->type, alive);
	if (!alive) {
		sim_note(s, n, "packet-lost", f->type, e->a, 0);
		return;
	}
	s->totals->late[f->type] += s->now - f->sent > LATE;
	sim_note(s, n, packet_name(f->type), e->a, f->payload, 0);
	if (receive(n, c, f))
		plan_point(n, POINT_RECEIVED, f->type);
}

static uint64_t later(uint64_t *last, uint64_t at)
{
	if (at < *last)
		at = *last;
	return *last = at;
}

static void arrive_at(struct sim *s, struct connection *c, struct node *from, struct flight *f, uint64_t at)
{
	struct event *e;

	f->head_length = wire_encode(&f->packet, WIRE_VERSION_MAX, c->sent[from->index]++, f->head);
	if (f->head_length > sizeof(f->head))
		abort();
	e = sim_at(s, at, arrive_event, node_peer(from));
	e->a = c->id;
	e->p = f;
}

/* It departs: on its way it may be held up, and all that follows it; or it is sent twice. */
static void fly(struct sim *s, struct connection *c, struct node *from, struct flight *f)
{
	uint64_t at = s->now + 1 + sim_random(s, s->net.delay);
	struct flight *second;

	if (f->cruelty == CRUELTY_DELAY) {
		at += sim_between(s, 1, sim_chance(s, 500) ? 5 : 25) * LATE;
		c->late = at > c->late ? at : c->late;
		vdevice_disturbed(s);
	}
	at = later(&c->arrive[from->index], at);
	arrive_at(s, c, from, f, at);
	if (f->cruelty != CRUELTY_REPEAT)
		return;
	second = sim_memory(1, sizeof(*second) + f->payload);
	memcpy(second, f, sizeof(*second) + f->payload);
	second->cruelty = CRUELTY_NONE;
	arrive_at(s, c, from, second, at);
	c->repeated |= !of_handover(f->type);
	s->totals->twice[f->type]++;
	vdevice_disturbed(s);
}

static void depart_event(struct sim *s, struct event *e)
{
	struct flight *f = e->p;
	struct node *n = e->node;
	struct connection *c = find(s, e->a);

	if (!c || n->connection != e->a || (c->cut && !c->carries[n->index])) {
		count(s, f->type, false);
		return;
	}
	if (f->packet.payload && memcmp(f->req->data, f->data, f->payload))
		sim_violate(s, ORACLE_ORDER, "node %d: a buffer changed before its DATA was sent", n->index);
	if (f->packet.payload && sim_is(s, MUTANT_CHANGED_PAGE) && sim_chance(s, 50))
		f->data[f->payload - 1] ^= 1;
	e->p = NULL;
	fly(s, c, n, f);
}

/* ---- the end of a connection ---- */

static void notice_event(struct sim *s, struct event *e)
{
	(void)s;
	if (e->node->up && e->node->connection == e->a)
		node_disconnected(e->node, "connection lost");
}

static void notice(struct sim *s, struct node *n, uint64_t id, uint64_t delay)
{
	struct event *e = sim_in(s, delay, notice_event, n);

	e->a = id;
}

static void end(struct sim *s, struct connection *c)
{
	uint64_t late = sim_chance(s, 300) ? 1 : sim_chance(s, 500) ? 20 * SIM_MS : 1500 * SIM_MS;

	if (c->cut)
		return;
	c->cut = true;
	vdevice_disturbed(s);
	for (int i = 0; i < SIM_NODES; i++) {
		c->carries[i] = sim_chance(s, 400);
		notice(s, &s->node[i], c->id, sim_random(s, late));
	}
}

/* It ends before what this node sends now arrives. */
static void lose(struct sim *s, struct connection *c, struct node *from)
{
	end(s, c);
	c->carries[from->index] = false;
}

/* ---- planted bugs in what is sent ---- */

static void forge_give(struct node *n, struct packet *p)
{
	p->type = PACKET_GIVE;
	p->give = (struct packet_give){ .epoch = n->meta.durable.epoch + 1,
					.base = n->meta.durable.base,
					.gen = n->meta.durable.gen };
}

static bool perverted(struct node *n, struct packet *p)
{
	struct sim *s = n->sim;

	if (sim_is(s, MUTANT_DROPPED_ACK) && p->type == PACKET_ACK && sim_chance(s, 20))
		return true;
	if (sim_is(s, MUTANT_FORGED_GIVE) && p->type == PACKET_WANT_REFUSE)
		forge_give(n, p);
	return sim_is(s, MUTANT_SILENT_END) && (p->type == PACKET_ENDED || p->type == PACKET_COMMIT_REFUSE);
}

/* The repetition of a packet is the same packet, unless a bug is planted in it. */
static void pervert_repetition(struct node *n, struct packet *p)
{
	if (sim_is(n->sim, MUTANT_RAISED_GIVE) && p->type == PACKET_GIVE)
		p->give.epoch += 2;
}

static const struct packet *remembered(const struct connection *c, int side, unsigned int i)
{
	return &c->last[side][i % VNET_REMEMBERED];
}

/* An answer of long ago, as if it were to the last question. */
static void pervert_grant(const struct connection *c, int side, struct packet *p)
{
	for (unsigned int i = 0; i < VNET_REMEMBERED && p->type == PACKET_RESERVE_REFUSE; i++) {
		uint64_t nonce = p->refuse.nonce;

		if (remembered(c, side, i)->type != PACKET_GRANT)
			continue;
		*p = *remembered(c, side, i);
		p->grant.nonce = nonce;
	}
}

/* ---- sending ---- */

static bool carries_payload(enum packet_type type)
{
	return type == PACKET_DATA || type == PACKET_READ_DATA || type == PACKET_BITMAP || type == PACKET_HOT;
}

static void depart(struct node *n, struct connection *c, const struct packet *p, struct request *req, enum cruelty cruelty)
{
	struct sim *s = n->sim;
	/* of a discard the bytes that tell one from another (vguest.c), which no packet carries */
	uint32_t payload = p->type == PACKET_DISCARD ? req->sectors * SECTOR_SIZE : p->payload;
	struct flight *f = sim_memory(1, sizeof(*f) + payload);
	struct event *e;

	f->sent = s->now;
	f->packet = *p;
	f->payload = payload;
	f->req = req;
	f->type = p->type;
	f->cruelty = cruelty;
	if (payload)
		memcpy(f->data, req->data, payload);
	e = sim_at(s, later(&c->depart[n->index], s->now + sim_random(s, s->net.delay / 4 + 1)), depart_event,
		   n);
	e->a = c->id;
	e->p = f;
	sim_mortal(e);
}

static void repeat(struct node *n, struct connection *c, const struct packet *before)
{
	struct packet p = *before;

	pervert_repetition(n, &p);
	n->sim->totals->twice[p.type]++;
	sim_say(n->sim, n, "repeat", packet_name(p.type));
	depart(n, c, &p, NULL, CRUELTY_NONE);
}

static void repeat_event(struct sim *s, struct event *e)
{
	struct connection *c = find(s, e->a);

	if (!c || c->closing[e->node->index] || e->node->connection != e->a)
		return;
	repeat(e->node, c, e->p);
	if (sim_chance(s, 300))
		vnet_repeat(e->node);
}

/* A packet may come again, much later, on its connection. */
static void repeat_later(struct node *n, struct connection *c, const struct packet *p)
{
	struct sim *s = n->sim;
	struct packet *copy;
	struct event *e;

	if (s->plan.stopped || !sim_chance(s, sim_is(s, MUTANT_RAISED_GIVE) ? 500 : s->plan.repeat))
		return;
	copy = sim_memory(1, sizeof(*copy));
	*copy = *p;
	e = sim_in(s, sim_random(s, sim_chance(s, 500) ? 5 * SIM_MS : 600 * SIM_MS), repeat_event, n);
	e->a = c->id;
	e->p = copy;
	sim_mortal(e);
}

void vnet_repeat(struct node *n)
{
	struct connection *c = find(n->sim, n->connection);
	unsigned int count = c ? c->remembered[n->index] : 0;

	if (!n->up || !count || c->closing[n->index])
		return;
	count = count < VNET_REMEMBERED ? count : VNET_REMEMBERED;
	repeat(n, c, remembered(c, n->index, sim_random(n->sim, count)));
}

void vnet_send(struct node *n, const struct packet *p, struct request *req)
{
	struct sim *s = n->sim;
	struct connection *c = find(s, n->connection);
	struct packet sent = *p;
	enum cruelty cruelty;

	if (!c || c->closing[n->index])
		return;
	if (p->payload && (!carries_payload(p->type) || !req || p->payload != req->sectors * SECTOR_SIZE)) {
		sim_violate(s, ORACLE_CONTRACT, "node %d: %s sent with payload %u that is not its request's",
			    n->index, packet_name(p->type), p->payload);
		return;
	}
	if (perverted(n, &sent))
		return;
	if (sim_is(s, MUTANT_OLD_GRANT))
		pervert_grant(c, n->index, &sent);
	coverage_sent(s, c, find(s, c->id - 1), n->index, &sent);
	cruelty = plan_prey(n, sent.type);
	if (cruelty == CRUELTY_LOSE)
		lose(s, c, n);
	depart(n, c, &sent, req, cruelty);
	node_sent(n, sent.type, req);
	if (of_handover(sent.type)) {
		c->last[n->index][c->remembered[n->index]++ % VNET_REMEMBERED] = sent;
		repeat_later(n, c, &sent);
	}
	plan_point(n, POINT_SENT, sent.type);
}

void vnet_restarting(struct node *n, uint32_t within_ms)
{
	const struct packet p = { .type = PACKET_RESTARTING, .restarting.within_ms = within_ms };
	struct connection *c = find(n->sim, n->connection);

	if (c && !c->closing[n->index])
		depart(n, c, &p, NULL, CRUELTY_NONE);
}

/* Both sides talk to each other now, without undue delay. */
bool vnet_whole(struct sim *s)
{
	struct connection *c = find(s, s->net.last);

	return c && !c->cut && s->net.delay < 10 * SIM_MS && s->now >= c->late;
}

void vnet_cut(struct sim *s)
{
	struct connection *c = find(s, s->net.last);

	if (c && !c->cut) {
		sim_note(s, NULL, "cut", c->id, 0, 0);
		end(s, c);
	}
}

void vnet_cut_half(struct sim *s, int silent)
{
	struct connection *c = find(s, s->net.last);

	if (!c || c->cut)
		return;
	sim_note(s, &s->node[silent], "cut-half", c->id, 0, 0);
	end(s, c);
	c->carries[silent] = false;
	c->carries[!silent] = true;
}

void vnet_node_died(struct node *n)
{
	struct connection *c = find(n->sim, n->connection);

	n->connection = 0;
	vnet_try(n->sim);
	if (c)
		end(n->sim, c);
}

/* The core asks for the end: nothing more is delivered to it; what was sent may still arrive. */
void vnet_close(struct node *n, const char *why)
{
	struct sim *s = n->sim;
	struct connection *c = find(s, n->connection);

	sim_say(s, n, "disconnect", why);
	if (!why || !*why)
		sim_violate(s, ORACLE_CONTRACT, "node %d closes the connection without a word", n->index);
	if (!c || c->closing[n->index])
		return;
	c->closing[n->index] = true;
	if (!c->cut) { /* what was said before still arrives */
		end(s, c);
		c->carries[n->index] = true;
	}
	notice(s, n, c->id, sim_random(s, 5 * SIM_MS));
}

bool vnet_repeated(struct node *n)
{
	struct connection *c = find(n->sim, n->connection);

	return c && c->repeated;
}

bool vnet_closing(struct node *n)
{
	struct connection *c = find(n->sim, n->connection);

	return !c || c->closing[n->index];
}

/* ---- a new connection ---- */

static void announce_event(struct sim *s, struct event *e)
{
	struct connection *c = find(s, e->a);
	struct node *n = e->node;

	s->net.announcing--;
	if (!c || !n->up || e->b != n->life || c->cut)
		return;
	if (n->connection)
		node_disconnected(n, "replaced by a new connection");
	node_connected(n, c->id);
}

static void open_connection(struct sim *s)
{
	uint64_t id = ++s->net.last;
	struct connection *c = &s->net.c[id % VNET_CONNECTIONS], *old = find(s, id - 1);

	if (old && !old->cut)
		end(s, old);
	*c = (struct connection){ .id = id };
	for (int i = 0; i < SIM_NODES; i++) {
		uint64_t at = s->now + sim_random(s, 5 * SIM_MS);
		struct event *e = sim_at(s, at, announce_event, &s->node[i]);

		e->a = id;
		e->b = s->node[i].life;
		c->carries[i] = true;
		c->arrive[!i] = at; /* nothing arrives here before */
		s->net.announcing++;
	}
}

static bool apart(const struct sim *s)
{
	return !s->node[0].connection || !s->node[1].connection;
}

static void try_event(struct sim *s, struct event *e)
{
	bool up = s->net.up && s->node[0].up && s->node[1].up;

	(void)e;
	s->net.trying = false;
	if (up && !s->net.announcing && apart(s))
		open_connection(s);
	vnet_try(s);
}

/* Until the two are connected; called when one of them is not any more. */
void vnet_try(struct sim *s)
{
	if (s->net.trying || !apart(s))
		return;
	s->net.trying = true;
	sim_in(s, sim_between(s, 1, sim_chance(s, 500) ? 5 : 150) * SIM_MS, try_event, NULL);
}

void vnet_start(struct sim *s)
{
	s->net = (struct vnet){ .up = true, .delay = s->plan.net_delay };
	vnet_try(s);
}

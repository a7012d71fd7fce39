/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vguest.c: what the toolstack and the guest do on one node.
 *
 *   NONE ─claim→ CLAIMING ─claimed→ CLAIMED ─activate→ ACTIVATING ─activated→ ACTIVE ─release→ RELEASING ─released→ NONE
 *                    └── refused → NONE     └──────── release (`add` undone) ──────────────────────┘
 *
 * The guest keeps up to `depth` requests in flight on a small volume, so that they often overlap.  When the
 * core is not ready it waits for the resume action and for nothing else: a ring that nobody looks at again
 * would hang a real guest just so.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

static void pump_event(struct sim *s, struct event *e);

/* ---- requests ---- */

static struct guest_op *free_slot(struct guest *g)
{
	for (unsigned int i = 0; i < g->depth; i++)
		if (!g->op[i].used)
			return &g->op[i];
	return NULL;
}

static void make(struct node *n, struct guest_op *op)
{
	struct sim *s = n->sim;
	uint64_t blocks = s->volume / s->block;
	uint64_t length = sim_between(s, 1, SIM_REQUEST_SECTORS / 8);
	uint64_t area = sim_chance(s, 500) ? 16 : blocks;
	unsigned int kind = sim_random(s, 1000);
	uint16_t tag = (uint16_t)(op - n->guest.op);

	op->used = true;
	op->at = s->now;
	op->write = 0;
	op->req = (struct request){ .tag = tag, .data = op->data };
	op->req.op = kind < 550 ? REQUEST_WRITE : kind < 900 ? REQUEST_READ : REQUEST_FLUSH;
	if (op->req.op == REQUEST_FLUSH)
		return;
	op->req.preflush = op->req.op == REQUEST_WRITE && sim_chance(s, 60);
	op->sector = sim_random(s, area - length + 1) * s->block;
	op->req.sector = op->sector;
	op->req.sectors = (uint32_t)(length * s->block);
	/* The core sees no overlap; the disks take the sector modulo the volume. */
	if (sim_is(s, MUTANT_SWAPPED_OVERLAP))
		op->req.sector += sim_between(s, 0, 1000) * s->volume;
	if (op->req.op == REQUEST_WRITE) {
		op->write = oracle_write(s, op->sector, op->req.sectors);
		oracle_fill(op->data, op->write, op->sector, op->req.sectors);
	}
}

static void pump(struct node *n)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;
	struct guest_op *op;

	while (n->up && !s->failed && g->attach == ATTACH_ACTIVE && !g->leaving && !g->stalled &&
	       (op = free_slot(g))) {
		g->stalled = true; /* the resume action may come at once */
		g->stalled = !replicate_request(n->core, sim_ms(s));
		node_settle(n);
		if (g->stalled)
			return;
		make(n, op);
		g->inflight++;
		sim_note(s, n,
			 op->req.op == REQUEST_READ    ? "guest-read"
			 : op->req.op == REQUEST_WRITE ? "guest-write"
						       : "guest-flush",
			 op->sector, op->req.sectors, op->write);
		oracle_submitted(n, op);
		replicate_submit(n->core, &op->req, sim_ms(s));
		node_settle(n);
		if (g->think)
			break;
	}
}

static void pump_event(struct sim *s, struct event *e)
{
	(void)s;
	pump(e->node);
}

static void pump_in(struct node *n, uint64_t delay)
{
	sim_mortal(sim_in(n->sim, delay, pump_event, n));
}

void vguest_resume(struct node *n)
{
	struct guest *g = &n->guest;

	if (!g->stalled)
		return;
	g->stalled = false;
	for (unsigned int i = g->inflight; i < g->depth; i++)
		pump_in(n, sim_random(n->sim, 100));
}

void vguest_completed(struct node *n, struct guest_op *op, int rc)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	sim_note(s, n, "guest-answer", op->sector, op->req.sectors, op->write);
	if (!op->used) {
		sim_violate(s, ORACLE_CONTRACT, "node %d: a guest request was completed twice", n->index);
		return;
	}
	if (sim_is(s, MUTANT_ERROR_TO_GUEST) && n->status.connection != CONNECTION_CONNECTED)
		rc = -EIO;
	oracle_completed(n, op, rc);
	memset(op->data, 0xda, SIM_REQUEST_BYTES);
	op->used = false;
	g->inflight--;
	g->answered++;
	s->guest_ops++;
	pump_in(n, sim_random(s, g->think + 1));
}

/* ---- attach and detach ---- */

static void bound_event(struct sim *s, struct event *e)
{
	struct guest *g = &e->node->guest;

	if ((g->attach == ATTACH_CLAIMING || g->next) && g->claims == e->a)
		sim_violate(s, ORACLE_LIVENESS, "node %d: a claim was not answered within its bound of %u ms",
			    e->node->index, e->node->cfg.claim_timeout_ms);
}

static bool witness(const struct node *n)
{
	const struct node *peer = node_peer(n);

	return vnet_whole(n->sim) && n->status.connection == CONNECTION_CONNECTED &&
	       peer->status.connection == CONNECTION_CONNECTED && n->up && peer->up && !n->stopping &&
	       peer->guest.attach == ATTACH_ACTIVE;
}

void vguest_disturbed(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++)
		s->node[i].guest.witnessed = s->node[i].guest.fair = false;
}

static bool fair(const struct node *n)
{
	const struct node *peer = node_peer(n);

	return vnet_whole(n->sim) && n->up && peer->up && !n->stopping && !peer->stopping &&
	       !n->sim->plan.slow && n->status.connection == CONNECTION_CONNECTED &&
	       peer->status.connection == CONNECTION_CONNECTED && !peer->guest.next &&
	       (peer->guest.attach == ATTACH_NONE || peer->guest.attach == ATTACH_RELEASING);
}

static void claimant_make(struct claimant *c, const char *who)
{
	*c = (struct claimant){ .incoming = false };
	snprintf(c->who, sizeof(c->who), "%s", who);
}

static void ask(struct node *n, char *who, size_t size)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;
	struct claimant c;
	struct event *e;

	g->claims++;
	s->totals->claims++;
	node_peer(n)->guest.fair = false;
	snprintf(who, size, "guest web%d-%u", n->index, ++g->serial);
	e = sim_in(s, (n->cfg.claim_timeout_ms + 10) * SIM_MS, bound_event, n);
	e->a = g->claims;
	sim_mortal(e);
	sim_note(s, n, "claim", g->claims, g->witnessed, n->cfg.claim_timeout_ms);
	claimant_make(&c, who);
	replicate_claim(n->core, &c, sim_ms(s));
	node_settle(n);
}

void vguest_claim(struct node *n)
{
	struct guest *g = &n->guest;

	g->attach = ATTACH_CLAIMING;
	g->leaving = g->stalled = false;
	g->claim_rc = 0;
	g->witnessed = witness(n);
	g->fair = fair(n);
	ask(n, g->who, sizeof(g->who));
}

/* The disk is attached again before the last guest's requests are finished. */
static void claim_next(struct node *n)
{
	n->guest.next = true;
	n->guest.witnessed = n->guest.fair = false;
	ask(n, n->guest.next_who, sizeof(n->guest.next_who));
}

void vguest_claimed(struct node *n, int rc, const char *why)
{
	struct guest *g = &n->guest;

	sim_note(n->sim, n, "claimed", (uint64_t)-rc, g->attach, 0);
	sim_say(n->sim, n, "claimed", why ? why : "");
	if (g->busy_asked) {
		g->busy_asked = false;
		if (rc != -EBUSY || !why || !*why)
			sim_violate(n->sim, ORACLE_CONTRACT, "node %d: a second claim got error %d", n->index,
				    rc);
		return;
	}
	if (g->attach == ATTACH_RELEASING) {
		if (!rc || !why || !*why)
			sim_violate(n->sim, ORACLE_CONTRACT, "node %d: claimed(%d) during a release",
				    n->index, rc);
		g->next = false; /* cancelled, or too late */
		return;
	}
	if (g->attach != ATTACH_CLAIMING) {
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: claimed() without a claim", n->index);
		return;
	}
	oracle_claimed(n, rc, why);
	g->claim_rc = rc;
	g->attach = rc ? ATTACH_NONE : ATTACH_CLAIMED;
	if (rc)
		n->sim->totals->refused++;
	else
		n->sim->totals->granted++;
}

static void activate(struct node *n)
{
	n->guest.attach = ATTACH_ACTIVATING;
	sim_note(n->sim, n, "activate", 0, 0, 0);
	replicate_activate(n->core, n->guest.who, false, sim_ms(n->sim));
	node_settle(n);
}

void vguest_activated(struct node *n, int rc, const char *why)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	sim_say(s, n, "activated", why ? why : "");
	if (g->attach == ATTACH_RELEASING)
		return;
	if (g->attach != ATTACH_ACTIVATING || (rc && (!why || !*why))) {
		sim_violate(s, ORACLE_CONTRACT, "node %d: activated(%d) unasked or without words", n->index,
			    rc);
		return;
	}
	if (rc) {
		g->attach = ATTACH_CLAIMED; /* to be released */
		g->leaving = true;
		return;
	}
	s->totals->activations++;
	g->attach = ATTACH_ACTIVE;
	g->depth = (unsigned int)sim_between(s, 1, SIM_GUEST_SLOTS);
	g->think = sim_chance(s, 50) ? 0 : sim_between(s, 1, 60) * SIM_MS;
	g->lifetime = (unsigned int)sim_between(s, 1, 60);
	for (unsigned int i = 0; i < g->depth; i++)
		pump_in(n, sim_random(s, g->think + 1));
}

void vguest_release(struct node *n)
{
	struct guest *g = &n->guest;

	g->attach = ATTACH_RELEASING;
	node_peer(n)->guest.witnessed = false;
	sim_note(n->sim, n, "release", g->inflight, 0, 0);
	replicate_release(n->core, sim_ms(n->sim));
	node_settle(n);
}

void vguest_released(struct node *n)
{
	struct guest *g = &n->guest;

	sim_note(n->sim, n, "released", g->inflight, 0, 0);
	if (g->attach != ATTACH_RELEASING || g->inflight)
		sim_violate(n->sim, ORACLE_CONTRACT,
			    "node %d: released() unasked or with %u requests in flight", n->index,
			    g->inflight);
	g->idle_since = n->sim->now;
	g->attach = g->next ? ATTACH_CLAIMING : ATTACH_NONE;
	g->leaving = g->next && n->sim->plan.stopped;
	g->stalled = false;
	if (g->next)
		memcpy(g->who, g->next_who, sizeof(g->who));
	g->next = false;
}

/* Shut down (after its last answer), or destroyed with whatever is in flight. */
void vguest_leave(struct node *n, bool destroy)
{
	struct guest *g = &n->guest;

	g->leaving = true;
	if (destroy && g->attach != ATTACH_NONE && g->attach != ATTACH_RELEASING)
		vguest_release(n);
}

static void ask_twice(struct node *n)
{
	struct claimant c;

	n->guest.busy_asked = true;
	claimant_make(&c, "guest other (a second start)");
	replicate_claim(n->core, &c, sim_ms(n->sim));
	if (n->guest.busy_asked)
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: a second claim was not answered at once",
			    n->index);
	n->guest.busy_asked = false;
	node_settle(n);
}

static void manage(struct node *n)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;
	enum attach there = node_peer(n)->guest.attach;
	unsigned int wish = there == ATTACH_NONE ? 400 : there == ATTACH_RELEASING ? 200 : 20;

	switch (g->attach) {
	case ATTACH_NONE:
		if (!s->plan.stopped && sim_chance(s, wish))
			vguest_claim(n);
		break;
	case ATTACH_CLAIMING:
		if (g->leaving || (!s->plan.stopped && sim_chance(s, 10)))
			vguest_release(n);
		break;
	case ATTACH_CLAIMED:
		if (g->leaving || (!s->plan.stopped && sim_chance(s, 150)))
			vguest_release(n);
		else if (sim_chance(s, 500))
			activate(n);
		break;
	case ATTACH_ACTIVATING:
		if (!s->plan.stopped && sim_chance(s, 10))
			vguest_release(n);
		break;
	case ATTACH_ACTIVE:
		if (g->leaving && !g->inflight)
			vguest_release(n);
		else if (!g->leaving && !s->plan.stopped && (!g->lifetime || !--g->lifetime))
			vguest_leave(n, sim_chance(s, 300));
		else if (!s->plan.stopped && sim_chance(s, 5))
			ask_twice(n);
		break;
	case ATTACH_RELEASING:
		if (!s->plan.stopped && !g->next && sim_chance(s, 100))
			claim_next(n);
		break;
	}
}

static void manage_event(struct sim *s, struct event *e)
{
	manage(e->node);
	sim_mortal(sim_in(s, sim_between(s, 1, 80) * SIM_MS, manage_event, e->node));
}

void vguest_start(struct node *n)
{
	sim_mortal(sim_in(n->sim, sim_between(n->sim, 1, 200) * SIM_MS, manage_event, n));
}

void vguest_died(struct node *n)
{
	struct guest *g = &n->guest;

	vguest_disturbed(n->sim);
	g->attach = ATTACH_NONE;
	g->inflight = 0;
	g->leaving = g->stalled = g->next = false;
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		g->op[i].used = false;
}

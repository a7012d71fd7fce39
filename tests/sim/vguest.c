/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vguest.c: the guest and its ring.
 *
 *   put into the ring ─ prod ─> consumed by the backend ─ cons ─> answered ─> seen by the guest
 *
 * The guest keeps up to `depth` requests on a small volume, so that they often overlap.  It may be suspended
 * at any moment: then it puts and sees nothing more, while what lies in the ring may still be consumed and
 * answered.  Its copy at the other node knows what was seen at that moment, and asks again for the rest, in
 * the same order.
 *
 * The backend's side follows ring.c and owner_ring.c: while the ring is held nothing beyond the mark is
 * consumed, and what lies beyond is reported once.  When the core is not ready, the ring waits for the resume
 * action and for nothing else: a ring that nobody looks at again would hang a real guest just so.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

static void put_event(struct sim *s, struct event *e);

/* ---- the frontend ---- */

static struct guest_op *free_slot(struct guest *g)
{
	for (unsigned int i = 0; i < g->depth; i++)
		if (!g->op[i].used)
			return &g->op[i];
	return NULL;
}

static void draw(struct node *n, struct image_request *r)
{
	struct sim *s = n->sim;
	uint64_t length = sim_between(s, 1, SIM_REQUEST_SECTORS / 8);
	uint64_t area = sim_chance(s, 500) ? 16 : s->volume / s->block;
	unsigned int kind = sim_random(s, 1000);

	*r = (struct image_request){ .op = kind < 550	? REQUEST_WRITE
					   : kind < 900 ? REQUEST_READ
							: REQUEST_FLUSH };
	if (r->op == REQUEST_FLUSH)
		return;
	r->preflush = r->op == REQUEST_WRITE && sim_chance(s, 60);
	r->sector = sim_random(s, area - length + 1) * s->block;
	r->sectors = (uint32_t)(length * s->block);
}

/* A request that a copy asks for again is a write of its own, with a number of its own. */
static void put(struct node *n, struct guest_op *op, const struct image_request *r)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	op->used = true;
	op->consumed = op->answered = false;
	op->branch = g->branch;
	op->order = g->ring.prod;
	op->put = s->now;
	op->write = 0;
	op->sector = r->sector;
	op->req = (struct request){ .tag = (uint16_t)(op - g->op),
				    .op = r->op,
				    .preflush = r->preflush,
				    .sector = r->sector,
				    .sectors = r->sectors,
				    .data = op->data };
	/* The core sees no overlap; the disks take the sector modulo the volume. */
	if (sim_is(s, MUTANT_SWAPPED_OVERLAP) && r->op != REQUEST_FLUSH)
		op->req.sector += sim_between(s, 0, 1000) * s->volume;
	if (r->op == REQUEST_WRITE) {
		op->write = oracle_write(s, op->sector, r->sectors);
		oracle_fill(op->data, op->write, op->sector, r->sectors);
	}
	g->ring.slot[g->ring.prod++ % SIM_GUEST_SLOTS] = op->req.tag;
	sim_note(s, n,
		 r->op == REQUEST_READ	  ? "guest-read"
		 : r->op == REQUEST_WRITE ? "guest-write"
					  : "guest-flush",
		 op->sector, r->sectors, op->write);
}

static void kick(struct node *n)
{
	if (sim_chance(n->sim, 100))
		vguest_serve_soon(n);
	else
		vguest_serve(n);
}

static void put_some(struct node *n)
{
	struct guest *g = &n->guest;
	struct image_request r;
	struct guest_op *op;

	while (!n->sim->failed && g->life == LIFE_RUNNING && g->started && !g->leaving &&
	       (op = free_slot(g))) {
		draw(n, &r);
		put(n, op, &r);
		kick(n);
		if (g->think)
			return;
	}
}

/* The guest outlives the daemon: its events belong to the domain. */
static void put_event(struct sim *s, struct event *e)
{
	(void)s;
	if (e->node->guest.serial == e->a && e->node->guest.attach != ATTACH_NONE)
		put_some(e->node);
}

static void put_in(struct node *n, uint64_t delay)
{
	sim_in(n->sim, delay, put_event, n)->a = n->guest.serial;
}

static void put_everywhere(struct node *n)
{
	struct guest *g = &n->guest;

	for (unsigned int i = 0; i < g->depth; i++)
		if (!g->op[i].used)
			put_in(n, sim_random(n->sim, g->think + 1));
}

static void draw_habits(struct guest *g, struct sim *s)
{
	bool lazy = sim_chance(s, s->plan.calm ? 600 : 100);

	g->depth = (unsigned int)sim_between(s, 1, lazy ? 2 : s->plan.calm ? 4 : SIM_GUEST_SLOTS);
	g->think = sim_chance(s, 50) ? 0 : sim_between(s, 1, lazy ? 1500 : 60) * SIM_MS;
	if (lazy && !g->think)
		g->think = SIM_SECOND;
}

void vguest_connected(struct node *n)
{
	struct guest *g = &n->guest;

	if (!g->started) {
		g->started = true;
		draw_habits(g, n->sim);
		for (unsigned int i = 0; i < g->image.count; i++)
			put(n, &g->op[i], &g->image.request[i]);
		if (g->depth < g->image.count)
			g->depth = g->image.count;
		put_everywhere(n);
	}
	vguest_serve_soon(n); /* a request may have been queued before the port was bound */
}

static void seen(struct node *n, struct guest_op *op)
{
	op->used = op->answered = false;
	n->guest.answered++;
	put_in(n, sim_random(n->sim, n->guest.think + 1));
}

/* ---- suspended, copied, resumed ---- */

static const struct guest_op *next_unanswered(const struct guest *g, const struct guest_op *last)
{
	const struct guest_op *next = NULL;

	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++) {
		const struct guest_op *op = &g->op[i];

		if (op->used && (!last || op->order > last->order) && (!next || op->order < next->order))
			next = op;
	}
	return next;
}

void vguest_suspend(struct node *n, struct image *out)
{
	struct guest *g = &n->guest;

	g->life = LIFE_SUSPENDED;
	g->suspended_at = n->sim->now;
	*out = (struct image){ .vm = g->vm,
			       .branch = g->branch,
			       .fresh_starts = n->sim->history.fresh_starts };
	for (const struct guest_op *op = next_unanswered(g, NULL); op; op = next_unanswered(g, op))
		out->request[out->count++] = (struct image_request){ op->req.op, op->req.preflush, op->sector,
								     op->req.sectors };
	sim_note(n->sim, n, "suspended", g->branch, out->count, g->inflight);
}

void vguest_resume(struct node *n)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	s->history.branch[g->branch].resumed = true;
	g->branch = lineage_branch(s, g->branch);
	s->history.branch[g->branch].in_place = true;
	g->life = LIFE_RUNNING;
	g->running_at = s->now;
	sim_note(s, n, "resumed", g->branch, 0, 0);
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		if (g->op[i].answered)
			seen(n, &g->op[i]);
	put_everywhere(n);
}

void vguest_gone(struct node *n)
{
	struct guest *g = &n->guest;

	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		if (!g->op[i].consumed)
			g->op[i].used = false;
	g->ring = (struct ring){ 0 };
}

/* ---- the backend ---- */

static uint32_t end_of(const struct node *n)
{
	const struct ring *r = &n->guest.ring;

	return r->held && !sim_is(n->sim, MUTANT_HOLD_IGNORED) ? r->mark : r->prod;
}

bool vguest_waits(const struct node *n)
{
	return n->guest.ring.cons != end_of(n);
}

bool vguest_quiet(const struct node *n)
{
	const struct ring *r = &n->guest.ring;

	return !r->attached || (r->held && r->prod == r->mark && r->cons == r->mark && !n->guest.inflight);
}

static void consume(struct node *n)
{
	struct guest *g = &n->guest;
	struct guest_op *op = &g->op[g->ring.slot[g->ring.cons++ % SIM_GUEST_SLOTS]];

	op->consumed = true;
	op->at = n->sim->now;
	g->inflight++;
	sim_note(n->sim, n, "consumed", op->sector, op->req.sectors, op->write);
	oracle_submitted(n, op);
	replicate_submit(n->core, &op->req, sim_ms(n->sim));
	node_settle(n);
}

static bool may_consume(struct node *n)
{
	struct guest *g = &n->guest;

	if (n->stopping || g->stalled)
		return false;
	g->stalled = !replicate_request(n->core, sim_ms(n->sim));
	node_settle(n);
	return !g->stalled;
}

static void report_resumed(struct node *n)
{
	struct ring *r = &n->guest.ring;

	if (!r->held || r->told || r->prod == r->mark)
		return;
	if (sim_is(n->sim, MUTANT_HOLD_IGNORED) && n->status.attachment == ATTACHMENT_ACTIVE)
		return;
	r->told = true;
	if (sim_is(n->sim, MUTANT_RESUMED_UNREPORTED))
		return;
	sim_note(n->sim, n, "beyond-mark", r->mark, r->prod, 0);
	replicate_resumed(n->core, sim_ms(n->sim));
	node_settle(n);
}

void vguest_serve(struct node *n)
{
	struct guest *g = &n->guest;

	if (!n->up || !g->ring.attached)
		return;
	while (!n->sim->failed && vguest_waits(n) && may_consume(n))
		consume(n);
	report_resumed(n);
	if (g->record.held && !sim_is(n->sim, MUTANT_QUIET_UNREPORTED)) {
		replicate_quiet(n->core, sim_ms(n->sim));
		node_settle(n);
	}
}

static void serve_event(struct sim *s, struct event *e)
{
	(void)s;
	vguest_serve(e->node);
}

void vguest_serve_soon(struct node *n)
{
	sim_mortal(sim_in(n->sim, sim_random(n->sim, 100), serve_event, n));
}

void vguest_look(struct node *n)
{
	n->guest.stalled = false;
	vguest_serve_soon(n);
}

void vguest_completed(struct node *n, struct guest_op *op, int rc)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	sim_note(s, n, "guest-answer", op->sector, op->req.sectors, op->write);
	if (!op->used || !op->consumed) {
		sim_violate(s, ORACLE_CONTRACT, "node %d: a guest request was completed twice", n->index);
		return;
	}
	if (sim_is(s, MUTANT_ERROR_TO_GUEST) && n->status.connection != CONNECTION_CONNECTED)
		rc = -EIO;
	oracle_completed(n, op, rc);
	memset(op->data, 0xda, SIM_REQUEST_BYTES);
	op->consumed = false;
	g->inflight--;
	s->guest_ops++;
	if (g->attach != ATTACH_RELEASING && g->life == LIFE_SUSPENDED)
		op->answered = true;
	else
		seen(n, op);
	if (g->record.held)
		vguest_serve_soon(n); /* the ring may be quiet */
}

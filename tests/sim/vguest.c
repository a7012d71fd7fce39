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
 * In a brief schedule it is slow when it has had its share of requests since the last fault, and quick when all faults
 * have been and only requests are missing.
 *
 * The backend's side follows ring.c and owner_ring.c: while the ring is held nothing beyond the mark is
 * consumed, and what lies beyond is reported once.  When the core is not ready, the ring waits for the resume
 * action and for nothing else: a ring that nobody looks at again would hang a real guest just so.
 *
 * What a daemon had consumed when it was killed is in the table in /run (docs/RESTART.md): the next one executes it in the order
 * of the ring, before it consumes anything.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

static void put_event(struct sim *s, struct event *e);
static void put_in(struct node *n, uint64_t delay);
static uint64_t think(const struct node *n);

/* ---- the frontend ---- */

static struct guest_op *free_slot(struct guest *g)
{
	for (unsigned int i = 0; i < g->depth; i++)
		if (!g->op[i].used)
			return &g->op[i];
	return NULL;
}

/* A discard is a write like any other to truth.c: it has bytes of its own, which travel beside the core (vnet.c), so that one can be told
 * from another. That they are zeroes is what disk.c sees to, and its test. */
static void draw_discard(struct sim *s, struct image_request *r)
{
	uint64_t room = s->volume - r->sector, most = room < SIM_DISCARD_SECTORS ? room : SIM_DISCARD_SECTORS;

	r->op = REQUEST_DISCARD;
	if (sim_chance_discards(s, 300))
		r->sectors = (uint32_t)(sim_between_discards(s, 1, most / s->block) * s->block);
	r->secure = s->plan.secure && sim_chance_secure(s, 400);
}

static void draw(struct node *n, struct image_request *r)
{
	struct sim *s = n->sim;
	uint64_t length = sim_between(s, 1, SIM_REQUEST_BLOCKS);
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
	if (s->plan.discards && r->op == REQUEST_WRITE && !r->preflush && sim_chance_discards(s, 250))
		draw_discard(s, r);
}

/* A request that a copy asks for again is a write of its own, with a number of its own. */
static void put(struct node *n, struct guest_op *op, const struct image_request *r)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	op->used = true;
	op->consumed = op->answered = op->left = op->again = false;
	op->branch = g->branch;
	op->order = g->ring.prod;
	op->put = s->now;
	op->write = 0;
	op->secure = r->secure;
	op->not_erased = false;
	op->sector = r->sector;
	op->req = (struct request){ .tag = (uint16_t)(op - g->op),
				    .op = r->op,
				    .preflush = r->preflush,
				    .secure = r->secure,
				    .sector = r->sector,
				    .sectors = r->sectors,
				    .data = op->data };
	/* The core sees no overlap; the disks take the sector modulo the volume. */
	if (sim_is(s, MUTANT_SWAPPED_OVERLAP) && r->op != REQUEST_FLUSH)
		op->req.sector += sim_between(s, 0, 7) * s->volume;
	if (changes(&op->req)) {
		op->write = truth_write(s, op->sector, r->sectors);
		truth_fill(op->data, op->write, op->sector, r->sectors);
	}
	g->ring.slot[g->ring.prod++ % SIM_GUEST_SLOTS] = op->req.tag;
	sim_note(s, n,
		 r->op == REQUEST_READ	  ? "guest-read"
		 : r->op == REQUEST_WRITE ? "guest-write"
		 : r->op == REQUEST_DISCARD ? "guest-discard"
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
		bool cut = cut_next(n->sim, CUT_REQUESTS);

		draw(n, &r);
		if (!cut) {
			put(n, op, &r);
			kick(n);
		}
		cut_end(n->sim);
		if (cut) {
			put_in(n, 1 + sim_random(n->sim, think(n) + 1));
			return;
		}
		if (g->think || (n->sim->plan.stopped && n->sim->plan.apart)) /* then it is slow [think] */
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

uint64_t vguest_enough(const struct sim *s)
{
	return s->plan.brief ? 6 : 20;
}

static uint64_t think(const struct node *n)
{
	const struct plan *p = &n->sim->plan;
	uint64_t share = p->goal_ops / p->goal_faults, think = n->guest.think;

	if (p->stopped && p->apart)
		return think + SIM_SECOND;
	if (p->stopped) /* while others wait for the end, it need not do much */
		return (think < 20 * SIM_MS ? think : 20 * SIM_MS) + 2 * SIM_MS * n->guest.depth;
	if (!p->brief)
		return think;
	if (n->sim->faults >= p->goal_faults)
		return think < 5 * SIM_MS ? think : 5 * SIM_MS;
	return n->sim->guest_ops - n->sim->ops_before < share ? think : think + p->gap;
}

static void draw_habits(struct guest *g, struct sim *s)
{
	bool lazy = sim_chance(s, s->plan.calm ? 600 : 100);

	g->depth = (unsigned int)sim_between(s, 1, lazy ? 2 : s->plan.calm ? 4 : SIM_GUEST_SLOTS);
	g->think = sim_chance(s, 50) ? 0 : sim_between(s, 1, lazy ? 1500 : 60) * SIM_MS;
	if (lazy && !g->think)
		g->think = SIM_SECOND;
	if (s->plan.brief && g->think > s->plan.gap)
		g->think = s->plan.gap;
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
	put_in(n, sim_random(n->sim, think(n) + 1));
}

static void seen_late_event(struct sim *s, struct event *e)
{
	struct guest *g = &e->node->guest;
	struct guest_op *op = &g->op[e->b];

	(void)s;
	if (g->serial == e->a && g->attach != ATTACH_NONE && g->life == LIFE_RUNNING && op->used && op->answered)
		seen(e->node, op);
}

/* An error takes it a while. */
static void seen_late(struct node *n, struct guest_op *op)
{
	struct event *e = sim_in(n->sim, sim_between_fencing(n->sim, 5, 100) * SIM_MS, seen_late_event, n);

	op->answered = true;
	e->a = n->guest.serial;
	e->b = (uint64_t)(op - n->guest.op);
	n->sim->totals->errors++;
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
								     op->req.sectors, op->secure };
	sim_note(n->sim, n, "suspended", g->branch, out->count, g->inflight);
}

/* What is in flight is answered without the partner. */
void vguest_parted(struct node *n)
{
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		n->guest.op[i].apart |= n->guest.op[i].consumed;
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
			g->op[i].used = g->op[i].left = false;
	g->ring = (struct ring){ 0 };
}

/* ---- the backend ---- */

static uint32_t end_of(const struct node *n)
{
	const struct ring *r = &n->guest.ring;

	return r->held && !sim_is(n->sim, MUTANT_HOLD_IGNORED) ? r->mark : r->prod;
}

void vguest_daemon_died(struct node *n)
{
	struct guest *g = &n->guest;

	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++) {
		struct guest_op *op = &g->op[i];

		op->left |= op->consumed && !sim_is(n->sim, MUTANT_LEFT_FORGOTTEN);
		op->consumed = false;
	}
	g->inflight = 0;
}

/* The oldest that an earlier daemon left. */
static struct guest_op *next_left(const struct guest *g)
{
	const struct guest_op *next = NULL;

	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		if (g->op[i].left && (!next || g->op[i].order < next->order))
			next = &g->op[i];
	return (struct guest_op *)next;
}

bool vguest_waits(const struct node *n)
{
	return next_left(&n->guest) || n->guest.ring.cons != end_of(n);
}

bool vguest_quiet(const struct node *n)
{
	const struct ring *r = &n->guest.ring;

	if (!r->attached) /* adopted, and to be attached still? */
		return !(n->guest.hold_at_mark && n->guest.record.core.served);
	return r->held && r->prod == r->mark && r->cons == r->mark && !n->guest.inflight && !next_left(&n->guest);
}

static struct guest_op *take_left(const struct node *n)
{
	struct guest_op *op = next_left(&n->guest);

	if (!op)
		return NULL;
	op->left = false;
	op->again = true;
	op->req = (struct request){ .tag = op->req.tag,
				    .op = op->req.op,
				    .preflush = op->req.preflush,
				    .again = true,
				    .secure = op->req.secure && !sim_is(n->sim, MUTANT_SECURE_FORGOTTEN),
				    .sector = op->req.sector,
				    .sectors = op->req.sectors,
				    .data = op->data };
	sim_note(n->sim, n, "again", op->order, 0, op->write);
	n->sim->totals->executed_again++;
	return op;
}

static void consume(struct node *n)
{
	struct guest *g = &n->guest;
	struct guest_op *op = take_left(n);

	if (!op)
		op = &g->op[g->ring.slot[g->ring.cons++ % SIM_GUEST_SLOTS]];
	op->consumed = true;
	op->failed_here = op->failed_apart = op->failed_there = op->not_erased = false;
	op->at = n->sim->now;
	n->ticks = 0; /* each may be due at once: that is no spinning */
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

static bool stale(const struct node *n)
{
	struct replicate_status st;

	replicate_status(n->core, &st, sim_ms(n->sim));
	return st.attachment == ATTACHMENT_STALE;
}

static struct guest_op *op_of(struct node *n, const struct request *req)
{
	struct guest_op *op = (struct guest_op *)(uintptr_t)req;

	return op >= n->guest.op && op < n->guest.op + SIM_GUEST_SLOTS ? op : NULL;
}

void vguest_disk_failed(struct node *n, const struct request *req)
{
	struct guest_op *op = op_of(n, req->flags & REQUEST_PIECE ? req->whole : req);

	if (!op)
		return;
	op->failed_here = true;
	op->failed_apart |= n->status.connection != CONNECTION_CONNECTED;
}

void vguest_partner_failed(struct node *n, uint64_t id)
{
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		if (n->guest.op[i].consumed && n->guest.op[i].req.id == id)
			n->guest.op[i].failed_there = true;
}

void vguest_not_erased(struct node *n, const struct request *req)
{
	struct guest_op *op = req ? op_of(n, req->whole) : NULL;

	if (op)
		op->not_erased = true;
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS && !req; i++)
		n->guest.op[i].not_erased |= n->guest.op[i].consumed && n->guest.op[i].secure;
}

void vguest_completed(struct node *n, struct guest_op *op, int rc)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;
	bool error;

	sim_note(s, n, "guest-answer", op->sector, op->req.sectors, op->write);
	if (!op->used || !op->consumed) {
		sim_violate(s, ORACLE_CONTRACT, "node %d: a guest request was completed twice", n->index);
		return;
	}
	if (sim_is(s, MUTANT_ERROR_TO_GUEST) && n->status.connection != CONNECTION_CONNECTED)
		rc = -EIO;
	if (rc == -ECANCELED && g->attach != ATTACH_RELEASING && stale(n)) { /* it is never answered */
		op->consumed = false;
		g->inflight--;
		return;
	}
	error = rc && rc != -ECANCELED;
	oracle_completed(n, op, rc);
	memset(op->data, 0xda, op->req.sectors * SECTOR_SIZE);
	op->consumed = false;
	if (changes(&op->req))
		cost_clean(s, op->sector, op->req.sectors);
	s->totals->discards += op->req.op == REQUEST_DISCARD && !rc;
	s->totals->discards_long += op->req.op == REQUEST_DISCARD && !rc && op->req.sectors > SIM_EXTENT_SECTORS;
	s->totals->erased += op->secure && !rc;
	s->totals->not_erased += op->secure && error;
	g->inflight--;
	s->guest_ops += !error;
	if (g->attach != ATTACH_RELEASING && g->life == LIFE_SUSPENDED)
		op->answered = true;
	else if (error && g->attach != ATTACH_RELEASING)
		seen_late(n, op);
	else
		seen(n, op);
	if (g->record.held)
		vguest_serve_soon(n); /* the ring may be quiet */
}

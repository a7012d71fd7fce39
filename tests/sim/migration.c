/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * migration.c: the toolstack: it starts guests, migrates them, and destroys them.
 *
 * A migration suspends the guest, and lets its copy's disk be added at the other node.  How it ends is drawn:
 * the copy is started and the source destroyed, in either order; or it fails, and the source is resumed,
 * before or after the copy is gone; or somebody makes a mistake, and both run.  Hosts and daemons that die
 * cut it short.  What is left half done, an administrator puts right after a while: of two copies one is
 * destroyed, a guest that stands still is resumed.  When the faults are over, he reads status, and does what
 * docs/HANDOVER.md, section 6, says.
 */
#include <errno.h>

#include "tests/sim/sim.h"

enum action { ADD, RESUME_SOURCE, DESTROY_SOURCE, UNPAUSE, DESTROY_COPY, RESTART_SOURCE, RESTART_COPY };

static struct node *source(struct sim *s)
{
	return &s->node[s->migration.source];
}

static struct node *destination(struct sim *s)
{
	return &s->node[!s->migration.source];
}

static bool alive(const struct guest *g)
{
	return g->attach != ATTACH_NONE && g->attach != ATTACH_RELEASING;
}

/* The domain that this migration is about is still there. */
static bool meant(const struct node *n)
{
	return alive(&n->guest) && n->sim->migration.domain[n->index] == n->guest.serial;
}

/* ---- one migration ---- */

static void act_event(struct sim *s, struct event *e);

/* Most of them soon, some late. */
static void act_in(struct sim *s, enum action a, uint64_t most_ms)
{
	struct event *e = sim_in(s, sim_random(s, (sim_chance(s, 150) ? 10 : 1) * most_ms * SIM_MS),
				 act_event, NULL);

	e->a = a;
	e->b = s->migration.serial;
	s->migration.pending++;
}

void migration_begin(struct node *n)
{
	struct sim *s = n->sim;
	struct migration *m = &s->migration;
	bool sure = m->must_succeed;

	*m = (struct migration){
		.serial = m->serial + 1, .running = true, .source = n->index, .must_succeed = sure
	};
	m->domain[n->index] = n->guest.serial;
	s->totals->migrations++;
	vguest_suspend(n, &m->image);
	act_in(s, ADD, 10);
	if (!sure &&
	    sim_chance(s,
		       sim_is(s, MUTANT_MARK_FORGOTTEN) ? 500 : 60)) /* the package is upgraded meanwhile */
		act_in(s, sim_chance(s, 600) ? RESTART_SOURCE : RESTART_COPY, 60);
	if (!sure && sim_chance(s, 120)) /* xl is killed early */
		act_in(s, RESUME_SOURCE, 30);
}

/* Another virtual machine, which is configured to have the same disk. */
static void arrive_alien(struct node *n)
{
	struct image image = { .vm = ++n->sim->history.vms, .branch = lineage_branch(n->sim, NO_BRANCH) };

	image.fresh_starts = n->sim->history.fresh_starts;
	vdevice_claim(n, &image);
}

static void add(struct sim *s)
{
	struct migration *m = &s->migration;
	struct node *n = destination(s);

	m->adding = true;
	if (!n->up || n->stopping || n->guest.attach != ATTACH_NONE) {
		m->domain[n->index] = n->guest.serial;
		migration_added(n, -EAGAIN);
		return;
	}
	m->domain[n->index] = n->guest.serial + 1;
	if (!m->must_succeed && sim_chance(s, 20))
		arrive_alien(n);
	else
		vdevice_claim(n, &m->image);
}

static void failed(struct sim *s)
{
	unsigned int kind = s->migration.must_succeed ? 0 : sim_random(s, 1000);

	if (kind < 900)
		act_in(s, RESUME_SOURCE, 20);
	else if (kind < 950)
		act_in(s, DESTROY_SOURCE, 20);
}

static void draw_ending(struct sim *s)
{
	unsigned int kind = s->migration.must_succeed ? 0 : sim_random(s, 1000);

	if (sim_is(s, MUTANT_MARK_FORGOTTEN) && !s->migration.must_succeed) /* it bites only here */
		kind = 850;
	if (kind < 550) {
		act_in(s, UNPAUSE, 20);
		act_in(s, DESTROY_SOURCE, 60);
	} else if (kind < 700) { /* failed before the point of no return */
		act_in(s, DESTROY_COPY, 40);
		act_in(s, RESUME_SOURCE, 40);
	} else if (kind < 800) { /* failed after it */
		act_in(s, UNPAUSE, 20);
		act_in(s, DESTROY_COPY, 100);
		act_in(s, RESUME_SOURCE, 100);
	} else if (kind < 880) { /* a mistake: both run */
		act_in(s, UNPAUSE, 40);
		act_in(s, RESUME_SOURCE, 40);
	} else if (kind < 920) {
		act_in(s, RESUME_SOURCE, 40);
	} else if (kind < 950) {
		act_in(s, DESTROY_COPY, 40);
		act_in(s, DESTROY_SOURCE, 40);
	} else if (kind < 980) {
		act_in(s, DESTROY_SOURCE, 40);
	} else { /* xl at the source hangs */
		act_in(s, UNPAUSE, 40);
	}
}

void migration_added(struct node *n, int rc)
{
	struct sim *s = n->sim;
	struct migration *m = &s->migration;

	if (!m->running || !m->adding || n != destination(s) || n->guest.serial != m->domain[n->index])
		return;
	m->adding = false;
	if (rc) {
		s->totals->reserve_refused++;
		failed(s);
	} else {
		s->totals->reserved++;
		draw_ending(s);
	}
	m->running = m->pending || m->adding;
}

static void act(struct sim *s, enum action a)
{
	struct node *from = source(s), *to = destination(s);

	switch (a) {
	case ADD:
		add(s);
		break;
	case RESUME_SOURCE:
		if (meant(from) && from->guest.life == LIFE_SUSPENDED) {
			s->totals->undone++;
			vguest_resume(from);
		}
		break;
	case DESTROY_SOURCE:
		if (s->migration.must_succeed && meant(to) && to->guest.attach != ATTACH_ACTIVE)
			act_in(s, DESTROY_SOURCE, 100); /* not before the copy is served */
		else if (meant(from))
			vdevice_destroy(from);
		break;
	case UNPAUSE:
		if (meant(to) && to->guest.life == LIFE_PAUSED && to->guest.attach != ATTACH_CLAIMING)
			vdevice_unpause(to);
		break;
	case DESTROY_COPY:
		if (meant(to))
			vdevice_destroy(to);
		break;
	case RESTART_SOURCE:
		plan_restart(from);
		break;
	case RESTART_COPY:
		plan_restart(to);
		break;
	}
}

static void act_event(struct sim *s, struct event *e)
{
	struct migration *m = &s->migration;

	if (e->b != m->serial)
		return;
	m->pending--;
	act(s, (enum action)e->a);
	m->running = m->pending || m->adding;
}

/* ---- the administrator ---- */

static bool between_migrations(const struct node *n)
{
	return !n->sim->migration.running;
}

/* Another disk of the same guest is to be used (and is, as soon as this one is ready), or was found to be overtaken (R10); called where
 * that may happen. */
static void sibling(struct node *n)
{
	struct guest *g = &n->guest, *other = &node_peer(n)->guest;
	const struct superblock *sb = &n->meta.durable;
	bool overtakes = alive(other) && other->life == LIFE_RUNNING && other->started;

	if (!n->up || n->stopping || !g->started || g->life != LIFE_RUNNING)
		return;
	if (n->status.attachment == ATTACHMENT_ACTIVE && sb->token == TOKEN_HELD && !g->record.held &&
	    g->ring.prod == g->ring.cons && sim_chance(n->sim, 500)) {
		g->sibling = g->serial;
		if (sim_is(n->sim, MUTANT_SIBLING_UNSAID))
			migration_sibling_ready(n);
		else
			replicate_sibling_used(n->core, sim_ms(n->sim));
	} else if (n->status.attachment != ATTACHMENT_ACTIVE && overtakes && other->vm == g->vm) {
		g->outdated = true;
		replicate_outdate(n->core, "the other disk says so", sim_ms(n->sim));
	}
	node_settle(n);
}

/* Requests from before it was suspended come first. */
static bool older_request_waits(const struct guest *g)
{
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		if (g->op[i].used && g->op[i].branch != g->branch)
			return true;
	return false;
}

void migration_sibling_ready(struct node *n)
{
	struct guest *g = &n->guest;

	if (g->sibling == g->serial && g->life == LIFE_RUNNING && !older_request_waits(g))
		lineage_execute(n, g->branch);
}

/* Two domains have this disk, and no migration is under way: which one is to go? */
static struct node *surplus(struct sim *s)
{
	struct node *a = &s->node[0], *b = &s->node[1];

	if (!alive(&a->guest) || !alive(&b->guest))
		return NULL;
	for (int i = 0; i < SIM_NODES && s->plan.stopped; i++) {
		struct node *n = &s->node[i], *other = node_peer(n);
		bool served = other->status.attachment == ATTACHMENT_ACTIVE &&
			      other->guest.life == LIFE_RUNNING;

		if (n->guest.refused || n->status.attachment == ATTACHMENT_STALE || served)
			return n;
		if (n->guest.life == LIFE_SUSPENDED && other->guest.life == LIFE_RUNNING)
			return n;
	}
	return sim_chance(s, 500) ? a : b;
}

static bool said_why(const struct node *n)
{
	return n->status.frozen[0] != '\0';
}

/* A copy that will never be served again. */
static bool overtaken(const struct node *n)
{
	return n->guest.refused || (n->up && n->status.attachment == ATTACHMENT_STALE);
}

static void clear_away(struct node *n)
{
	if (n->up && !n->parked && n->guest.attach != ATTACH_ORPHAN && !said_why(n))
		sim_violate(n->sim, ORACLE_LIVENESS,
			    "node %d: its copy of the guest was overtaken, and status has no words",
			    n->index);
	vdevice_destroy(n);
}

/* A guest that stands still: suspended, or paused after it arrived. */
static void set_going(struct node *n)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	if (!s->plan.stopped && sim_chance(s, 200))
		vdevice_destroy(n);
	else if (g->life == LIFE_SUSPENDED)
		vguest_resume(n);
	else
		vdevice_unpause(n);
}

static bool standing(const struct guest *g)
{
	return g->life == LIFE_SUSPENDED ||
	       (g->incoming && (g->attach == ATTACH_CLAIMED || g->attach == ATTACH_ORPHAN));
}

/* True: something was done. */
static bool administrate(struct node *n)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;
	unsigned int often = s->plan.stopped ? 500 : 50;

	if (!alive(g) || !between_migrations(n) || !sim_chance(s, often))
		return false;
	if (surplus(s) == n)
		vdevice_destroy(n);
	else if (overtaken(n))
		clear_away(n);
	else if (g->attach == ATTACH_ORPHAN && n->up && !vdevice_may_go_on(n))
		vdevice_destroy(n);
	else if (standing(g) && (!s->plan.stopped || !alive(&node_peer(n)->guest)))
		set_going(n);
	else
		return false;
	return true;
}

/* ---- the life of a guest on one node ---- */

/* A second start is most interesting while the other node's daemon is being stopped, or a reservation lives
 * on. */
static void while_none(struct node *n)
{
	enum attach there = node_peer(n)->guest.attach;
	struct sim *s = n->sim;
	bool tempting = node_peer(n)->stopping || n->meta.durable.reservation;
	unsigned int wish = there == ATTACH_NONE	? 400
			    : there == ATTACH_RELEASING ? 200
			    : tempting			? 150
							: 25;

	if (s->plan.stopped || !n->up || n->parked || (s->migration.running && !tempting))
		return;
	if (sim_chance(s, wish))
		vdevice_claim(n, NULL);
	else if (sim_chance(s, 5))
		arrive_alien(n);
}

static void while_claimed(struct node *n)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	if (g->refused || n->stopping || (g->incoming && !g->leaving))
		return;
	if (g->leaving || (!s->plan.stopped && !g->started && sim_chance(s, 100)))
		vdevice_destroy(n);
	else if (g->life != LIFE_PAUSED && sim_chance(s, 800))
		vdevice_activate(n);
	else if (g->life == LIFE_PAUSED && sim_chance(s, 500))
		vdevice_unpause(n);
}

static bool ring_empty(const struct guest *g)
{
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
		if (g->op[i].used)
			return false;
	return true;
}

static bool may_migrate(const struct node *n)
{
	const struct node *peer = node_peer(n);

	return n->guest.life == LIFE_RUNNING && n->guest.attach == ATTACH_ACTIVE && !n->guest.leaving &&
	       between_migrations(n) && peer->up && peer->guest.attach == ATTACH_NONE;
}

static void while_active(struct node *n)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	if (g->leaving) {
		if (ring_empty(g) || g->life == LIFE_SUSPENDED || n->status.attachment != ATTACHMENT_ACTIVE)
			vdevice_destroy(n);
	} else if (s->plan.stopped) {
		return;
	} else if (!g->lifetime || !--g->lifetime) {
		vdevice_leave(n, sim_chance(s, 300));
	} else if (may_migrate(n) && sim_chance(s, 300)) {
		migration_begin(n);
	} else if (!n->stopping && sim_chance(s, 5)) {
		vdevice_ask_twice(n);
	} else if (sim_chance(s, g->image.vm && n->status.superblock.base < n->status.superblock.epoch
					 ? 200
					 : 20)) {
		sibling(n);
	}
}

static void manage(struct node *n)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	if (administrate(n))
		return;
	switch (g->attach) {
	case ATTACH_NONE:
		while_none(n);
		break;
	case ATTACH_CLAIMING:
		if (g->leaving || (!s->plan.stopped && sim_chance(s, 10)))
			vdevice_destroy(n);
		break;
	case ATTACH_CLAIMED:
		while_claimed(n);
		break;
	case ATTACH_ACTIVATING:
		if (g->leaving || (!s->plan.stopped && sim_chance(s, 10)))
			vdevice_destroy(n);
		else if (!s->plan.stopped && sim_chance(s, 20))
			sibling(n);
		break;
	case ATTACH_ACTIVE:
		while_active(n);
		break;
	case ATTACH_ORPHAN:
		if (g->leaving || (!s->plan.stopped && sim_chance(s, 10)))
			vdevice_destroy(n);
		break;
	case ATTACH_RELEASING:
		if (!s->plan.stopped && !g->next && !n->parked && sim_chance(s, 100))
			vdevice_claim_next(n);
		break;
	}
}

static void manage_event(struct sim *s, struct event *e)
{
	bool cut = cut_next(s, CUT_TOOLSTACK);
	uint64_t wait = sim_between(s, 1, 80) * SIM_MS;

	if (!cut)
		manage(e->node);
	cut_end(s);
	sim_in(s, wait, manage_event, e->node);
}

void migration_start(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++)
		sim_in(s, sim_between(s, 1, 200) * SIM_MS, manage_event, &s->node[i]);
}

void migration_shock(struct sim *s)
{
	struct node *n = &s->node[sim_random(s, SIM_NODES)];
	struct guest *g = &n->guest;

	if (!alive(g))
		return;
	if (standing(g) && g->attach != ATTACH_CLAIMING && sim_chance(s, 700))
		set_going(n);
	else
		vdevice_destroy(n);
}

bool migration_settled(struct sim *s)
{
	if (s->migration.running || (alive(&s->node[0].guest) && alive(&s->node[1].guest)))
		return false;
	for (int i = 0; i < SIM_NODES; i++) {
		const struct node *n = &s->node[i];

		if (alive(&n->guest) &&
		    (overtaken(n) || standing(&n->guest) || n->guest.attach == ATTACH_ORPHAN ||
		     n->guest.attach == ATTACH_CLAIMED))
			return false;
	}
	return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vdevice.c: the guest's disk on one node, as device.c and owner_ring.c see it.
 *
 *   NONE ─claim─> CLAIMING ─claimed─> CLAIMED ─activate─> ACTIVATING ─activated─> ACTIVE
 *                    └─ refused ─> NONE   └──────────────────┴─ release ─────────────┴─> RELEASING ─> NONE
 *   the daemon ends:        CLAIMED, ACTIVATING, ACTIVE ─> ORPHAN
 *   the next one adopts it: ORPHAN ─> CLAIMING ─> CLAIMED, and on
 *
 * The domain, its ring and the file in /run (`file`) outlive the daemon and die with the host; what the
 * daemon knows of them (`record`, whether the ring is attached) does not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

#define ADOPT_RETRY (500 * SIM_MS)

/* ---- claims ---- */

static void bound_event(struct sim *s, struct event *e)
{
	struct guest *g = &e->node->guest;

	if ((g->attach == ATTACH_CLAIMING || g->next) && g->claims == e->a)
		sim_violate(s, ORACLE_LIVENESS,
			    "node %d: a claim was not answered within its bound of %lu ms", e->node->index,
			    e->b);
}

/* And no write of the metadata is under way, which may have begun when that was slow. */
static bool connected(const struct node *n)
{
	const struct node *peer = node_peer(n);

	return vnet_whole(n->sim) && n->up && peer->up && !n->stopping && !peer->stopping && !n->meta.step &&
	       !peer->meta.step && n->status.connection == CONNECTION_CONNECTED &&
	       peer->status.connection == CONNECTION_CONNECTED && n->status.sync == SYNC_STATE_OFF &&
	       peer->status.sync == SYNC_STATE_OFF && n->status.disk == DISK_UP_TO_DATE && peer->status.disk == DISK_UP_TO_DATE &&
	       !n->status.suspended && !peer->status.suspended && !n->commanding && !peer->commanding;
}

static bool witness(const struct node *n)
{
	const struct node *peer = node_peer(n);

	return connected(n) && peer->guest.attach == ATTACH_ACTIVE &&
	       peer->status.attachment == ATTACHMENT_ACTIVE;
}

void vdevice_disturbed(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++)
		s->node[i].guest.witnessed = s->node[i].guest.fair = false;
}

/* Nothing stands in the way of a guest that is started here. */
static bool fair_start(const struct node *n)
{
	const struct node *peer = node_peer(n);

	return connected(n) && vmeta_still(&n->meta) && vmeta_still(&peer->meta) && !n->meta.failed && !peer->meta.failed && !n->sim->plan.slow && !peer->guest.next && !n->guest.left &&
	       !peer->guest.left &&
	       (peer->guest.attach == ATTACH_NONE || peer->guest.attach == ATTACH_RELEASING);
}

/* Nothing stands in the way of a guest that arrives here. */
static bool fair_arrival(const struct node *n, const struct image *image)
{
	const struct guest *g = &node_peer(n)->guest;

	return witness(n) && !n->sim->plan.slow && g->life == LIFE_SUSPENDED && g->vm == image->vm &&
	       g->branch == image->branch && !n->guest.left && n->cfg.reserve_timeout_ms >= 1000;
}

static void claimant_make(const struct node *n, struct claimant *c, const char *who)
{
	*c = (struct claimant){ .incoming = n->guest.incoming };
	memcpy(c->uuid, &n->guest.vm, sizeof(n->guest.vm));
	snprintf(c->who, sizeof(c->who), "%s", who);
}

/* The bound is that of the daemon: a claim that is answered later hangs xl. */
static void ask(struct node *n, const struct claimant *c)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;
	uint32_t bound = c->incoming ? n->cfg.reserve_timeout_ms : n->cfg.claim_timeout_ms;
	struct event *e = sim_in(s, (bound + 10) * SIM_MS, bound_event, n);

	g->claims++;
	s->totals->claims++;
	node_peer(n)->guest.fair = false;
	e->a = g->claims;
	e->b = bound;
	sim_mortal(e);
	sim_note(s, n, c->incoming ? "reserve" : "claim", g->claims, g->witnessed, bound);
	replicate_claim(n->core, c, sim_ms(s));
	node_settle(n);
}

static void domain_new(struct node *n, const struct image *image)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	g->serial++;
	g->life = LIFE_PAUSED;
	g->incoming = image != NULL;
	g->connecting = g->started = g->outdated = g->refused = g->leaving = g->stalled = false;
	g->ring = (struct ring){ 0 };
	g->claim_rc = 0;
	g->answered = 0;
	g->lifetime = (unsigned int)sim_between(s, 1, 150);
	g->image = image ? *image : (struct image){ 0 };
	g->vm = image ? image->vm : ++s->history.vms;
	g->branch = image ? lineage_branch(s, image->branch) : lineage_start(s);
	snprintf(g->who, sizeof(g->who), "guest web%d-%u", n->index, g->serial);
}

void vdevice_claim(struct node *n, const struct image *image)
{
	struct guest *g = &n->guest;
	struct claimant c;

	domain_new(n, image);
	g->attach = ATTACH_CLAIMING;
	g->witnessed = !image && witness(n);
	g->fair = image ? fair_arrival(n, image) : fair_start(n);
	claimant_make(n, &c, g->who);
	ask(n, &c);
}

/* The disk is attached again before the last guest's requests are finished. */
void vdevice_claim_next(struct node *n)
{
	struct guest *g = &n->guest;
	struct claimant c = { .incoming = false };

	g->next = true;
	g->witnessed = g->fair = false;
	snprintf(g->next_who, sizeof(g->next_who), "guest web%d-%u", n->index, g->serial + 1);
	snprintf(c.who, sizeof(c.who), "%s", g->next_who);
	ask(n, &c);
}

void vdevice_ask_twice(struct node *n)
{
	struct claimant c;

	n->guest.busy_asked = true;
	claimant_make(n, &c, "guest other (a second start)");
	c.incoming = sim_chance(n->sim, 500);
	replicate_claim(n->core, &c, sim_ms(n->sim));
	if (n->guest.busy_asked)
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: a second claim was not answered at once",
			    n->index);
	n->guest.busy_asked = false;
	node_settle(n);
}

static void adopt_event(struct sim *s, struct event *e);

static void adopt_in(struct node *n, uint64_t delay)
{
	if (n->guest.adopt_due)
		return;
	n->guest.adopt_due = true;
	sim_mortal(sim_in(n->sim, delay, adopt_event, n));
}

static void adopted(struct node *n, int rc)
{
	struct guest *g = &n->guest;

	if (rc) { /* tried again: the guest waits meanwhile */
		g->attach = ATTACH_ORPHAN;
		adopt_in(n, ADOPT_RETRY);
		return;
	}
	n->sim->totals->adopted++;
	g->attach = ATTACH_CLAIMED;
}

void vdevice_claimed(struct node *n, int rc, const char *why)
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
		if (!g->next)
			migration_added(n, rc);
		g->next = false; /* cancelled, or too late */
		return;
	}
	if (g->attach != ATTACH_CLAIMING) {
		sim_violate(n->sim, ORACLE_CONTRACT, "node %d: claimed() without a claim", n->index);
		return;
	}
	if (!rc)
		g->record.domid = g->serial;
	if (g->adopting) {
		g->adopting = false;
		adopted(n, rc);
		return;
	}
	oracle_claimed(n, rc, why);
	g->claim_rc = rc;
	g->attach = rc ? ATTACH_NONE : ATTACH_CLAIMED;
	if (rc)
		n->sim->totals->refused++;
	else
		n->sim->totals->granted++;
	migration_added(n, rc);
}

/* ---- the frontend connects ---- */

/* The guest runs from now on; its frontend connects as soon as there is a daemon. */
void vdevice_unpause(struct node *n)
{
	struct guest *g = &n->guest;

	if (g->image.vm)
		n->sim->history.branch[g->image.branch].copy_ran = true;
	g->incoming = false; /* renamed */
	g->life = LIFE_RUNNING;
	sim_note(n->sim, n, "unpause", 0, 0, 0);
	if (g->attach == ATTACH_CLAIMED && !n->stopping)
		vdevice_activate(n);
}

/* Of a guest that runs, or was suspended after it had connected to an earlier daemon. */
void vdevice_activate(struct node *n)
{
	struct guest *g = &n->guest;

	g->attach = ATTACH_ACTIVATING;
	g->connecting = true;
	sim_note(n->sim, n, "activate", 0, 0, 0);
	replicate_activate(n->core, g->who, sim_chance(n->sim, 500), sim_ms(n->sim));
	node_settle(n);
}

static void ring_hold_at(struct ring *r, uint32_t mark)
{
	r->held = true;
	r->told = false;
	r->mark = mark - r->cons <= r->prod - r->cons ? mark : r->cons;
}

static void attach_ring(struct node *n)
{
	struct guest *g = &n->guest;

	g->ring.attached = true;
	g->ring.held = false;
	if (g->record.held)
		ring_hold_at(&g->ring, g->hold_at_mark && !sim_is(n->sim, MUTANT_MARK_FORGOTTEN)
					       ? g->record.mark
					       : g->ring.prod);
	g->hold_at_mark = false;
}

void vdevice_activated(struct node *n, int rc, const char *why)
{
	struct guest *g = &n->guest;
	struct sim *s = n->sim;

	sim_say(s, n, "activated", why ? why : "");
	if (g->attach == ATTACH_RELEASING)
		return;
	if (g->attach != ATTACH_ACTIVATING || (rc && (rc != -ESTALE || !why || !*why))) {
		sim_violate(s, ORACLE_CONTRACT, "node %d: activated(%d) unasked or without words", n->index,
			    rc);
		return;
	}
	if (rc) {
		g->attach = ATTACH_CLAIMED; /* its ring is never attached; somebody will destroy it */
		g->refused = true;
		return;
	}
	s->totals->activations++;
	s->totals->completed += g->image.vm && !g->started;
	g->attach = ATTACH_ACTIVE;
	g->stalled = false;
	attach_ring(n);
	vguest_connected(n);
}

/* ---- what the core wants to be kept, and the hold (owner_ring.c) ---- */

static void write_record(struct node *n)
{
	struct guest *g = &n->guest;

	if (!g->record.domid)
		return;
	g->file = g->record;
	g->filed = true;
	if (sim_is(n->sim, MUTANT_RECORD_TOO_NEW)) {
		g->file.core.served = g->file.core.served ? UINT32_MAX : 0;
		g->file.core.stale = false;
	}
}

void vdevice_record(struct node *n, const struct attachment *a)
{
	struct guest *g = &n->guest;

	if (g->left) { /* only the token's part can have changed */
		g->file.core.confirmed = a->confirmed;
		g->file.core.known = a->known;
		g->record.core = attachment_of_host(a);
		return;
	}
	if (g->attach == ATTACH_CLAIMING && (a->served || a->reserved)) /* being granted */
		g->record.domid = g->serial;
	g->record.core = *a;
	write_record(n);
}

void vdevice_hold(struct node *n)
{
	struct guest *g = &n->guest;

	if (g->adopting) { /* without a mark: whatever is in the ring lies beyond it */
		g->hold_at_mark = true;
		if (!g->record.held)
			g->record.mark = 0;
	} else if (g->ring.attached && !g->record.held) {
		ring_hold_at(&g->ring, g->ring.prod);
		g->record.mark = g->ring.mark;
	}
	sim_note(n->sim, n, "hold", g->record.mark, g->ring.prod, g->ring.cons);
	g->record.held = true;
	write_record(n);
}

void vdevice_unhold(struct node *n)
{
	struct guest *g = &n->guest;

	sim_note(n->sim, n, "unhold", g->ring.prod, g->ring.cons, 0);
	g->record.held = g->hold_at_mark = g->ring.held = false;
	vguest_serve_soon(n);
	write_record(n);
}

/* ---- is the guest suspended? ---- */

static int look(const struct node *n, uint64_t vm)
{
	const struct guest *g = &n->guest;
	bool recently = g->suspended_at && n->sim->now - g->running_at < SIM_SECOND;

	if (vm != g->vm && !sim_is(n->sim, MUTANT_UUID_IGNORED))
		return -EBUSY;
	if (sim_is(n->sim, MUTANT_ALWAYS_SUSPENDED) || (sim_is(n->sim, MUTANT_OLD_LOOK) && recently))
		return 0;
	return g->life == LIFE_SUSPENDED ? 0 : -EBUSY;
}

struct answer {
	uint64_t query, vm;
	int rc;
};

static void look_answered_event(struct sim *s, struct event *e)
{
	const struct answer *a = e->p;

	sim_note(s, e->node, "looked", (uint64_t)-a->rc, 0, 0);
	replicate_suspended(e->node->core, a->query, a->rc, a->rc ? "the guest runs, or is another one" : "",
			    sim_ms(s));
	node_settle(e->node);
}

/* The truth is that of the look; the answer arrives later. */
static void look_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;
	struct answer *a = e->p;

	if (n->guest.attach == ATTACH_NONE || n->guest.attach == ATTACH_RELEASING)
		return; /* it is being released, which ends the asker's wait */
	a->rc = look(n, a->vm);
	sim_note(s, n, "look", (uint64_t)-a->rc, n->guest.life, 0);
	e->p = NULL;
	e = sim_in(s, sim_random(s, sim_chance(s, 800) ? 2 * SIM_MS : 100 * SIM_MS), look_answered_event, n);
	e->p = a;
	sim_mortal(e);
}

void vdevice_look_suspended(struct node *n, uint64_t query, const uint8_t *uuid)
{
	struct sim *s = n->sim;
	struct answer *a = sim_memory(1, sizeof(*a));
	struct event *e = sim_in(s, sim_random(s, sim_chance(s, 800) ? 2 * SIM_MS : 100 * SIM_MS), look_event,
				 n);

	a->query = query;
	memcpy(&a->vm, uuid, sizeof(a->vm));
	e->p = a;
	sim_mortal(e);
}

/* ---- the guest leaves ---- */

void vdevice_destroy(struct node *n)
{
	struct guest *g = &n->guest;

	if (g->attach == ATTACH_NONE || g->attach == ATTACH_RELEASING)
		return;
	sim_note(n->sim, n, "destroy", g->inflight, g->attach, 0);
	node_peer(n)->guest.witnessed = node_peer(n)->guest.fair = false;
	g->life = LIFE_PAUSED;
	vguest_gone(n);
	if (g->attach == ATTACH_ORPHAN) {
		g->attach = ATTACH_NONE; /* the daemon will see that the device is not there */
		g->idle_since = n->sim->now;
		return;
	}
	g->attach = ATTACH_RELEASING;
	replicate_release(n->core, sim_ms(n->sim));
	node_settle(n);
}

void vdevice_released(struct node *n)
{
	struct guest *g = &n->guest;

	if (n->parked && g->attach != ATTACH_RELEASING)
		return; /* the guest is still there, for the next daemon */
	sim_note(n->sim, n, "released", g->inflight, 0, 0);
	if (g->attach != ATTACH_RELEASING || g->inflight)
		sim_violate(n->sim, ORACLE_CONTRACT,
			    "node %d: released() unasked or with %u requests in flight", n->index,
			    g->inflight);
	g->idle_since = n->sim->now;
	g->attach = g->next ? ATTACH_CLAIMING : ATTACH_NONE;
	g->adopting = false;
	g->record = (struct attachment_record){ .domid = 0 };
	g->filed = g->filed && n->stopping;
	if (g->next) {
		domain_new(n, NULL);
		g->leaving = n->sim->plan.stopped;
	}
	g->next = false;
}

/* Shut down (after its last answer), or destroyed with whatever is in flight. */
void vdevice_leave(struct node *n, bool destroy)
{
	n->guest.leaving = true;
	if (destroy)
		vdevice_destroy(n);
}

/* ---- the daemon ends, and the next one starts ---- */

bool vdevice_may_go_on(const struct node *n)
{
	const struct guest *g = &n->guest;

	return !g->started || g->filed;	/* the table is always there */
}

static void adopt(struct node *n)
{
	struct guest *g = &n->guest;
	struct claimant c;

	g->attach = ATTACH_CLAIMING;
	g->witnessed = g->fair = false;
	g->adopting = true;
	claimant_make(n, &c, g->who);
	sim_note(n->sim, n, "adopt", g->filed, g->file.core.served, g->file.held);
	if (g->filed && g->file.domid == g->serial) {
		g->left = false;
		g->record = g->file;
		replicate_adopt(n->core, &c, &g->record.core, sim_ms(n->sim));
		node_settle(n);
	} else {
		ask(n, &c);
	}
}

static void nobody_left(struct node *n)
{
	struct guest *g = &n->guest;

	if (g->record.domid)
		return;
	sim_note(n->sim, n, "nobody-left", 0, 0, 0);
	g->left = g->filed = false;
	replicate_nobody_left(n->core, sim_ms(n->sim));
	node_settle(n);
}

/* The control thread has read xenstore. */
static void adopt_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;
	struct guest *g = &n->guest;

	g->adopt_due = false;
	if (!n->stopping && g->attach == ATTACH_ORPHAN && vdevice_may_go_on(n))
		adopt(n);
	else if (!n->stopping && g->left && g->attach != ATTACH_ORPHAN)
		nobody_left(n);
	if (g->left || g->attach == ATTACH_ORPHAN)
		adopt_in(n, sim_between(s, 1, 300) * SIM_MS);
}

void vdevice_booted(struct node *n)
{
	n->guest.adopt_due = false; /* what an earlier daemon had queued died with it */
	adopt_in(n, sim_between(n->sim, 1, 300) * SIM_MS);
}

void vdevice_park(struct node *n)
{
	struct guest *g = &n->guest;

	g->ring.attached = false;
	n->parked = true;
	n->sim->totals->parked++;
	sim_note(n->sim, n, "park", g->filed, g->attach, 0);
	replicate_park(n->core, sim_ms(n->sim));
	node_settle(n);
}

static void left_in_order(struct node *n)
{
	struct guest *g = &n->guest;

	if (sim_is(n->sim, MUTANT_RECORD_LOST))
		g->filed = false;
	if (g->attach == ATTACH_ORPHAN && !vdevice_may_go_on(n))
		sim_violate(n->sim, ORACLE_LIVENESS,
			    "node %d: the daemon was stopped in good order, but the next one could not go on "
			    "with its guest",
			    n->index);
}

void vdevice_daemon_died(struct node *n, bool power)
{
	struct guest *g = &n->guest;
	bool adding = g->attach == ATTACH_CLAIMING && !g->adopting;
	bool there = g->attach == ATTACH_CLAIMED || g->attach == ATTACH_ACTIVATING ||
		     g->attach == ATTACH_ACTIVE || g->attach == ATTACH_ORPHAN || g->adopting;

	vdevice_disturbed(n->sim);
	g->attach = there && !power ? ATTACH_ORPHAN : ATTACH_NONE;
	vguest_daemon_died(n);
	g->next = g->stalled = g->adopting = g->hold_at_mark = g->busy_asked = false;
	g->record = (struct attachment_record){ .domid = 0 };
	g->ring.attached = false;
	if (power)
		g->filed = false;
	if (g->attach == ATTACH_NONE) {
		g->leaving = false;
		g->life = LIFE_PAUSED;
		for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++)
			g->op[i].used = g->op[i].left = false;
		vguest_gone(n);
	}
	if (n->parked)
		left_in_order(n);
	if (adding)
		migration_added(n, -EIO);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan.c: which faults happen when.
 *
 * A schedule draws a mix of faults, their mean distance and its ending first; then faults come at random
 * times.  Random times rarely hit the short steps of a protocol, so one kind of fault is an ambush: it waits
 * for the n-th time that a chosen packet is sent or received, or a superblock write reaches a chosen step,
 * and strikes at that very moment.
 */
#include "tests/sim/sim.h"

static const unsigned int common[FAULT_COUNT] = {
	[FAULT_CUT] = 20,      [FAULT_CUT_LONG] = 8, [FAULT_NET_SLOW] = 5, [FAULT_CRASH] = 10,
	[FAULT_KILL] = 10,     [FAULT_SB_SLOW] = 4,  [FAULT_SB_ERROR] = 4, [FAULT_DISK_ERROR] = 8,
	[FAULT_DISK_SLOW] = 5, [FAULT_RIVAL] = 8,    [FAULT_DESTROY] = 4,  [FAULT_STOP] = 16,
	[FAULT_AMBUSH] = 30,
};

void plan_make(struct sim *s)
{
	struct plan *p = &s->plan;
	unsigned int kind = sim_random(s, 100);

	*p = (struct plan){ .ending = kind < 60 ? END_QUIET : kind < 85 ? END_PRIMARY : END_BOTH };
	p->cache = sim_chance(s, 100);
	p->calm = sim_chance(s, 600);
	p->repeat = sim_chance(s, 300) ? 0 : sim_between(s, 1, 300);
	p->duration = sim_between(s, 2, 8) * SIM_SECOND;
	p->gap = sim_between(s, 30, sim_chance(s, 300) ? 2500 : 800) * SIM_MS;
	for (int i = 0; i < FAULT_COUNT;
	     i++) /* a schedule has its own mix: some faults often, some not at all */
		p->weight[i] = common[i] * sim_random(s, 4);
	p->weight[FAULT_CUT]++;
	p->net_delay = sim_chance(s, 500) ? 300 : sim_between(s, 20, 5000);
	p->disk_latency = sim_chance(s, 500) ? 500 : sim_between(s, 20, 8000);
	p->sb_latency = sim_chance(s, 500) ? 1000 : sim_between(s, 20, 12000);
	s->volume = sim_chance(s, 800) ? sim_between(s, 16, 64) * 4 : SIM_VOLUME_MAX;
	s->block = sim_chance(s, 250) ? 8 : 1;
	if (s->block == 8)
		s->volume = SIM_VOLUME_MAX;
}

/* ---- what heals ---- */

static void net_heals(struct sim *s, struct event *e)
{
	(void)e;
	s->net.up = true;
	s->net.delay = s->plan.net_delay;
}

static void repair(struct node *n)
{
	const struct plan *p = &n->sim->plan;

	n->disk.latency = p->disk_latency;
	n->disk.errors = 0;
	n->meta.latency = p->sb_latency;
	n->meta.errors = 0;
}

static void node_heals(struct sim *s, struct event *e)
{
	s->plan.slow--;
	repair(e->node);
}

static void heal_in(struct sim *s, void (*heals)(struct sim *, struct event *), struct node *n, uint64_t low,
		    uint64_t high)
{
	sim_in(s, sim_between(s, low, high) * SIM_MS, heals, n);
}

/* ---- what strikes ---- */

static bool die(struct node *n, bool power)
{
	struct sim *s = n->sim;

	if (!node_may_die(n))
		n = node_peer(n);
	if (!node_may_die(n))
		return false;
	node_crash(n, power, sim_between(s, 20, 1500) * SIM_MS);
	return true;
}

bool plan_restart(struct node *n)
{
	if (!n->up || n->stopping || n->sim->plan.cache || n->sim->plan.stopped)
		return false;
	node_stop(n);
	return true;
}

static void arm(struct sim *s)
{
	struct plan *p = &s->plan;

	p->ambush.armed = true;
	p->ambush.point = sim_random(s, 6);
	p->ambush.arg = p->ambush.point <= POINT_RECEIVED ? sim_between(s, PACKET_HELLO, PACKET_ENDED)
							  : sim_random(s, 3);
	if (p->ambush.point >= POINT_SUPERBLOCK && p->ambush.point <= POINT_SUPERBLOCK_DONE)
		p->ambush.arg = 0;
	p->ambush.skip = sim_random(s, 4);
	p->ambush.action = sim_random(s, 13);
}

static void count(struct sim *s, enum fault f)
{
	s->faults++;
	s->totals->fault[f]++;
}

static void sprung_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;
	bool power = e->a & 1, hit = true;

	if (s->plan.stopped || !n->up)
		return;
	if (e->a <= 1)
		vnet_cut(s);
	else if (e->a <= 3)
		hit = die(n, power);
	else if (e->a <= 5)
		hit = die(node_peer(n), power);
	else if (e->a <= 7)
		vnet_repeat(power ? node_peer(n) : n);
	else if (e->a <= 10)
		migration_shock(s);
	else
		hit = plan_restart(n);
	if (hit)
		count(s, FAULT_AMBUSH);
}

void plan_point(struct node *n, enum point point, unsigned int arg)
{
	struct plan *p = &n->sim->plan;
	struct event *e;

	if (!p->ambush.armed || p->stopped || p->ambush.point != point || p->ambush.arg != arg)
		return;
	if (p->ambush.skip) {
		p->ambush.skip--;
		return;
	}
	p->ambush.armed = false;
	e = sim_in(n->sim, sim_chance(n->sim, 600) ? 0 : sim_random(n->sim, 500), sprung_event, n);
	e->a = p->ambush.action;
}

static bool strike_network(struct sim *s, enum fault f)
{
	if (f == FAULT_NET_SLOW) {
		s->net.delay = sim_between(s, 1, 150) * SIM_MS;
		vdevice_disturbed(s);
		heal_in(s, net_heals, NULL, 100, 2000);
		return true;
	}
	if (f == FAULT_CUT_LONG) {
		s->net.up = false;
		heal_in(s, net_heals, NULL, 300, 6000);
	}
	vnet_cut(s);
	return true;
}

/* The guest is destroyed while its disk fails. */
static void destroy_event(struct sim *s, struct event *e)
{
	if (!s->plan.stopped && e->node->guest.attach == ATTACH_ACTIVE)
		vdevice_leave(e->node, true);
}

static bool strike_node(struct sim *s, struct node *n, enum fault f)
{
	switch (f) {
	case FAULT_SB_SLOW:
		n->meta.latency = sim_between(s, 50, 1000) * SIM_MS;
		break;
	case FAULT_SB_ERROR:
		n->meta.errors = sim_between(s, 100, 1000);
		break;
	case FAULT_DISK_ERROR:
		n->disk.errors = sim_between(s, 50, 1000);
		if (sim_chance(s, 300))
			sim_mortal(sim_in(s, sim_random(s, 300) * SIM_MS, destroy_event, n));
		break;
	case FAULT_DISK_SLOW:
		n->disk.latency = sim_between(s, 5, 200) * SIM_MS;
		break;
	case FAULT_RIVAL:
		if (!n->up || n->parked || n->guest.attach != ATTACH_NONE)
			return false;
		vdevice_claim(n, NULL);
		return true;
	case FAULT_DESTROY:
		if (!n->up || n->guest.attach == ATTACH_NONE)
			return false;
		vdevice_leave(n, true);
		return true;
	case FAULT_STOP:
		return plan_restart(n);
	default:
		return die(n, f == FAULT_CRASH);
	}
	s->plan.slow++;
	vdevice_disturbed(s);
	heal_in(s, node_heals, n, 100, 2000);
	return true;
}

static enum fault draw(struct sim *s)
{
	unsigned int sum = 0, at;

	for (int i = 0; i < FAULT_COUNT; i++)
		sum += s->plan.weight[i];
	at = sim_random(s, sum);
	for (int i = 0; i < FAULT_COUNT; i++) {
		if (at < s->plan.weight[i])
			return i;
		at -= s->plan.weight[i];
	}
	return FAULT_CUT;
}

static void strike_event(struct sim *s, struct event *e)
{
	enum fault f = draw(s);
	struct node *n = &s->node[sim_random(s, SIM_NODES)];
	bool hit;

	(void)e;
	if (s->plan.stopped)
		return;
	sim_note(s, n, "fault", f, 0, 0);
	if (f == FAULT_AMBUSH) {
		arm(s);
		hit = false; /* counted when it strikes */
	} else if (f <= FAULT_NET_SLOW) {
		hit = strike_network(s, f);
	} else {
		hit = strike_node(s, n, f);
	}
	if (hit)
		count(s, f);
	sim_in(s, sim_random(s, 2 * s->plan.gap), strike_event, NULL);
}

/* The Primary dies now, if there is one and the plan ends so. */
static void primary_event(struct sim *s, struct event *e)
{
	(void)e;
	for (int i = 0; i < SIM_NODES && !s->history.primary_died; i++) {
		struct node *n = &s->node[i];

		if (!s->plan.stopped && n->guest.attach == ATTACH_ACTIVE && node_may_die(n)) {
			count(s, FAULT_CRASH);
			node_crash(n, sim_chance(s, 500), sim_between(s, 20, 1500) * SIM_MS);
		}
	}
	if (!s->history.primary_died && !s->plan.stopped)
		sim_in(s, 50 * SIM_MS, primary_event, NULL);
}

void plan_start(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++)
		repair(&s->node[i]);
	sim_in(s, sim_random(s, 2 * s->plan.gap), strike_event, NULL);
	if (s->plan.ending == END_PRIMARY)
		sim_in(s, s->plan.duration / 2 + sim_random(s, s->plan.duration / 2) + 1, primary_event,
		       NULL);
	if (sim_chance(s, 300))
		arm(s); /* the first meeting of the pair is a chosen point too */
}

void plan_stop(struct sim *s)
{
	s->plan.stopped = true;
	s->net.up = true;
	s->net.delay = s->plan.net_delay;
	for (int i = 0; i < SIM_NODES; i++)
		repair(&s->node[i]);
	sim_note(s, NULL, "faults-stop", 0, 0, 0);
}

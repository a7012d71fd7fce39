/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan.c: which faults happen when.
 *
 * A schedule draws a mix of faults, their mean distance and its ending first; then faults come at random
 * times.  Most schedules are brief: they end as soon as they count, and what happens between two faults is not much
 * (vguest.c), for most of what goes wrong goes wrong at a fault.  Some go on for seconds.  Random times rarely hit the short steps of a protocol, so one kind of fault is an ambush: it waits
 * for the n-th time that a chosen packet is sent or received, or a superblock write reaches a chosen step,
 * and strikes at that very moment.
 */
#include <string.h>

#include "tests/sim/sim.h"

static const unsigned int common[FAULT_COUNT] = {
	[FAULT_CUT] = 20,      [FAULT_CUT_LONG] = 8, [FAULT_NET_SLOW] = 5, [FAULT_CRASH] = 10,
	[FAULT_KILL] = 10,     [FAULT_SB_SLOW] = 4,  [FAULT_SB_ERROR] = 4, [FAULT_DISK_ERROR] = 8,
	[FAULT_DISK_SLOW] = 5, [FAULT_RIVAL] = 8,    [FAULT_DESTROY] = 4,  [FAULT_STOP] = 16,
	[FAULT_AMBUSH] = 30,   [FAULT_DISK_BROKEN] = 4, [FAULT_SECTORS] = 6, [FAULT_CRASH_BOTH] = 5,
	[FAULT_COMMAND] = 10,  [FAULT_FORCE] = 3,      [FAULT_REPLACE] = 2,    [FAULT_PACKET] = 15,
	[FAULT_HALF] = 6,      [FAULT_UNWRITABLE] = 3, [FAULT_DISK_FULL] = 3,  [FAULT_HANG] = 4,       [FAULT_FLIP_COPY] = 3,
	[FAULT_FLIP_PAGE] = 3,
};

/* How the pair begins, and how it is configured. */
static void draw_pair(struct sim *s)
{
	struct plan *p = &s->plan;

	p->virgin = sim_chance(s, 150);
	p->same = !p->virgin || sim_chance(s, 400);
	p->detach = sim_chance(s, 600);
	p->csums = sim_chance(s, 250);
	if (sim_chance(s, 500))
		return;
	p->after_sb = (struct after_sb){ .zero = sim_random(s, AFTER_SB_0PRI_COUNT),
					 .one = sim_random(s, AFTER_SB_1PRI_COUNT),
					 .two = sim_random(s, AFTER_SB_2PRI_COUNT),
					 .always = sim_chance(s, 500) };
}

static bool mutant_of_fencing(const struct sim *s)
{
	return sim_is(s, MUTANT_VERDICT_EARLY) || sim_is(s, MUTANT_UNREACHABLE_LIE) || sim_is(s, MUTANT_KNOWN_KEPT) ||
	       sim_is(s, MUTANT_PEER_OUTDATED_KEPT) || sim_is(s, MUTANT_OUTDATED_LOST) || sim_is(s, MUTANT_STONITH_IGNORED);
}

/* Most often the same on both nodes, as the manual wants it. */
static void draw_fencing(struct sim *s)
{
	struct plan *p = &s->plan;
	enum fencing both;

	p->outages = 1;
	if (s->plain)
		return;
	p->fenced = sim_chance_fencing(s, 330) || mutant_of_fencing(s);
	both = !p->fenced ? FENCING_DONT_CARE : sim_chance_fencing(s, 400) ? FENCING_RESOURCE_ONLY : FENCING_RESOURCE_AND_STONITH;
	p->io_error[0] = p->io_error[1] = sim_chance_fencing(s, 100) || sim_is(s, MUTANT_IO_ERROR_EARLY) ||
					   sim_is(s, MUTANT_IO_ERROR_IGNORED);
	if (sim_chance_fencing(s, 100))
		p->io_error[1] ^= p->io_error[0];
	for (int i = 0; i < SIM_NODES; i++) {
		p->fencing[i] = sim_chance_fencing(s, 950) ? both : (enum fencing)(sim_between_fencing(s, 0, both));
		if (!p->fenced || sim_chance_fencing(s, 30))
			continue; /* it was forgotten */
		p->handlers[i] = 1u << HANDLER_FENCE_PEER | 1u << HANDLER_UNFENCE_PEER;
	}
	p->script = (enum script_kind)sim_between_fencing(s, 0, SCRIPT_COUNT - 1);
	p->persistent = sim_chance_fencing(s, 500);
	p->apart = p->fenced && sim_chance_fencing(s, 300);
	p->outages = p->fenced ? (unsigned int)sim_between_fencing(s, 1, 5) : 1;
}

static bool erasing_mutant(const struct sim *s)
{
	return sim_is(s, MUTANT_ERASE_SKIPPED) || sim_is(s, MUTANT_NOT_ERASED_IGNORED) || sim_is(s, MUTANT_SECURE_UNSENT) ||
	       sim_is(s, MUTANT_SECURE_FORGOTTEN);
}

static void draw_secure(struct sim *s)
{
	struct plan *p = &s->plan;

	p->unable = -1;
	p->secure = p->discards && !p->older && (sim_chance_secure(s, 500) || erasing_mutant(s));
	if (!p->secure)
		return;
	s->totals->erasing++;
	if (sim_chance_secure(s, 100) && !erasing_mutant(s))
		p->unable = (int)sim_between_secure(s, 0, SIM_NODES - 1);
	if (sim_chance_secure(s, 400) || sim_is(s, MUTANT_NOT_ERASED_IGNORED))
		p->erase_errors = (unsigned int)sim_between_secure(s, 20, 300);
}

static void draw_discards(struct sim *s)
{
	struct plan *p = &s->plan;

	if (s->plain)
		return;
	p->discards = sim_chance_discards(s, 250) || sim_is(s, MUTANT_DISCARD_SKIPPED) || sim_is(s, MUTANT_DISCARD_PARTIAL) ||
		      sim_is(s, MUTANT_DISCARD_LATE) || erasing_mutant(s);
	p->older = p->discards && sim_chance_discards(s, 150);
	s->totals->discarding += p->discards;
	s->totals->discarding_older += p->older;
	draw_secure(s);
}

/* A partner is fenced when it was away for seconds. */
static void adapt_to_fencing(struct sim *s)
{
	struct plan *p = &s->plan;
	uint64_t gap = sim_between_fencing(s, 20, 1500) * SIM_MS;

	if (!p->fenced)
		return;
	if (p->cache) /* nobody's power may be cut */
		p->script = SCRIPT_OUTDATE;
	if (p->gap < gap)
		p->gap = gap;
	p->weight[FAULT_CUT_LONG] *= 4;
	p->weight[FAULT_CRASH] *= 2;
	p->weight[FAULT_STOP] *= 2;
}

/* What makes a schedule count (docs/RELIABILITY.md). */
#define COUNTED_OPS    200u
#define COUNTED_FAULTS 3u

static void draw_length(struct sim *s)
{
	struct plan *p = &s->plan;
	uint64_t gap_max;

	p->goal_ops = COUNTED_OPS;
	p->goal_faults = COUNTED_FAULTS;
	p->brief = !sim_chance(s, 40);
	if (!p->brief) {
		p->duration = sim_between(s, 2, 8) * SIM_SECOND;
		p->gap = sim_between(s, 30, sim_chance(s, 300) ? 2500 : 800) * SIM_MS;
		return;
	}
	p->goal_ops += sim_random(s, 100);
	p->goal_faults += sim_random(s, 6);
	gap_max = sim_chance(s, 500) ? 100 : sim_chance(s, 700) ? 400 : 2000;
	p->gap = sim_between(s, 5, gap_max) * SIM_MS;
}

bool plan_fulfilled(struct sim *s)
{
	return s->guest_ops >= s->plan.goal_ops && s->faults >= s->plan.goal_faults;
}

void plan_make(struct sim *s)
{
	struct plan *p = &s->plan;
	unsigned int kind = sim_random(s, 100);

	*p = (struct plan){ .ending = kind < 60 ? END_QUIET : kind < 80 ? END_PRIMARY : END_BOTH };
	p->hangs = sim_chance_apart(s, 300) || sim_is(s, MUTANT_HUNG_FORGOTTEN) || sim_is(s, MUTANT_HUNG_BUFFER);
	draw_discards(s);
	draw_fencing(s);
	p->wfc_force = !p->hangs && sim_chance_apart(s, 100);
	p->upgrades = s->seed % 8 == 5 || sim_is(s, MUTANT_RESTART_UNHEARD); /* drawn without a stream: other seeds' schedules stay what they are */
	draw_pair(s);
	p->cache = sim_chance(s, 100);
	p->calm = sim_chance(s, 600);
	p->repeat = sim_chance(s, 300) ? 0 : sim_between(s, 1, 300);
	draw_length(s);
	for (int i = 0; i < FAULT_COUNT;
	     i++) /* a schedule has its own mix: some faults often, some not at all */
		p->weight[i] = common[i] * sim_random(s, 4);
	p->weight[FAULT_CUT]++;
	if (sim_is(s, MUTANT_CONFIRMED_KEPT)) { /* a host that comes back while its partner is out of reach */
		for (int i = 0; i < FAULT_COUNT; i++)
			p->weight[i] = 0;
		p->weight[FAULT_CRASH] = p->weight[FAULT_CUT_LONG] = p->weight[FAULT_CUT] = 60;
		p->brief = p->cache = false;
		p->duration = 8 * SIM_SECOND;
		p->gap = sim_between(s, 30, 800) * SIM_MS;
	}
	adapt_to_fencing(s);
	p->net_delay = sim_chance(s, 500) ? 300 : sim_between(s, 20, 5000);
	p->disk_latency = sim_chance(s, 500) ? 500 : sim_between(s, 20, 8000);
	p->sb_latency = sim_chance(s, 500) ? 1000 : sim_between(s, 20, 12000);
	s->volume = sim_chance(s, p->brief ? 950 : 800) ? sim_between(s, 16, 64) * 4 : SIM_VOLUME_MAX;
	s->block = sim_chance(s, p->brief ? 80 : 250) && !sim_is(s, MUTANT_SWAPPED_OVERLAP) ? 8 : 1;
	if (s->block == 8)
		s->volume = SIM_VOLUME_MAX;
	s->largest = s->block * SIM_REQUEST_BLOCKS > SIM_COPY_SECTORS ? s->block * SIM_REQUEST_BLOCKS : SIM_COPY_SECTORS;
	if (sim_is(s, MUTANT_SWAPPED_OVERLAP)) /* which hides overlaps in a volume that is eight times as large */
		s->volume = sim_between(s, 2, 8) * SIM_COPY_SECTORS;
}

/* ---- what heals ---- */

static void net_heals(struct sim *s, struct event *e)
{
	(void)e;
	s->net.up = !(s->plan.apart && s->plan.stopped);
	s->net.delay = s->plan.net_delay;
}

static void repair(struct node *n)
{
	const struct plan *p = &n->sim->plan;

	n->disk.latency = p->disk_latency;
	n->disk.errors = 0;
	n->disk.broken = n->disk.full = false;
	memset(n->disk.unwritable, 0, n->disk.sectors * sizeof(*n->disk.unwritable));
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
	node_crash(n, power, sim_between(s, 20, 1500) * SIM_MS * s->plan.outages);
	return true;
}

bool plan_restart(struct node *n)
{
	if (!n->up || n->stopping || n->sim->plan.cache || n->sim->plan.stopped)
		return false;
	if (n->sim->plan.upgrades && sim_chance(n->sim, 600))
		node_upgrade(n);
	else
		node_stop(n);
	return true;
}

static void arm(struct sim *s)
{
	struct plan *p = &s->plan;

	p->ambush.armed = true;
	p->ambush.point = sim_random(s, POINT_COUNT);
	p->ambush.arg = p->ambush.point <= POINT_RECEIVED ? sim_between(s, PACKET_HELLO, PACKET_LAST_DRAWN)
							  : sim_random(s, 3);
	if (p->ambush.point >= POINT_SUPERBLOCK && p->ambush.point <= POINT_SUPERBLOCK_DONE)
		p->ambush.arg = 0;
	if (p->ambush.point >= POINT_LOG)
		p->ambush.arg = p->ambush.point == POINT_LOG || sim_chance(s, 700);
	if (p->discards && p->ambush.point <= POINT_RECEIVED && sim_chance_discards(s, 200))
		p->ambush.arg = PACKET_DISCARD;
	if (p->erase_errors && p->ambush.point <= POINT_RECEIVED && sim_chance_secure(s, 200))
		p->ambush.arg = PACKET_NOT_ERASED;
	p->ambush.skip = sim_random(s, 4);
	p->ambush.action = sim_random(s, AMBUSH_COUNT);
}

/* ---- a packet that is lost, late or there twice ---- */

/* Those that are sent least. */
static const enum packet_type rare[] = {
	PACKET_PAIR, PACKET_CLEAR, PACKET_PAUSE, PACKET_SYNC_END, PACKET_SYNC_ENDED, PACKET_CSUM, PACKET_SAME, PACKET_DIFFERENT,
	PACKET_OUT_OF_SYNC, PACKET_READ_FAILED, PACKET_READ_ZEROES, PACKET_ZEROES, PACKET_COMMIT_REFUSE, PACKET_RESERVE_REFUSE,
	PACKET_WANT_REFUSE, PACKET_BITMAP_END, PACKET_IN_SYNC,
};

static void lie_in_wait(struct sim *s)
{
	struct plan *p = &s->plan;

	p->prey.type = sim_chance(s, 700) ? rare[sim_random(s, sizeof(rare) / sizeof(*rare))] : sim_between(s, PACKET_HELLO, PACKET_LAST_DRAWN);
	if (p->virgin && p->same && sim_chance(s, 800))
		p->prey.type = PACKET_CLEAR;
	if (p->fenced && sim_chance_fencing(s, 300))
		p->prey.type = sim_chance_fencing(s, 800) ? PACKET_LEAVING : PACKET_TAKEN;
	if (p->discards && sim_chance_discards(s, 200))
		p->prey.type = PACKET_DISCARD;
	if (p->erase_errors && sim_chance_secure(s, 200))
		p->prey.type = PACKET_NOT_ERASED;
	p->prey.cruelty = sim_between(s, CRUELTY_LOSE, CRUELTY_REPEAT);
	p->prey.skip = p->prey.type == PACKET_CLEAR || (p->fenced && p->prey.type == PACKET_LEAVING) ? 0 : sim_random(s, 3);
}

static void count(struct sim *s, enum fault f)
{
	s->faults++;
	s->ops_before = s->guest_ops;
	s->totals->fault[f]++;
}

enum cruelty plan_prey(struct node *n, enum packet_type type)
{
	struct sim *s = n->sim;
	struct plan *p = &s->plan;
	enum cruelty cruelty = p->prey.cruelty;

	if (p->stopped || !cruelty || type != p->prey.type)
		return CRUELTY_NONE;
	if (p->prey.skip) {
		p->prey.skip--;
		return CRUELTY_NONE;
	}
	count(s, FAULT_PACKET);
	sim_note(s, n, "prey", type, cruelty, 0);
	p->prey.skip = sim_random(s, 5);
	if (sim_chance(s, 500))
		p->prey.cruelty = CRUELTY_NONE;
	return cruelty;
}

static void sprung_event(struct sim *s, struct event *e)
{
	struct node *n = e->node;
	bool hit = true;

	if (s->plan.stopped || !n->up)
		return;
	switch ((enum ambush)e->a) {
	case AMBUSH_CUT:
		vnet_cut(s);
		break;
	case AMBUSH_POWER:
	case AMBUSH_KILL:
		hit = die(n, e->a == AMBUSH_POWER);
		break;
	case AMBUSH_PEER_POWER:
	case AMBUSH_PEER_KILL:
		hit = die(node_peer(n), e->a == AMBUSH_PEER_POWER);
		break;
	case AMBUSH_REPEAT:
		vnet_repeat(sim_chance(s, 500) ? node_peer(n) : n);
		break;
	case AMBUSH_TOOLSTACK:
		migration_shock(s);
		break;
	default:
		hit = plan_restart(n);
	}
	if (!hit)
		return;
	count(s, FAULT_AMBUSH);
	s->totals->ambush[e->b][e->a]++;
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
	e->b = point;
}

void plan_booting(struct node *n)
{
	if (n->flip && !n->sim->plan.stopped && vmeta_flip_page(&n->meta)) {
		n->flip = false;
		count(n->sim, FAULT_FLIP_PAGE);
	}
}

static bool strike_network(struct sim *s, enum fault f)
{
	if (f == FAULT_NET_SLOW) {
		s->net.delay = sim_between(s, 1, 150) * SIM_MS;
		vdevice_disturbed(s);
		heal_in(s, net_heals, NULL, 100, 2000);
		return true;
	}
	if (f == FAULT_HALF) {
		vnet_cut_half(s, (int)sim_random(s, SIM_NODES));
		return true;
	}
	if (f == FAULT_CUT_LONG) {
		s->net.up = false;
		heal_in(s, net_heals, NULL, 300, s->plan.fenced ? 12000 : 6000);
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

static bool both_die(struct sim *s)
{
	if (!node_may_die(&s->node[0]) || !node_may_die(&s->node[1]))
		return false;
	for (int i = 0; i < SIM_NODES; i++)
		node_crash(&s->node[i], true, sim_between(s, 20, 3000) * SIM_MS);
	return true;
}

/* Some sectors, of which many are used a lot. */
static void spoil(struct sim *s, bool *sectors)
{
	for (unsigned int i = sim_random(s, 4) + 1; i; i--)
		sectors[sim_random(s, sim_chance(s, 500) ? 16 : s->volume)] = true;
}

/* Both must have met, and the other one must have all the data: else a person would not do this. */
static bool replace(struct node *n)
{
	const struct node *peer = node_peer(n);
	struct sim *s = n->sim;

	if (!node_may_die(n) || n->stopping || n->guest.attach != ATTACH_NONE || n->meta.durable.flags & SB_JUST_CREATED ||
	    peer->meta.durable.token != TOKEN_HELD || !truth_newest(peer) || !peer->up || node_diskless(peer))
		return false;
	s->history.excused = true;
	node_replace(n);
	return true;
}

static void goes_on(struct sim *s, struct event *e)
{
	s->plan.slow--;
	e->node->disk.hangs = e->node->meta.hangs = false;
}

static bool hang(struct node *n, bool disk, bool meta, uint64_t ms)
{
	struct sim *s = n->sim;

	if (n->disk.hangs || n->meta.hangs)
		return false;
	n->disk.hangs = disk;
	n->meta.hangs = meta;
	sim_note(s, n, "hang", disk, meta, 0);
	s->totals->hangs++;
	s->plan.slow++;
	s->history.excused |= s->plan.hangs; /* both disks may be given up */
	vdevice_disturbed(s);
	sim_in(s, ms * SIM_MS, goes_on, n);
	return true;
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
		s->history.excused |= s->plan.detach; /* both disks may be given up */
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
	case FAULT_DISK_BROKEN:
		n->disk.broken = s->history.excused = true;
		break;
	case FAULT_SECTORS:
		spoil(s, n->disk.unreadable);
		return true;
	case FAULT_FLIP_COPY:
		return vmeta_flip_copy(&n->meta);
	case FAULT_FLIP_PAGE:
		n->flip = true;
		return false; /* counted when it happens */
	case FAULT_UNWRITABLE:
		spoil(s, n->disk.unwritable);
		s->history.excused |= s->plan.detach;
		break;
	case FAULT_DISK_FULL:
		n->disk.full = true;
		s->history.excused |= s->plan.detach;
		break;
	case FAULT_HANG: /* maybe for much longer than until its requests are missed */
		return hang(n, true, false, sim_between(s, 100, sim_chance(s, 700) ? 1000 : 8000));
	case FAULT_CRASH_BOTH:
		return both_die(s);
	case FAULT_COMMAND:
		return admin_command(n);
	case FAULT_REPLACE:
		return replace(n);
	case FAULT_FORCE:
		return admin_force(n);
	default:
		return die(n, f == FAULT_CRASH);
	}
	s->plan.slow++;
	vdevice_disturbed(s);
	heal_in(s, node_heals, n, 100, 2000);
	return true;
}

/* In schedules with a disk-timeout, perhaps: the disk, the metadata, or both, which may be on one device. */
static void strike_hang(struct sim *s, struct node *n)
{
	bool meta = sim_chance(s, 400), both;

	if (n->disk.hangs || n->meta.hangs)
		return;
	both = meta && sim_chance(s, 500);
	hang(n, !meta || both, meta, sim_between(s, 50, 4000));
	s->faults++;
	s->ops_before = s->guest_ops;
}

static void hang_event(struct sim *s, struct event *e)
{
	struct node *n;
	uint64_t wait;
	bool cut;

	(void)e;
	if (s->plan.stopped)
		return;
	cut = cut_next(s, CUT_FAULTS);
	wait = sim_between(s, 100, 3000) * SIM_MS;
	n = &s->node[sim_random(s, SIM_NODES)];
	if (!cut)
		strike_hang(s, n);
	cut_end(s);
	sim_in(s, wait, hang_event, NULL);
}

/* A person looks after a guest that waits for its partner's fencing. */
static void frozen_event(struct sim *s, struct event *e)
{
	bool cut;

	(void)e;
	if (s->plan.stopped)
		return;
	cut = cut_next(s, CUT_FAULTS);
	for (int i = 0; i < SIM_NODES && !cut; i++)
		if (sim_chance(s, 300))
			admin_lets_go(&s->node[i]);
	sim_in(s, sim_between(s, 200, 3000) * SIM_MS, frozen_event, NULL);
	cut_end(s);
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

static void strike(struct sim *s)
{
	enum fault f = draw(s);
	struct node *n = &s->node[sim_random(s, SIM_NODES)];
	bool hit;

	sim_note(s, n, "fault", f, 0, 0);
	if (f == FAULT_AMBUSH) {
		arm(s);
		hit = false; /* counted when it strikes */
	} else if (f == FAULT_PACKET) {
		lie_in_wait(s);
		hit = false;
	} else if (f <= FAULT_NET_SLOW) {
		hit = strike_network(s, f);
	} else {
		hit = strike_node(s, n, f);
	}
	if (hit)
		count(s, f);
}

static void strike_event(struct sim *s, struct event *e)
{
	uint64_t wait;
	bool cut;

	(void)e;
	if (s->plan.stopped)
		return;
	cut = cut_next(s, CUT_FAULTS);
	wait = sim_random(s, 2 * s->plan.gap) * (s->plan.brief && s->faults >= s->plan.goal_faults ? 20 : 1);
	if (!cut)
		strike(s);
	cut_end(s);
	sim_in(s, wait, strike_event, NULL);
}

/* The Primary dies now, if there is one. */
static void primary_event(struct sim *s, struct event *e)
{
	bool died = false;

	(void)e;
	for (int i = 0; i < SIM_NODES && !died; i++) {
		struct node *n = &s->node[i];

		if (s->plan.stopped || n->guest.attach != ATTACH_ACTIVE || !node_may_die(n))
			continue;
		count(s, FAULT_CRASH);
		node_crash(n, sim_chance(s, 500), sim_between(s, 20, 1500) * SIM_MS);
		died = true;
	}
	if (!died && !s->plan.stopped)
		sim_in(s, 50 * SIM_MS, primary_event, NULL);
}

void plan_kill_primary(struct sim *s)
{
	sim_in(s, 0, primary_event, NULL);
}

void plan_start(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++)
		repair(&s->node[i]);
	sim_in(s, sim_random(s, 2 * s->plan.gap), strike_event, NULL);
	if (s->plan.hangs)
		sim_in(s, sim_between_apart(s, 1, s->plan.brief ? 100 : 1000) * SIM_MS, hang_event, NULL);
	if (s->plan.fenced)
		sim_in(s, sim_between_fencing(s, 100, 3000) * SIM_MS, frozen_event, NULL);
	if (s->plan.ending == END_PRIMARY && !s->plan.brief)
		sim_in(s, s->plan.duration / 2 + sim_random(s, s->plan.duration / 2) + 1, primary_event,
		       NULL);
	if (sim_chance(s, 300))
		arm(s); /* the first meeting of the pair is a chosen point too */
	if (sim_chance(s, 700))
		lie_in_wait(s);
}

void plan_stop(struct sim *s)
{
	s->plan.stopped = true;
	s->net.up = true;
	s->net.delay = s->plan.net_delay;
	for (int i = 0; i < SIM_NODES; i++) {
		repair(&s->node[i]);
		s->node[i].disk.hangs = s->node[i].meta.hangs = false;
	}
	for (int i = 0; i < SIM_NODES; i++)
		memset(s->node[i].disk.unreadable, 0, s->volume * sizeof(*s->node[i].disk.unreadable));
	sim_note(s, NULL, "faults-stop", 0, 0, 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * admin.c: the administrator of the pair's data.
 *
 * While faults last he gives commands, some of them unwise: he promotes a survivor by force, also while the old holder
 * still runs.  When the faults are over he does what status and the manual say, until both disks are up to date: a disk that was
 * detached is opened again by a new daemon, a split brain is decided, a pair that nobody has ever said a word about gets its source.
 */
#include <string.h>

#include "tests/sim/sim.h"

/* ---- while faults last ---- */

bool admin_command(struct node *n)
{
	static const enum command some[] = { COMMAND_OUTDATE,	 COMMAND_INVALIDATE,  COMMAND_DETACH,	 COMMAND_SUSPEND_IO,
					     COMMAND_RESUME_IO,	 COMMAND_RESUME_IO,   COMMAND_PAUSE_SYNC, COMMAND_RESUME_SYNC,
					     COMMAND_RESUME_SYNC, COMMAND_CLEAR_BITMAP, COMMAND_DISCARD };
	enum command c = some[sim_random(n->sim, sizeof(some) / sizeof(*some))];

	if (!n->up || n->commanding || n->stopping)
		return false;
	if (n->status.connection == CONNECTION_DISCONNECTED && sim_chance(n->sim, 400)) /* the only time for it */
		c = COMMAND_OUTDATE;
	if (n->sim->plan.virgin && n->status.connection == CONNECTION_CONNECTED && sim_chance(n->sim, 300))
		c = COMMAND_CLEAR_BITMAP;
	if (n->sim->plan.prey.cruelty && n->sim->plan.prey.type == PACKET_PAUSE)
		c = n->sync_paused ? COMMAND_RESUME_SYNC : COMMAND_PAUSE_SYNC;
	if (c == COMMAND_CLEAR_BITMAP && !n->sim->plan.same)
		return false;
	/* after these two nodes may refuse each other: the good disk may be the one that is lost */
	n->sim->history.excused |= c == COMMAND_OUTDATE || c == COMMAND_INVALIDATE;
	node_command(n, c);
	if (c == COMMAND_DETACH && sim_chance(n->sim, 300) && node_peer(n)->up && !node_peer(n)->commanding && !node_peer(n)->stopping)
		node_command(node_peer(n), c); /* each for the other's */
	return true;
}

bool admin_force(struct node *n)
{
	if (!n->up || n->commanding || n->stopping || n->guest.attach != ATTACH_NONE)
		return false;
	node_command(n, COMMAND_PROMOTE);
	return true;
}

/* Whoever runs resume-io has to be certain that no guest runs over there. */
bool admin_lets_go(struct node *n)
{
	const struct node *peer = node_peer(n);

	if (!n->up || n->commanding || n->stopping || n->status.fence < FENCE_ASKED || n->status.fence == FENCE_DONE ||
	    !strstr(n->status.frozen, "backend-ctl resume-io") || peer->guest.attach != ATTACH_NONE)
		return false;
	n->sim->totals->let_go++;
	node_command(n, COMMAND_RESUME_IO);
	return true;
}

void admin_answered(struct node *n, int rc, const char *why)
{
	sim_note(n->sim, n, "commanded", (uint64_t)-rc, 0, 0);
	if (rc)
		sim_say(n->sim, n, "commanded", why);
	else
		n->sim->totals->command_done[n->command]++;
	if (!rc && (n->command == COMMAND_RESUME_IO || n->command == COMMAND_PROMOTE))
		n->overruled |= n->status.connection != CONNECTION_CONNECTED;
	if (!rc && (n->command == COMMAND_PAUSE_SYNC || n->command == COMMAND_RESUME_SYNC))
		n->sync_paused = n->command == COMMAND_PAUSE_SYNC;
	if (rc > 0 || (rc && (!why || !*why)))
		sim_violate(n->sim, ORACLE_LIVENESS, "node %d: a command was refused without a word", n->index);
}

/* ---- afterwards ---- */

static bool resume(struct node *n)
{
	if (n->status.suspended)
		node_command(n, COMMAND_RESUME_IO);
	else if (n->sync_paused)
		node_command(n, COMMAND_RESUME_SYNC);
	else
		return false;
	return true;
}

static bool guest_here(const struct node *n)
{
	return n->guest.attach != ATTACH_NONE;
}

/* Whose data are given up: the node without a guest, else one of the two by lot, whose guest is shut down. */
static struct node *loser(struct sim *s)
{
	struct node *a = &s->node[0], *b = &s->node[1];

	if (guest_here(a) != guest_here(b) && sim_chance(s, 700))
		return guest_here(a) ? b : a;
	return sim_chance(s, 500) ? a : b;
}

static bool new_metadata(const struct node *n)
{
	return n->status.superblock.flags & SB_JUST_CREATED;
}

/* The two refuse each other: first the milder remedy. */
static void reconcile(struct sim *s)
{
	struct node *n = loser(s);

	if (new_metadata(node_peer(n)) && !new_metadata(n)) /* which has no data that could count */
		n = node_peer(n);
	s->advice++;
	if (s->advice % 4 == 3) { /* a guest that is gone may still wait for what never comes */
		for (int i = 0; i < SIM_NODES; i++)
			if (s->node[i].guest.attach == ATTACH_RELEASING)
				node_crash(&s->node[i], false, SIM_MS);
		return;
	}
	if (guest_here(n)) {
		vdevice_destroy(n);
		return;
	}
	if (s->advice > 30)
		sim_violate(s, ORACLE_LIVENESS, "the two refuse each other whatever the administrator does: %s", n->status.why);
	else if (s->advice % 3)
		node_command(n, COMMAND_DISCARD);
	else if (guest_here(node_peer(n)))
		vdevice_destroy(node_peer(n));
	else
		node_command(node_peer(n), COMMAND_PROMOTE);
}

static bool met(const struct sim *s)
{
	return s->node[0].up && s->node[1].up && s->node[0].status.connection == CONNECTION_CONNECTED &&
	       s->node[1].status.connection == CONNECTION_CONNECTED;
}

static bool refused(const struct sim *s)
{
	return s->node[0].up && s->node[1].up && s->node[0].status.connection == CONNECTION_REFUSED &&
	       s->node[1].status.connection == CONNECTION_REFUSED;
}

/* Connected, and no disk can be used. */
static void name_source(struct sim *s)
{
	struct node *n = s->node[0].meta.durable.token == TOKEN_HELD ? &s->node[0] : &s->node[1];

	if (s->node[0].status.disk != DISK_INCONSISTENT || s->node[1].status.disk != DISK_INCONSISTENT)
		return;
	if (guest_here(n))
		vdevice_destroy(n);
	else
		node_command(n, s->plan.same && !n->meta.durable.base ? COMMAND_CLEAR_BITMAP : COMMAND_PROMOTE);
}

/* A guest has arrived, and the node that it came from has forgotten that: a reservation that could not be written died with its daemon. */
static bool never_gets_the_token(const struct node *n)
{
	return n->sim->history.forgot && n->guest.attach == ATTACH_ACTIVATING && n->status.attachment == ATTACHMENT_COMMITTING &&
	       !guest_here(node_peer(n)) && met(n->sim);
}

static void look_event(struct sim *s, struct event *e)
{
	(void)e;
	for (int i = 0; i < SIM_NODES; i++) {
		struct node *n = &s->node[i];

		if (!n->up || n->stopping || n->commanding || resume(n) || (sim_chance_fencing(s, 200) && admin_lets_go(n)))
			continue;
		if (never_gets_the_token(n) && sim_chance(s, 100))
			vdevice_destroy(n);
		else if (n->status.disk == DISK_DISKLESS && sim_chance(s, 300))
			node_stop(n);
	}
	if (refused(s) && sim_chance(s, 300))
		reconcile(s);
	else if (met(s))
		name_source(s);
	sim_in(s, sim_between(s, 50, 300) * SIM_MS, look_event, NULL);
}

void admin_start(struct sim *s)
{
	sim_in(s, 1, look_event, NULL);
}

bool admin_content(struct sim *s)
{
	for (int i = 0; i < SIM_NODES; i++) {
		const struct node *n = &s->node[i];

		if (!n->up || n->stopping || n->commanding || n->status.suspended || n->sync_paused ||
		    n->status.disk != DISK_UP_TO_DATE || n->status.peer_disk != DISK_UP_TO_DATE ||
		    n->status.sync != SYNC_STATE_OFF || n->status.out_of_sync || !(n->status.out_of_sync_known || s->plan.virgin))
			return false;
	}
	return met(s);
}

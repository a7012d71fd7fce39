/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lineage.c: copies of a guest.
 *
 * A guest that is suspended has two futures: it is resumed where it was, or its copy is started elsewhere.
 * Each of the two is a branch, whose parent is the branch that was suspended; every request belongs to the
 * branch that put it into the ring.  A branch is current if the branch that executed last is itself or an
 * ancestor: it knows all that has happened.  So "no copy runs that another one has overtaken" is one
 * comparison for each request.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

unsigned int lineage_branch(struct sim *s, unsigned int parent)
{
	struct history *h = &s->history;

	if (h->branches + 1 >= h->branch_room) {
		h->branch_room = h->branch_room ? h->branch_room * 2 : 64;
		h->branch = realloc(h->branch, h->branch_room * sizeof(*h->branch));
		if (!h->branch)
			abort();
	}
	h->branch[++h->branches] = (struct branch){ .parent = parent };
	return h->branches;
}

unsigned int lineage_start(struct sim *s)
{
	s->history.fresh_starts++;
	return lineage_branch(s, NO_BRANCH);
}

static bool descends(const struct history *h, unsigned int branch, unsigned int ancestor)
{
	for (; branch != NO_BRANCH; branch = h->branch[branch].parent)
		if (branch == ancestor)
			return true;
	return false;
}

/* A guest that was started and has never used the disk, under whatever branch, knows all there is to know. */
static bool unborn(const struct history *h, unsigned int branch)
{
	for (; branch != NO_BRANCH; branch = h->branch[branch].parent)
		if (h->branch[branch].executed)
			return false;
	return true;
}

static unsigned int head(const struct node *n)
{
	const struct timeline *t = truth_of(n);

	return t ? t->head : NO_BRANCH;
}

bool lineage_current(const struct node *n, unsigned int branch)
{
	const struct history *h = &n->sim->history;

	return !head(n) || descends(h, branch, head(n)) || unborn(h, branch);
}

static void check_current(struct node *n, unsigned int branch)
{
	if (!lineage_current(n, branch))
		sim_violate(n->sim, ORACLE_STALE,
			    "node %d executes a request of a copy of the guest (branch %u) that was "
			    "overtaken by another one "
			    "(branch %u)",
			    n->index, branch, head(n));
}

void lineage_again(struct node *n)
{
	check_current(n, n->guest.branch);
}

bool lineage_unserved(const struct node *n)
{
	return !(n->meta.durable.flags & SB_CONSISTENT) && node_peer(n)->status.connection != CONNECTION_CONNECTED;
}

void lineage_execute(struct node *n, unsigned int branch)
{
	struct sim *s = n->sim;
	struct history *h = &s->history;

	if (branch == head(n) || lineage_unserved(n))
		return;
	check_current(n, branch);
	if (truth_of(n))
		truth_of(n)->head = branch;
	for (; branch != NO_BRANCH; branch = h->branch[branch].parent)
		h->branch[branch].executed = true;
}

/* Has a copy of it been started, since or before it was resumed here? */
static bool copy_ran(const struct history *h, unsigned int branch)
{
	while (h->branch[branch].in_place && !h->branch[branch].copy_ran)
		branch = h->branch[branch].parent;
	return h->branch[branch].copy_ran;
}

bool lineage_overtaken(const struct node *n)
{
	const struct history *h = &n->sim->history;
	const struct guest *g = &n->guest;

	if (g->outdated || !lineage_current(n, g->branch) || copy_ran(h, g->branch))
		return true;
	return g->image.vm &&
	       (h->branch[g->image.branch].resumed || h->fresh_starts != g->image.fresh_starts);
}

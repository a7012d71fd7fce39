/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmeta.c: the two superblock copies of one node.  A write goes to the older copy, then to the other one
 * (metadata.h); a power cut in between leaves the copy being written old, new or torn, and metadata_choose()
 * has to find a whole one.
 */
#include <errno.h>
#include <string.h>

#include "tests/sim/sim.h"

static void choose(struct vmeta *m, int *newer)
{
	char why[256] = "";
	struct superblock sb;
	bool heal;
	int rc = metadata_choose(m->copy[0], m->copy[1], &sb, newer, &heal, why, sizeof(why));

	if (rc)
		sim_violate(m->node->sim, ORACLE_DURABLE, "node %d: no superblock copy is usable: %s",
			    m->node->index, why);
	else
		m->durable = sb;
}

void vmeta_init(struct vmeta *m, struct node *n, const struct superblock *sb)
{
	struct superblock first = *sb;
	int newer;

	*m = (struct vmeta){ .node = n, .latency = 1000, .sequence = 1 };
	first.sequence = 1;
	metadata_encode(&first, m->copy[0]);
	metadata_encode(&first, m->copy[1]);
	choose(m, &newer);
}

/* What the copy that is being written looks like when the write is interrupted. */
static void tear(struct vmeta *m)
{
	struct sim *s = m->node->sim;
	size_t part = sim_random(s, 8) * (METADATA_BLOCK / 8);

	if (sim_is(s, MUTANT_ONE_SUPERBLOCK))
		memcpy(m->copy[!m->target], m->writing, part);
	switch (sim_random(s, 3)) {
	case 0:
		break;
	case 1:
		memcpy(m->copy[m->target], m->writing, METADATA_BLOCK);
		break;
	default:
		memcpy(m->copy[m->target], m->writing, part);
	}
}

static void step_event(struct sim *s, struct event *e)
{
	struct vmeta *m = &e->node->meta;
	int newer;

	if (!e->b && sim_random(s, 1000) < m->errors) {
		tear(m);
		choose(m, &newer);
		m->step = 0;
		sim_note(s, m->node, "superblock-error", m->durable.token, m->durable.epoch,
			 m->durable.flags);
		oracle_superblocks(s);
		replicate_superblock_done(m->node->core, -EIO, sim_ms(s));
		node_settle(m->node);
		return;
	}
	memcpy(m->copy[m->target], m->writing, METADATA_BLOCK);
	choose(m, &newer);
	oracle_superblocks(s);
	if (m->step == 1) {
		m->step = 2;
		m->target = !m->target;
		sim_mortal(sim_in(s, 1 + sim_random(s, m->latency), step_event, m->node));
		plan_point(m->node, POINT_SUPERBLOCK_HALF, 0);
		return;
	}
	m->step = 0;
	sim_note(s, m->node, "superblock-done", m->durable.token, m->durable.epoch, m->durable.flags);
	plan_point(m->node, POINT_SUPERBLOCK_DONE, 0);
	replicate_superblock_done(m->node->core, 0, sim_ms(s));
	node_settle(m->node);
}

/* Planted bugs: the superblock that reaches the disk is not the one that the core wrote. */
static void pervert(const struct vmeta *m, struct superblock *sb)
{
	struct sim *s = m->node->sim;

	if (sim_is(s, MUTANT_TWO_WRITERS) && sb->token == TOKEN_GIVEN) {
		sb->token = TOKEN_HELD;
		sb->epoch = m->durable.epoch;
	}
	if (sim_is(s, MUTANT_NO_IN_USE))
		sb->flags &= ~SB_IN_USE;
}

void vmeta_write(struct vmeta *m, const struct superblock *sb)
{
	struct sim *s = m->node->sim;
	struct superblock out = *sb;
	int newer = 0;

	sim_note(s, m->node, "superblock-write", sb->token, sb->epoch, sb->flags);
	if (m->step) {
		sim_violate(s, ORACLE_CONTRACT, "node %d: a superblock write while another one is under way",
			    m->node->index);
		return;
	}
	pervert(m, &out);
	out.sequence = ++m->sequence;
	choose(m, &newer);
	metadata_encode(&out, m->writing);
	m->writing_flags = out.flags;
	m->target = !newer;
	m->step = 1;
	sim_mortal(sim_in(s, 1 + sim_random(s, m->latency), step_event, m->node));
	plan_point(m->node, POINT_SUPERBLOCK, 0);
}

/* Power cut, or the daemon killed in the middle of a write (which then reaches the disk, or never
 * started). */
void vmeta_crash(struct vmeta *m, bool power)
{
	struct sim *s = m->node->sim;
	int newer;

	if (m->step && power)
		tear(m);
	else if (m->step && sim_chance(s, 500))
		memcpy(m->copy[m->target], m->writing, METADATA_BLOCK);
	m->step = 0;
	choose(m, &newer);
	m->sequence = m->durable.sequence;
	oracle_superblocks(s);
}

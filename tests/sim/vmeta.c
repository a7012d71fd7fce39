/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmeta.c: the metadata of one node.
 *
 * The superblock: a write goes to the older copy, then to the other one (metadata.h); a power cut in between leaves
 * the copy being written old, new or torn, and metadata_choose() has to find a whole one.
 *
 * Activity log and bitmap: a write is durable when it is answered; one that fails, or is cut short, leaves any mixture
 * of old and new sectors of 512 bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

/* ---- the superblock ---- */

static void choose(struct vmeta *m, int *newer)
{
	struct superblock before = m->durable, sb;
	char why[256] = "";
	bool heal;
	int rc = metadata_choose(m->copy[0], m->copy[1], &sb, newer, &heal, why, sizeof(why));

	if (rc) {
		sim_violate(m->node->sim, ORACLE_DURABLE, "node %d: no superblock copy is usable: %s", m->node->index, why);
		return;
	}
	m->durable = sb;
	m->told = false;
	truth_superblock(m->node, &before);
}

void vmeta_init(struct vmeta *m, struct node *n, const struct superblock *sb)
{
	struct superblock first = *sb;
	int newer;

	*m = (struct vmeta){ .node = n, .latency = 1000, .sequence = 1, .flipped = -1 };
	m->durable = *sb;
	first.sequence = 1;
	metadata_encode(&first, m->copy[0]);
	metadata_encode(&first, m->copy[1]);
	actlog_format(m->log);
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

	if (m->hangs) {
		sim_mortal(sim_in(s, 5 * SIM_MS, step_event, m->node));
		return;
	}
	if (!e->b && sim_random(s, 1000) < m->errors) {
		tear(m);
		choose(m, &newer);
		m->step = 0;
		m->failed = true;
		vdevice_disturbed(s);
		sim_note(s, m->node, "superblock-error", m->durable.token, m->durable.epoch,
			 m->durable.flags);
		m->node->unwritten |= node_diskless(m->node);
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
	m->failed = false;
	m->node->unwritten &= m->node->status.metadata_hung > 0; /* then this one was given up */
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
	if (sim_is(s, MUTANT_NO_IN_USE) || (sim_is(s, MUTANT_IN_USE_EARLY) && m->lane[1].op))
		sb->flags &= ~SB_IN_USE;
	if (sim_is(s, MUTANT_GENERATION_LOST) && m->durable.gen.current && !(sb->flags & SB_FORCED))
		sb->gen = m->durable.gen;
	if (sim_is(s, MUTANT_CONSISTENT_EARLY) && !(sb->flags & SB_JUST_CREATED))
		sb->flags |= SB_CONSISTENT;
	if (sim_is(s, MUTANT_PEER_OUTDATED_KEPT))
		sb->flags |= m->durable.flags & SB_PEER_OUTDATED;
	if (sim_is(s, MUTANT_OUTDATED_LOST))
		sb->flags &= ~SB_OUTDATED;
	if (sim_is(s, MUTANT_FULL_FROM_EARLY))
		sb->full_from = METADATA_NO_FULL;
	if (sim_is(s, MUTANT_DIGEST_FORGED) && sb->flags & SB_BITMAP_SUMMED)
		sb->bitmap_bits = sb->bitmap_digest = 0;
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
	m->target = sim_is(s, MUTANT_GOOD_COPY_FIRST) ? newer : !newer;
	m->step = 1;
	sim_mortal(sim_in(s, 1 + sim_random(s, m->latency), step_event, m->node));
	plan_point(m->node, POINT_SUPERBLOCK, 0);
}

/* ---- activity log and bitmap ---- */

static uint8_t *place(struct vmeta *m, const struct metadata_op *op)
{
	return op->area == METADATA_LOG ? m->log + (size_t)op->block * ACTLOG_BLOCK : m->bitmap[op->block];
}

static struct vmeta_lane *lane_of(struct vmeta *m, const struct metadata_op *op)
{
	return &m->lane[op->area == METADATA_LOG ? 0 : op->write ? 1 : 2];
}

static void tear_block(struct vmeta *m, const struct vmeta_lane *l)
{
	struct sim *s = m->node->sim;
	unsigned int share = sim_random(s, 3) * 500;

	for (size_t at = 0; at < ACTLOG_BLOCK; at += SECTOR_SIZE)
		if (sim_chance(s, share))
			memcpy(place(m, l->op) + at, l->data + at, SECTOR_SIZE);
}

static void check_data(const struct vmeta *m, const struct vmeta_lane *l)
{
	if (l->op->write && memcmp(l->op->data, l->data, ACTLOG_BLOCK))
		sim_violate(m->node->sim, ORACLE_CONTRACT, "node %d: a block of metadata changed while it was being written",
			    m->node->index);
}

struct late {
	enum metadata_area area;
	uint32_t block;
	uint8_t data[ACTLOG_BLOCK];
};

static void late_event(struct sim *s, struct event *e)
{
	const struct late *l = e->p;
	struct vmeta *m = &e->node->meta;

	(void)s;
	m->told = false;
	memcpy(l->area == METADATA_LOG ? m->log + (size_t)l->block * ACTLOG_BLOCK : m->bitmap[l->block], l->data, ACTLOG_BLOCK);
}

/* Planted bugs: a write is answered, and reaches the disk later, or never. */
static bool perverted(struct vmeta *m, const struct vmeta_lane *l)
{
	struct sim *s = m->node->sim;
	bool log = l->op->area == METADATA_LOG;
	struct late *late;
	struct event *e;

	if (!l->op->write || sim_is(s, log ? MUTANT_LOG_DROPPED : MUTANT_PAGE_DROPPED))
		return l->op->write;
	if (!sim_is(s, log ? MUTANT_LOG_EARLY : MUTANT_PAGE_EARLY))
		return false;
	late = sim_memory(1, sizeof(*late));
	late->area = l->op->area;
	late->block = l->op->block;
	memcpy(late->data, l->data, ACTLOG_BLOCK);
	e = sim_in(s, sim_between(s, 1, 100) * SIM_MS, late_event, m->node);
	e->p = late;
	sim_mortal(e);
	return true;
}

static int take_effect(struct vmeta *m, struct vmeta_lane *l)
{
	struct sim *s = m->node->sim;

	m->told &= !l->op->write;
	if (l->op->write && l->op->area == METADATA_BITMAP) {
		m->page_written = true;
		m->flipped = (int)l->op->block == m->flipped ? -1 : m->flipped;
	}
	if (sim_random(s, 1000) < m->errors) {
		if (l->op->write)
			tear_block(m, l);
		return -EIO;
	}
	check_data(m, l);
	if (perverted(m, l))
		return 0;
	if (l->op->write)
		memcpy(place(m, l->op), l->data, ACTLOG_BLOCK);
	else
		memcpy(l->op->data, place(m, l->op), ACTLOG_BLOCK);
	m->flip_read |= l->op->area == METADATA_BITMAP && !l->op->write && (int)l->op->block == m->flipped;
	return 0;
}

static void block_event(struct sim *s, struct event *e)
{
	struct vmeta *m = &e->node->meta;
	struct vmeta_lane *l = &m->lane[e->a];
	struct metadata_op *op = l->op;
	uint64_t lane = e->a;
	int rc;

	if (m->hangs) {
		e = sim_in(s, 5 * SIM_MS, block_event, m->node);
		e->a = lane;
		sim_mortal(e);
		return;
	}
	rc = take_effect(m, l);
	l->op = NULL;
	sim_note(s, m->node, op->area == METADATA_LOG ? "log-done" : op->write ? "page-done" : "page-read", op->block, (uint64_t)-rc, 0);
	replicate_metadata_done(m->node->core, op, rc, sim_ms(s));
	node_settle(m->node);
}

static bool sane(const struct vmeta *m, const struct metadata_op *op)
{
	uint32_t end = op->area == METADATA_LOG ? ACTLOG_BLOCKS : SIM_PAGES;

	return op->busy && op->block < end && (op->write || op->area == METADATA_BITMAP) &&
	       !lane_of((struct vmeta *)m, op)->op;
}

void vmeta_submit(struct vmeta *m, struct metadata_op *op)
{
	struct sim *s = m->node->sim;
	struct vmeta_lane *l = lane_of(m, op);
	struct event *e;

	sim_note(s, m->node, op->area == METADATA_LOG ? "log-write" : op->write ? "page-write" : "page-reads", op->block, 0, 0);
	if (!sane(m, op)) {
		sim_violate(s, ORACLE_CONTRACT, "node %d: impossible metadata request: area %d, block %u, or two at once",
			    m->node->index, op->area, op->block);
		return;
	}
	l->op = op;
	if (op->write) {
		memcpy(l->data, op->data, ACTLOG_BLOCK);
		op->area == METADATA_LOG ? s->totals->log_writes++ : s->totals->page_writes++;
	}
	e = sim_in(s, 1 + sim_random(s, m->latency), block_event, m->node);
	e->a = (uint64_t)(l - m->lane);
	sim_mortal(e);
	plan_point(m->node, op->area == METADATA_LOG ? POINT_LOG : POINT_PAGE, op->write);
}

/* ---- a crash ---- */

/* Power cut, or the daemon killed in the middle of a write (which then reaches the disk, or never
 * started). */
static void crash_superblock(struct vmeta *m, bool power)
{
	if (m->step && power)
		tear(m);
	else if (m->step && sim_chance(m->node->sim, 500))
		memcpy(m->copy[m->target], m->writing, METADATA_BLOCK);
	m->step = 0;
}

static void crash_block(struct vmeta *m, struct vmeta_lane *l, bool power)
{
	if (l->op && l->op->write && power)
		tear_block(m, l);
	else if (l->op && l->op->write && sim_chance(m->node->sim, 500))
		memcpy(place(m, l->op), l->data, ACTLOG_BLOCK);
	l->op = NULL;
}

void vmeta_crash(struct vmeta *m, bool power)
{
	int newer;

	m->told = false;
	crash_superblock(m, power);
	for (unsigned int i = 0; i < VMETA_LANES; i++)
		crash_block(m, &m->lane[i], power);
	if (sim_is(m->node->sim, MUTANT_MARKS_LOST))
		memset(m->bitmap, 0, sizeof(m->bitmap));
	choose(m, &newer);
	m->sequence = m->durable.sequence;
	oracle_superblocks(m->node->sim);
}

/* ---- without a daemon ---- */

bool vmeta_outdate(struct vmeta *m)
{
	struct superblock sb = m->durable;
	int newer;

	if (m->hangs || m->errors)
		return false;
	sb.flags = (sb.flags | SB_OUTDATED) & ~SB_PEER_OUTDATED;
	sb.sequence = ++m->sequence;
	for (int i = 0; i < 2; i++)
		metadata_encode(&sb, m->copy[i]);
	choose(m, &newer);
	sim_note(m->node->sim, m->node, "outdated-offline", sb.token, sb.epoch, sb.flags);
	oracle_superblocks(m->node->sim);
	return true;
}

/* ---- bits that flip ---- */

static bool whole(const uint8_t *copy)
{
	struct superblock sb;
	char why[256];

	return !metadata_decode(copy, &sb, why, sizeof(why));
}

/* Not while they are being written: what only one copy has, the other cannot heal. */
bool vmeta_flip_copy(struct vmeta *m)
{
	struct sim *s = m->node->sim;
	uint64_t bit = sim_random(s, METADATA_BLOCK * 8);
	int copy = (int)sim_random(s, 2), newer;

	if (m->step || !whole(m->copy[0]) || !whole(m->copy[1]) || memcmp(m->copy[0], m->copy[1], METADATA_BLOCK))
		return false;
	m->copy[copy][bit / 8] ^= (uint8_t)(1u << bit % 8);
	sim_note(s, m->node, "flip-copy", (uint64_t)copy, bit, 0);
	choose(m, &newer);
	return true;
}

/* A bit is set: one that is cleared is found in the same way, but until that page is read nobody can know (and the oracle of the
 * marks would say so). Nor could a daemon know that has begun to write pages: so it happens while there is none. */
bool vmeta_flip_page(struct vmeta *m)
{
	struct sim *s = m->node->sim;
	uint64_t block = sim_random(s, s->volume / BITMAP_BLOCK_SECTORS), bit = block % SIM_PAGE_BLOCKS;
	uint8_t *byte = &m->bitmap[block / SIM_PAGE_BLOCKS][bit / 8];

	if (m->node->up || !(m->durable.flags & SB_BITMAP_SUMMED) || !m->durable.bitmap_bits || *byte & 1u << bit % 8)
		return false;
	*byte |= (uint8_t)(1u << bit % 8);
	m->told = false;
	m->flipped = (int)(block / SIM_PAGE_BLOCKS);
	m->flip_read = false;
	cost_dirty(s, block * BITMAP_BLOCK_SECTORS, BITMAP_BLOCK_SECTORS);
	sim_note(s, m->node, "flip-page", block, 0, 0);
	return true;
}

void vmeta_booted(struct vmeta *m)
{
	m->flip_read = m->page_written = m->failed = false;
	if (!(m->durable.flags & SB_BITMAP_SUMMED) || /* an earlier daemon has not read the page, and does not vouch for it; */
	    m->durable.full_from != METADATA_NO_FULL) /* or this one does not read them all (METADATA.md) */
		m->flipped = -1;
}

/* ---- what it says ---- */

static void mark(const struct sim *s, bool *marked, uint64_t from, uint64_t sectors)
{
	for (uint64_t k = from; k < from + sectors && k < s->volume; k++)
		marked[k / BITMAP_BLOCK_SECTORS] = true;
}

void vmeta_logged(const struct vmeta *m, bool *marked)
{
	struct sim *s = m->node->sim;
	struct actlog *log;
	char why[128];

	if (actlog_new(m->durable.al_extents, s->volume, SIM_EXTENT_SECTORS, &log))
		abort();
	if (actlog_load(log, m->log, why, sizeof(why)))
		mark(s, marked, 0, s->volume);
	for (uint32_t slot = 0; slot < actlog_slots(log); slot++)
		if (actlog_extent(log, slot) != ACTLOG_FREE)
			mark(s, marked, (uint64_t)actlog_extent(log, slot) * SIM_EXTENT_SECTORS, SIM_EXTENT_SECTORS);
	actlog_free(log);
}

bool vmeta_marked(const struct vmeta *m, uint64_t block)
{
	const uint8_t *page = m->bitmap[block / SIM_PAGE_BLOCKS];
	uint64_t bit = block % SIM_PAGE_BLOCKS;

	return page[bit / 8] & 1u << bit % 8 || block * BITMAP_BLOCK_SECTORS >= m->durable.full_from;
}

bool vmeta_still(const struct vmeta *m)
{
	return !m->step && !m->lane[1].op;
}

const bool *vmeta_out_of_sync(struct vmeta *m)
{
	struct sim *s = m->node->sim;
	uint64_t blocks = (s->volume + BITMAP_BLOCK_SECTORS - 1) / BITMAP_BLOCK_SECTORS;

	if (m->told)
		return m->marked;
	for (uint64_t b = 0; b < blocks; b++)
		m->marked[b] = vmeta_marked(m, b);
	if (m->durable.flags & SB_IN_USE)
		vmeta_logged(m, m->marked);
	m->told = true;
	return m->marked;
}

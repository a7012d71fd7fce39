/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cost.c: what a resync may copy (P5, and "cost in proportion to what is dirty").
 *
 * Kept here, from what happens and not from what the nodes' metadata say: for each block of the volume whether something has made it
 * dirty, that is, whether it may differ, or may be marked by rights:
 *
 *   a guest's write          from the moment when it is consumed. It is clean again when it is answered, or at any time later, if both
 *                            nodes are connected, say that nothing is out of sync, hold the same bytes, and no mark is left on either
 *                            metadata device (a mark that was cleared is written lazily: until then a crash brings it back).
 *                            So what stays dirty is what was in flight when the two parted, and what one wrote alone.
 *   a Primary that dies      every extent in its activity log, if its superblock says SB_IN_USE, all of them if that log is torn: what
 *                            was in flight cannot be told from what was answered (METADATA.md).
 *   a disk that fails        the sectors of the request: they are healed from the other disk
 *   everything               while a new pair has not agreed; a disk that was replaced; 'invalidate'; a promotion by force and
 *                            'discard-my-data', after which the generations may say that marks do not tell what differs (PROTOCOL.md,
 *                            rules 60 and 100); a meeting that was broken off between the target's write and the source's, if the source then
 *                            goes on alone under yet another generation (rule 60)
 *
 * A copy takes effect when the resync's write reaches the target's disk: what arrives there is what was paid for.  The bound is exact:
 *   1. a block that is clean is not copied;
 *   2. a dirty block is copied once in a connection, unless it was made dirty again;
 *   3. where the two compare digests, and no read has failed, a copy changes at least a block.
 * So the sectors that a resync copies are at most those of the dirty blocks, whatever the size of the volume.
 */
#include <string.h>

#include "tests/sim/sim.h"

static uint64_t blocks(const struct sim *s)
{
	return (s->volume + BITMAP_BLOCK_SECTORS - 1) / BITMAP_BLOCK_SECTORS;
}

void cost_dirty(struct sim *s, uint64_t sector, uint64_t sectors)
{
	for (uint64_t b = sector / BITMAP_BLOCK_SECTORS; sectors && b <= (sector + sectors - 1) / BITMAP_BLOCK_SECTORS; b++) {
		s->cost.dirty[b] = true;
		s->cost.copied[0][b] = s->cost.copied[1][b] = 0;
	}
}

void cost_dirty_all(struct sim *s)
{
	cost_dirty(s, 0, s->volume);
}

void cost_start(struct sim *s)
{
	if (s->plan.virgin)
		cost_dirty_all(s);
}

/* ---- clean again ---- */

static bool says_clean(const struct node *n)
{
	return n->up && n->status.connection == CONNECTION_CONNECTED && n->status.sync == SYNC_STATE_OFF && !n->status.out_of_sync &&
	       n->status.disk == DISK_UP_TO_DATE && n->status.peer_disk == DISK_UP_TO_DATE && vmeta_still(&n->meta);
}

static bool in_flight(const struct node *n, uint64_t sector, uint64_t sectors)
{
	for (unsigned int i = 0; i < SIM_GUEST_SLOTS; i++) {
		const struct guest_op *op = &n->guest.op[i];

		if (op->consumed && op->write && op->sector < sector + sectors && sector < op->sector + op->req.sectors)
			return true;
	}
	return false;
}

static bool same(const struct sim *s, uint64_t sector, uint64_t sectors)
{
	for (uint64_t k = sector; k < sector + sectors && k < s->volume; k++)
		if (s->node[0].disk.cached_id[k] != s->node[1].disk.cached_id[k])
			return false;
	return true;
}

void cost_clean(struct sim *s, uint64_t sector, uint64_t sectors)
{
	const struct node *a = &s->node[0], *b = &s->node[1];

	if (!sectors || !says_clean(a) || !says_clean(b))
		return;
	for (uint64_t k = sector / BITMAP_BLOCK_SECTORS; k <= (sector + sectors - 1) / BITMAP_BLOCK_SECTORS; k++) {
		uint64_t from = k * BITMAP_BLOCK_SECTORS;

		if (s->cost.dirty[k] && !vmeta_marked(&a->meta, k) && !vmeta_marked(&b->meta, k) &&
		    !in_flight(a, from, BITMAP_BLOCK_SECTORS) && !in_flight(b, from, BITMAP_BLOCK_SECTORS) &&
		    same(s, from, BITMAP_BLOCK_SECTORS))
			s->cost.dirty[k] = false;
	}
}

/* ---- a Primary dies ---- */

void cost_died(struct node *n)
{
	bool logged[SIM_VOLUME_MAX / BITMAP_BLOCK_SECTORS] = { false };

	if (!(n->meta.durable.flags & SB_IN_USE))
		return;
	vmeta_logged(&n->meta, logged);
	for (uint64_t b = 0; b < blocks(n->sim); b++)
		if (logged[b])
			cost_dirty(n->sim, b * BITMAP_BLOCK_SECTORS, BITMAP_BLOCK_SECTORS);
}

void cost_generation(struct node *n, const struct generations *before)
{
	const struct generations *now = &n->meta.durable.gen;
	const struct vmeta *peer = &node_peer(n)->meta; /* whose write may be under way still */

	if (now->current != before->current && before->bitmap && (peer->durable.gen.current != now->bitmap || peer->step))
		cost_dirty_all(n->sim);
}

void cost_failed(struct node *n, uint64_t sector, uint64_t sectors)
{
	n->sim->cost.doubt = true;
	cost_dirty(n->sim, sector, sectors);
}

/* ---- a copy reaches the target's disk ---- */

/* What was copied to it before, its partner may not know. */
void cost_met(struct node *n)
{
	memset(n->sim->cost.copied[n->index], 0, sizeof(n->sim->cost.copied[0]));
}

/* Both compare with the same digest, and the one that drives does so always. */
static bool compared(const struct node *n)
{
	const struct node *holder = n->meta.durable.token == TOKEN_HELD ? n : node_peer(n);

	return n->cfg.csums_alg && node_peer(n)->cfg.csums_alg && !holder->cfg.csums_after_crash_only && !n->sim->cost.doubt;
}

/* `changes`: the bytes are not those that are there. */
void cost_copied(struct node *n, uint64_t sector, uint64_t sectors, bool changes)
{
	struct sim *s = n->sim;
	struct cost *c = &s->cost;

	for (uint64_t b = sector / BITMAP_BLOCK_SECTORS; b <= (sector + sectors - 1) / BITMAP_BLOCK_SECTORS; b++) {
		if (!c->dirty[b])
			sim_violate(s, ORACLE_COST, "node %d: the resync copies sector %lu, and nothing has made that dirty since both were the same",
				    n->index, b * BITMAP_BLOCK_SECTORS);
		if (c->copied[n->index][b]++ && !vnet_repeated(n))
			sim_violate(s, ORACLE_COST, "node %d: the resync copies sector %lu once more, and nothing has made that dirty since it did so",
				    n->index, b * BITMAP_BLOCK_SECTORS);
	}
	if (!changes && compared(n) && !vnet_repeated(n))
		sim_violate(s, ORACLE_COST, "node %d: the resync copies sectors %lu+%lu, whose digests are the same on both disks", n->index, sector,
			    sectors);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vdisk.c: the volume of one node.
 *
 * It fails in all ways that a disk has: for a while, for good, at some sectors for reading or writing, because a thin volume is full; or it
 * hangs, and what is at it takes effect when that is over. Bits of data are not flipped: nothing would notice.
 *
 * A request is submitted, takes effect at one moment and is answered at a later one; both delays are random,
 * so requests overtake each other.  With `dsync` a write is durable when it takes effect; without, a flush
 * that is submitted after it took effect makes it so (what the resync copies is durable in any case). A power cut leaves of each write at the device nothing,
 * everything, or some of its blocks, and of the cache any mixture.  A block is never torn inside: disks
 * promise as much.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

struct vdisk_op {
	struct vdisk_op *next;
	struct request *req;
	enum request_op op;
	bool preflush, fake; /* fake: nobody waits for it (a mutant's) */
	bool secure;
	bool orphan, copy, slot; /* slot: the buffer is the core's own */
	bool abandoned; /* the core has given it up: it still takes effect, and is not answered */
	uint64_t sector, submitted;
	uint32_t sectors;
	int rc;
	uint8_t data[];
};

int vdisk_init(struct vdisk *d, struct node *n, uint64_t sectors, bool dsync)
{
	*d = (struct vdisk){ .node = n, .sectors = sectors, .dsync = dsync, .latency = 500 };
	d->durable = sim_memory(sectors, SECTOR_SIZE);
	d->cached = sim_memory(sectors, SECTOR_SIZE);
	d->durable_id = sim_memory(sectors, sizeof(*d->durable_id));
	d->cached_id = sim_memory(sectors, sizeof(*d->cached_id));
	d->dirty = sim_memory(sectors, sizeof(*d->dirty));
	d->unreadable = sim_memory(sectors, sizeof(*d->unreadable));
	d->unwritable = sim_memory(sectors, sizeof(*d->unwritable));
	d->allocated = sim_memory(sectors, sizeof(*d->allocated));
	d->remnant = sim_memory(sectors, sizeof(*d->remnant));
	vdisk_replace(d, 0);
	return 0;
}

/* The whole volume holds this write. */
void vdisk_replace(struct vdisk *d, uint64_t write)
{
	truth_fill(d->durable, write, 0, d->sectors);
	truth_fill(d->cached, write, 0, d->sectors);
	truth_identify_all(d->node->sim, d->cached, 0, (uint32_t)d->sectors, d->cached_id);
	memcpy(d->durable_id, d->cached_id, d->sectors * sizeof(*d->durable_id));
	memset(d->remnant, true, d->sectors * sizeof(*d->remnant));
}

static void forget_ops(struct vdisk *d)
{
	while (d->ops) {
		struct vdisk_op *o = d->ops;

		d->ops = o->next;
		free(o);
	}
	d->inflight = 0;
}

void vdisk_dispose(struct vdisk *d)
{
	forget_ops(d);
	free(d->durable);
	free(d->cached);
	free(d->durable_id);
	free(d->cached_id);
	free(d->dirty);
	free(d->unreadable);
	free(d->unwritable);
	free(d->allocated);
	free(d->remnant);
	*d = (struct vdisk){ 0 };
}

/* The cached sectors reach the medium. */
static void settle(struct vdisk *d, uint64_t sector, uint64_t sectors)
{
	memcpy(d->durable + sector * SECTOR_SIZE, d->cached + sector * SECTOR_SIZE, sectors * SECTOR_SIZE);
	memcpy(d->durable_id + sector, d->cached_id + sector, sectors * sizeof(*d->durable_id));
	memset(d->dirty + sector, 0, sectors * sizeof(*d->dirty));
}

/* The cached sectors are lost. */
static void lose(struct vdisk *d, uint64_t sector, uint64_t sectors)
{
	memcpy(d->cached + sector * SECTOR_SIZE, d->durable + sector * SECTOR_SIZE, sectors * SECTOR_SIZE);
	memcpy(d->cached_id + sector, d->durable_id + sector, sectors * sizeof(*d->cached_id));
	memset(d->dirty + sector, 0, sectors * sizeof(*d->dirty));
}

static void flush(struct vdisk *d)
{
	for (uint64_t i = 0; i < d->sectors; i++)
		if (d->dirty[i])
			settle(d, i, 1);
}

/* `ids` of the bytes */
static void store(struct vdisk *d, uint64_t sector, const uint8_t *data, const uint64_t *ids, uint32_t sectors, bool durable)
{
	memcpy(d->cached + sector * SECTOR_SIZE, data, (size_t)sectors * SECTOR_SIZE);
	memcpy(d->cached_id + sector, ids, sectors * sizeof(*d->cached_id));
	memset(d->dirty + sector, true, sectors * sizeof(*d->dirty));
	memset(d->unreadable + sector, 0, sectors * sizeof(*d->unreadable));
	memset(d->allocated + sector, true, sectors * sizeof(*d->allocated));
	if (durable)
		settle(d, sector, sectors);
}

static bool writes(const struct vdisk_op *o)
{
	return o->op == REQUEST_WRITE || o->op == REQUEST_DISCARD;
}

/* A discard leaves zeroes, which say nothing of anybody; the bytes that it has here are truth.c's. */
static void leave_remnants(struct vdisk *d, const struct vdisk_op *o)
{
	if (o->op == REQUEST_WRITE)
		memset(d->remnant + o->sector, true, o->sectors * sizeof(*d->remnant));
}

/* What of a secure discard comes before the rest: disk.c, and the device. */
static void erase(struct vdisk *d, struct vdisk_op *o)
{
	struct sim *s = d->node->sim;
	bool fails = s->plan.unable == d->node->index || sim_chance_secure(s, s->plan.erase_errors);

	if (!fails && !(sim_is(s, MUTANT_ERASE_SKIPPED) && sim_chance_secure(s, 300)))
		memset(d->remnant + o->sector, false, o->sectors * sizeof(*d->remnant));
	if (o->orphan)
		return;
	o->req->erase_rc = fails ? -EIO : 0;
	if (fails && !(o->req->flags & REQUEST_FROM_PEER))
		vguest_not_erased(d->node, o->req);
}

/* Some blocks of a write, each whole: what a failed or interrupted write leaves. */
static void store_torn(struct vdisk *d, const struct vdisk_op *o)
{
	struct sim *s = d->node->sim;
	unsigned int share = sim_random(s, 3) * 500;
	uint64_t ids[SIM_REQUEST_SECTORS];

	truth_identify_all(s, o->data, o->sector, o->sectors, ids);
	leave_remnants(d, o);
	for (uint32_t i = 0; i < o->sectors; i += s->block)
		if (sim_chance(s, share))
			store(d, o->sector + i, o->data + (size_t)i * SECTOR_SIZE, ids + i, s->block, d->dsync);
}

static void unlink_op(struct vdisk *d, struct vdisk_op *o)
{
	struct vdisk_op **at = &d->ops;

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	d->inflight--;
}

static void answer(struct vdisk *d, struct vdisk_op *o)
{
	bool orphan = o->orphan || o->fake;
	struct request *req = o->req;
	int rc = o->rc;

	if (rc && !orphan)
		cost_failed(d->node, o->sector, o->sectors);
	if (rc && !orphan)
		vguest_disk_failed(d->node, req);
	unlink_op(d, o);
	free(o);
	if (!orphan)
		node_disk_done(d->node, req, rc);
}

/* Events carry the op's address in `a`; a power cut frees the ops and makes their events stale through
 * `b`. */
static void answer_event(struct sim *s, struct event *e)
{
	struct vdisk *d = &e->node->disk;

	(void)s;
	if (e->b == d->life)
		answer(d, (struct vdisk_op *)(uintptr_t)e->a);
}

/* What is given up takes effect with the buffer that it had; a copy's must not be used again. */
bool vdisk_abandon(struct vdisk *d, struct request *req)
{
	if (sim_chance_apart(d->node->sim, 50)) /* there is no memory for another buffer */
		return false;
	for (struct vdisk_op *o = d->ops; o; o = o->next)
		if (o->req == req && !o->fake && !o->orphan) {
			o->orphan = o->abandoned = true;
			d->node->sim->totals->abandoned++;
			sim_note(d->node->sim, d->node, "disk-abandon", req->sector, req->sectors, req->id);
			return true;
		}
	sim_violate(d->node->sim, ORACLE_CONTRACT, "node %d: a request is given up that the disk does not have", d->node->index);
	return false;
}

/* The guest's page, or a buffer that was freed too early, changes under a request: the copy must not (P3). */
static void check_buffer(struct vdisk *d, const struct vdisk_op *o)
{
	if ((o->op != REQUEST_WRITE && o->op != REQUEST_DISCARD) || (o->orphan && !(o->abandoned && o->slot)) || o->fake || !d->node->up)
		return;
	if (memcmp(o->req->data, o->data, (size_t)o->sectors * SECTOR_SIZE))
		sim_violate(d->node->sim, ORACLE_ORDER,
			    "node %d: a buffer changed while its write of sector %lu was at the disk",
			    d->node->index, o->sector);
}

static void take_effect(struct vdisk *d, struct vdisk_op *o)
{
	size_t bytes = (size_t)o->sectors * SECTOR_SIZE;
	uint64_t ids[SIM_REQUEST_SECTORS];

	if (o->op == REQUEST_FLUSH || o->preflush) {
		if (!sim_is(d->node->sim, MUTANT_NO_FLUSH))
			flush(d);
		d->flushes++;
		if (o->submitted > d->flush_started)
			d->flush_started = o->submitted;
	}
	if (writes(o)) {
		check_buffer(d, o);
		leave_remnants(d, o);
		if (o->secure)
			erase(d, o);
		truth_identify_all(d->node->sim, o->data, o->sector, o->sectors, ids);
		if (o->copy && !o->orphan && !o->fake && o->sectors)
			cost_copied(d->node, o->sector, o->sectors, memcmp(d->cached + o->sector * SECTOR_SIZE, o->data, bytes));
		d->node->sim->totals->late_writes += o->abandoned;
		if (!o->orphan)
			oracle_at_disk(d, o->sector, ids, o->sectors, o->copy);
		store(d, o->sector, o->data, ids, o->sectors, (d->dsync || o->copy) && !sim_is(d->node->sim, MUTANT_NO_DSYNC));
		if (o->op == REQUEST_DISCARD)
			memset(d->allocated + o->sector, 0, o->sectors * sizeof(*d->allocated));
	} else if (o->op == REQUEST_READ && (!o->orphan || (o->abandoned && d->node->up && sim_is(d->node->sim, MUTANT_HUNG_BUFFER)))) {
		memcpy(o->req->data, d->cached + o->sector * SECTOR_SIZE, bytes);
	}
}

/* Nothing is wrong with it. */
bool vdisk_sound(const struct vdisk *d)
{
	for (uint64_t i = 0; i < d->sectors; i++)
		if (d->unreadable[i] || d->unwritable[i])
			return false;
	return !d->broken && !d->full && !d->hangs;
}

/* 0, or what the request fails with. */
static int fails(const struct vdisk *d, const struct vdisk_op *o)
{
	if (d->broken || sim_random(d->node->sim, 1000) < d->errors)
		return -EIO;
	for (uint64_t k = o->sector; o->op != REQUEST_FLUSH && k < o->sector + o->sectors; k++) {
		if (o->op == REQUEST_READ ? d->unreadable[k] : d->unwritable[k])
			return -EIO;
		if (o->op == REQUEST_WRITE && d->full && !d->allocated[k])
			return -ENOSPC;
	}
	return 0;
}

static void effect_event(struct sim *s, struct event *e)
{
	struct vdisk *d = &e->node->disk;
	struct vdisk_op *o = (struct vdisk_op *)(uintptr_t)e->a;
	struct event *again;

	if (e->b != d->life)
		return;
	if (d->hangs) {
		again = sim_in(s, 5 * SIM_MS, effect_event, d->node);
		again->a = e->a;
		again->b = e->b;
		return;
	}
	o->rc = fails(d, o);
	if (o->rc) {
		if (writes(o) && o->rc != -ENOSPC)
			store_torn(d, o);
		sim_note(s, d->node, "disk-error", o->op, o->sector, o->sectors);
	} else {
		take_effect(d, o);
	}
	e = sim_in(s, sim_random(s, d->latency / 4 + 1), answer_event, d->node);
	e->a = (uintptr_t)o;
	e->b = d->life;
}

static void check_overlap(struct vdisk *d, const struct vdisk_op *o)
{
	for (const struct vdisk_op *i = d->ops; i; i = i->next) {
		if (!writes(o) || !writes(i) || i->fake || o->fake)
			continue;
		if (o->sector < i->sector + i->sectors && i->sector < o->sector + o->sectors)
			sim_violate(d->node->sim, ORACLE_ORDER,
				    "node %d: two overlapping writes at the disk at once: %lu+%u and %lu+%u",
				    d->node->index, i->sector, i->sectors, o->sector, o->sectors);
	}
}

static struct vdisk_op *new_op(struct vdisk *d, struct request *req)
{
	size_t bytes = changes(req) ? (size_t)req->sectors * SECTOR_SIZE : 0;
	struct vdisk_op *o = sim_memory(1, sizeof(*o) + bytes);

	o->req = req;
	o->op = req->op;
	o->preflush = req->op == REQUEST_WRITE && req->preflush;
	o->secure = req->op == REQUEST_DISCARD && req->secure;
	o->sector = req->sector % d->sectors; /* a mutant hides overlaps by adding multiples of the volume */
	o->sectors = req->sectors;
	o->copy = req->flags & (REQUEST_COPY_OUT | REQUEST_COPY_IN);
	o->slot = o->copy && !(req->flags & REQUEST_FROM_PEER);
	o->submitted = d->node->sim->now;
	if (bytes)
		memcpy(o->data, req->data, bytes);
	return o;
}

static void start(struct vdisk *d, struct vdisk_op *o, uint64_t delay)
{
	struct event *e;

	check_overlap(d, o);
	o->next = d->ops;
	d->ops = o;
	d->inflight++;
	e = sim_in(d->node->sim, delay, effect_event, d->node);
	e->a = (uintptr_t)o;
	e->b = d->life;
}

static bool sane(struct vdisk *d, const struct request *req)
{
	if (req->op == REQUEST_FLUSH && !req->sectors)
		return true;
	if (req->op != REQUEST_FLUSH && req->sectors &&
	    (req->sectors <= d->node->sim->largest || (d->node->sim->plan.discards && changes(req) && req->sectors <= SIM_EXTENT_SECTORS)) &&
	    req->sector % d->sectors + req->sectors <= d->sectors)
		return true;
	sim_violate(d->node->sim, ORACLE_CONTRACT,
		    "node %d: impossible disk request: op %d sector %lu sectors %u", d->node->index, req->op,
		    req->sector, req->sectors);
	return false;
}

/* Answers a peer's request now, and does the work later, unnoticed: "acknowledged before durable", "flush
 * answered early". */
static bool perverted(struct vdisk *d, struct vdisk_op *o)
{
	struct sim *s = d->node->sim;
	bool from_peer = o->req->flags & REQUEST_FROM_PEER;
	struct event *e;

	if (sim_is(s, MUTANT_LOST_ACK) && from_peer && o->op == REQUEST_WRITE && sim_chance(s, 50)) {
		struct vdisk_op *late = new_op(d, o->req);

		late->fake = true;
		start(d, late, sim_between(s, 1, 20) * SIM_MS);
	} else if (!(sim_is(s, MUTANT_EARLY_FLUSH) && from_peer && o->op == REQUEST_FLUSH)) {
		return false;
	}
	o->next = d->ops;
	d->ops = o;
	d->inflight++;
	e = sim_in(s, 1, answer_event, d->node);
	e->a = (uintptr_t)o;
	e->b = d->life;
	return true;
}

/* What a device may do that promises nothing: it ignores a discard, or what of it is not one of its own units. */
static void pervert_discard(struct sim *s, struct vdisk_op *o)
{
	if (sim_is(s, MUTANT_DISCARD_SKIPPED) && sim_chance(s, 300))
		o->sectors = 0;
	else if (sim_is(s, MUTANT_DISCARD_PARTIAL) && o->sectors > 8 + s->block)
		o->sectors -= o->sectors % 8 ? o->sectors % 8 : s->block;
}

void vdisk_submit(struct vdisk *d, struct request *req)
{
	struct sim *s = d->node->sim;
	struct vdisk_op *o;

	sim_note(s, d->node,
		 req->op == REQUEST_READ    ? "disk-read"
		 : req->op == REQUEST_WRITE ? "disk-write"
		 : req->op == REQUEST_DISCARD ? "disk-discard"
					    : "disk-flush",
		 req->sector, req->sectors, req->id);
	if (!sane(d, req))
		return;
	o = new_op(d, req);
	req->erase_rc = -EOPNOTSUPP;
	if (perverted(d, o))
		return;
	if (sim_is(s, MUTANT_ZEROES_SKIPPED) && o->copy && o->op == REQUEST_WRITE && !req->data[0] &&
	    !memcmp(req->data, req->data + 1, (size_t)o->sectors * SECTOR_SIZE - 1))
		o->sectors = 0; /* answered, and not written */
	if (o->op == REQUEST_DISCARD && req->flags & REQUEST_FROM_PEER)
		pervert_discard(s, o);
	start(d, o, 1 + sim_random(s, d->latency));
	if (sim_is(s, MUTANT_DISCARD_LATE) && o->op == REQUEST_DISCARD && sim_chance(s, 300)) {
		o = new_op(d, req);
		o->fake = true;
		start(d, o, sim_between(s, 5, 200) * SIM_MS);
	}
	if (req->op == REQUEST_WRITE && ((sim_is(s, MUTANT_DOUBLE_APPLY) && req->flags & REQUEST_FROM_PEER && sim_chance(s, 50)) ||
					 (sim_is(s, MUTANT_LATE_COPY) && o->copy))) {
		o = new_op(d, req);
		o->fake = true;
		start(d, o, sim_between(s, 5, 200) * SIM_MS);
	}
}

void vdisk_power_cut(struct vdisk *d)
{
	struct sim *s = d->node->sim;

	for (struct vdisk_op *o = d->ops; o; o = o->next)
		if (writes(o) && sim_chance(s, 700))
			store_torn(d, o);
	for (uint64_t i = 0; i < d->sectors; i += s->block) {
		if (!d->dirty[i])
			continue;
		if (sim_chance(s, 500))
			settle(d, i, s->block);
		else
			lose(d, i, s->block);
	}
	forget_ops(d);
	d->life++;
}

bool vdisk_busy(const struct vdisk *d)
{
	for (const struct vdisk_op *o = d->ops; o; o = o->next)
		if (!(o->abandoned && sim_is(d->node->sim, MUTANT_HUNG_FORGOTTEN)))
			return true;
	return false;
}

void vdisk_orphan(struct vdisk *d)
{
	for (struct vdisk_op *o = d->ops; o; o = o->next)
		o->orphan = true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vdisk.c: the volume of one node.
 *
 * A request is submitted, takes effect at one moment and is answered at a later one; both delays are random,
 * so requests overtake each other.  With `dsync` a write is durable when it takes effect; without, a flush
 * that is submitted after it took effect makes it so. A power cut leaves of each write at the device nothing,
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
	bool orphan;
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
	d->dirty = sim_memory(sectors, sizeof(*d->dirty));
	oracle_fill(d->durable, 0, 0, sectors);
	oracle_fill(d->cached, 0, 0, sectors);
	return 0;
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
	free(d->dirty);
	*d = (struct vdisk){ 0 };
}

static void flush(struct vdisk *d)
{
	for (uint64_t i = 0; i < d->sectors; i++) {
		if (!d->dirty[i])
			continue;
		memcpy(d->durable + i * SECTOR_SIZE, d->cached + i * SECTOR_SIZE, SECTOR_SIZE);
		d->dirty[i] = false;
	}
}

static void store(struct vdisk *d, uint64_t sector, const uint8_t *data, uint32_t sectors, bool durable)
{
	memcpy(d->cached + sector * SECTOR_SIZE, data, (size_t)sectors * SECTOR_SIZE);
	for (uint32_t i = 0; i < sectors; i++)
		d->dirty[sector + i] = true;
	if (!durable)
		return;
	memcpy(d->durable + sector * SECTOR_SIZE, data, (size_t)sectors * SECTOR_SIZE);
	for (uint32_t i = 0; i < sectors; i++)
		d->dirty[sector + i] = false;
}

/* Some blocks of a write, each whole: what a failed or interrupted write leaves. */
static void store_torn(struct vdisk *d, const struct vdisk_op *o)
{
	struct sim *s = d->node->sim;
	unsigned int share = sim_random(s, 3) * 500;

	for (uint32_t i = 0; i < o->sectors; i += s->block)
		if (sim_chance(s, share))
			store(d, o->sector + i, o->data + (size_t)i * SECTOR_SIZE, s->block, d->dsync);
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

/* The guest's page, or a buffer that was freed too early, changes under a request: the copy must not (P3). */
static void check_buffer(struct vdisk *d, const struct vdisk_op *o)
{
	if (o->op != REQUEST_WRITE || o->orphan || o->fake)
		return;
	if (memcmp(o->req->data, o->data, (size_t)o->sectors * SECTOR_SIZE))
		sim_violate(d->node->sim, ORACLE_ORDER,
			    "node %d: a buffer changed while its write of sector %lu was at the disk",
			    d->node->index, o->sector);
}

static void take_effect(struct vdisk *d, struct vdisk_op *o)
{
	size_t bytes = (size_t)o->sectors * SECTOR_SIZE;

	if (o->op == REQUEST_FLUSH || o->preflush) {
		if (!sim_is(d->node->sim, MUTANT_NO_FLUSH))
			flush(d);
		d->flushes++;
		if (o->submitted > d->flush_started)
			d->flush_started = o->submitted;
	}
	if (o->op == REQUEST_WRITE) {
		check_buffer(d, o);
		oracle_at_disk(d, o->sector, o->data, o->sectors);
		store(d, o->sector, o->data, o->sectors, d->dsync && !sim_is(d->node->sim, MUTANT_NO_DSYNC));
	} else if (o->op == REQUEST_READ && !o->orphan) {
		memcpy(o->req->data, d->cached + o->sector * SECTOR_SIZE, bytes);
	}
}

static void effect_event(struct sim *s, struct event *e)
{
	struct vdisk *d = &e->node->disk;
	struct vdisk_op *o = (struct vdisk_op *)(uintptr_t)e->a;

	if (e->b != d->life)
		return;
	if (sim_random(s, 1000) < d->errors) {
		o->rc = -EIO;
		if (o->op == REQUEST_WRITE)
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
		if (o->op != REQUEST_WRITE || i->op != REQUEST_WRITE || i->fake || o->fake)
			continue;
		if (o->sector < i->sector + i->sectors && i->sector < o->sector + o->sectors)
			sim_violate(d->node->sim, ORACLE_ORDER,
				    "node %d: two overlapping writes at the disk at once: %lu+%u and %lu+%u",
				    d->node->index, i->sector, i->sectors, o->sector, o->sectors);
	}
}

static struct vdisk_op *new_op(struct vdisk *d, struct request *req)
{
	size_t bytes = req->op == REQUEST_WRITE ? (size_t)req->sectors * SECTOR_SIZE : 0;
	struct vdisk_op *o = sim_memory(1, sizeof(*o) + bytes);

	o->req = req;
	o->op = req->op;
	o->preflush = req->op == REQUEST_WRITE && req->preflush;
	o->sector = req->sector % d->sectors; /* a mutant hides overlaps by adding multiples of the volume */
	o->sectors = req->sectors;
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
	if (req->op != REQUEST_FLUSH && req->sectors && req->sectors <= SIM_REQUEST_SECTORS &&
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

void vdisk_submit(struct vdisk *d, struct request *req)
{
	struct sim *s = d->node->sim;
	struct vdisk_op *o;

	sim_note(s, d->node,
		 req->op == REQUEST_READ    ? "disk-read"
		 : req->op == REQUEST_WRITE ? "disk-write"
					    : "disk-flush",
		 req->sector, req->sectors, req->id);
	if (!sane(d, req))
		return;
	o = new_op(d, req);
	if (perverted(d, o))
		return;
	start(d, o, 1 + sim_random(s, d->latency));
	if (sim_is(s, MUTANT_DOUBLE_APPLY) && req->flags & REQUEST_FROM_PEER && req->op == REQUEST_WRITE &&
	    sim_chance(s, 50)) {
		o = new_op(d, req);
		o->fake = true;
		start(d, o, sim_between(s, 5, 200) * SIM_MS);
	}
}

void vdisk_power_cut(struct vdisk *d)
{
	struct sim *s = d->node->sim;

	for (struct vdisk_op *o = d->ops; o; o = o->next)
		if (o->op == REQUEST_WRITE && sim_chance(s, 700))
			store_torn(d, o);
	for (uint64_t i = 0; i < d->sectors; i += s->block) {
		uint8_t *durable = d->durable + i * SECTOR_SIZE, *cached = d->cached + i * SECTOR_SIZE;
		size_t bytes = (size_t)s->block * SECTOR_SIZE;

		if (!d->dirty[i])
			continue;
		if (sim_chance(s, 500))
			memcpy(durable, cached, bytes);
		else
			memcpy(cached, durable, bytes);
		memset(d->dirty + i, 0, s->block * sizeof(*d->dirty));
	}
	forget_ops(d);
	d->life++;
}

void vdisk_orphan(struct vdisk *d)
{
	for (struct vdisk_op *o = d->ops; o; o = o->next)
		o->orphan = true;
}

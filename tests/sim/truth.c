/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * truth.c: what the data are.
 *
 * Every sector that a guest writes holds the write's number, the sector and a check over the rest, so that a sector on a disk says which
 * write it is from.  What counts is the order in which the writes were consumed: request.h promises that a request waits for the older ones
 * that it overlaps.
 *
 * A timeline is one history of the data.  The pair begins one when it first meets; a promotion by force begins another one, from what
 * is on that node's disk at that moment, for a person has said that these data count.  A node is on the timeline that its generation
 * belongs to.  So "thrown away by a person" is not an excuse that the oracles have to guess: a timeline that no node is on any more is
 * gone, and in each of the others nothing that was acknowledged may be missing.
 *
 * What a guest that died had not been answered may have happened or not.  When the next one executes its first request, the disk that serves it
 * says which: from then on that is the truth, and what is not there never comes back.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define WORDS (SECTOR_SIZE / 8)

/* ---- the bytes ---- */

static uint64_t word(uint64_t write, uint64_t sector, unsigned int i)
{
	uint64_t x = write * 0x9e3779b97f4a7c15ull ^ sector * 0xc2b2ae3d27d4eb4full ^ i;

	return (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
}

/* Write 0 is what a volume holds before anybody has written: zeroes. */
void truth_fill(uint8_t *data, uint64_t write, uint64_t sector, uint32_t sectors)
{
	if (!write) {
		memset(data, 0, (size_t)sectors * SECTOR_SIZE);
		return;
	}
	for (uint32_t k = 0; k < sectors; k++) {
		uint64_t w[WORDS] = { write, sector + k };

		for (unsigned int i = 2; i < WORDS; i++)
			w[i] = word(write, sector + k, i);
		memcpy(data + (size_t)k * SECTOR_SIZE, w, SECTOR_SIZE);
	}
}

uint64_t truth_identify(const struct sim *s, const uint8_t *data, uint64_t sector)
{
	const struct written *h;
	uint64_t w[WORDS];

	memcpy(w, data, SECTOR_SIZE);
	if (!w[0] && !memcmp(w, w + 1, SECTOR_SIZE - sizeof(*w)))
		return 0;
	if (!w[0] || w[1] != sector || w[0] > s->history.writes)
		return UINT64_MAX;
	for (unsigned int i = 2; i < WORDS; i++)
		if (w[i] != word(w[0], sector, i))
			return UINT64_MAX;
	h = &s->history.write[w[0]];
	return sector >= h->sector && sector < h->sector + h->sectors ? w[0] : UINT64_MAX;
}

void truth_identify_all(const struct sim *s, const uint8_t *data, uint64_t sector, uint32_t sectors, uint64_t *ids)
{
	for (uint32_t i = 0; i < sectors; i++)
		ids[i] = truth_identify(s, data + (size_t)i * SECTOR_SIZE, sector + i);
}

uint64_t truth_write(struct sim *s, uint64_t sector, uint32_t sectors)
{
	struct history *h = &s->history;

	if (h->writes + 1 >= h->room) {
		h->room = h->room ? h->room * 2 : 1024;
		h->write = realloc(h->write, h->room * sizeof(*h->write));
		if (!h->write)
			abort();
	}
	h->write[++h->writes] = (struct written){ .sector = sector, .sectors = sectors };
	return h->writes;
}

uint64_t truth_order(const struct sim *s, uint64_t write)
{
	return write && write != UINT64_MAX ? s->history.write[write].order : 0;
}

bool truth_older(const struct sim *s, uint64_t a, uint64_t b)
{
	return a == UINT64_MAX || truth_order(s, a) < truth_order(s, b);
}

static uint64_t cached(const struct node *n, uint64_t sector)
{
	return n->disk.cached_id[sector];
}

uint64_t truth_on_disk(const struct node *n, uint64_t sector)
{
	return n->disk.durable_id[sector];
}

/* ---- timelines ---- */

static unsigned int timeline_of(const struct sim *s, uint64_t generation)
{
	for (unsigned int i = 0; i < s->history.generations; i++)
		if (s->history.generation[i].generation == generation)
			return s->history.generation[i].timeline;
	return NO_TIMELINE;
}

unsigned int truth_timeline(const struct node *n)
{
	const struct superblock *sb = &n->meta.durable;

	return sb->flags & SB_JUST_CREATED ? NO_TIMELINE : timeline_of(n->sim, sb->gen.current);
}

static struct timeline *timeline(const struct sim *s, unsigned int number)
{
	return number ? s->history.timeline[number] : NULL;
}

struct timeline *truth_of_disk(const struct node *n)
{
	return timeline(n->sim, truth_timeline(n));
}

/* Without a disk it serves what its partner has. */
static unsigned int serving(const struct node *n)
{
	unsigned int theirs = node_diskless(n) && n->status.connection == CONNECTION_CONNECTED ? truth_timeline(node_peer(n)) : NO_TIMELINE;

	return theirs ? theirs : truth_timeline(n);
}

struct timeline *truth_of(const struct node *n)
{
	return timeline(n->sim, serving(n));
}

static unsigned int new_timeline(struct sim *s)
{
	struct history *h = &s->history;
	struct timeline *t = sim_memory(1, sizeof(*t));

	h->timeline = realloc(h->timeline, (h->timelines + 2) * sizeof(*h->timeline));
	if (!h->timeline)
		abort();
	h->timeline[++h->timelines] = t;
	t->node = -1;
	s->totals->timelines++;
	return h->timelines;
}

static void belongs(struct sim *s, uint64_t generation, unsigned int timeline)
{
	struct history *h = &s->history;

	h->generation = realloc(h->generation, (h->generations + 1) * sizeof(*h->generation));
	if (!h->generation)
		abort();
	h->generation[h->generations++] = (struct generation_of){ generation, timeline };
	h->timeline[timeline]->newest = generation;
}

static void take_over(struct timeline *t, const struct node *from)
{
	struct sim *s = from->sim;

	t->horizon = s->history.consumed;
	for (uint64_t k = 0; k < s->volume; k++)
		t->base[k] = t->floor[k] = t->seen[k] = cached(from, k);
}

/* A person says that this node's data count, whatever they are. */
static unsigned int begin_anew(struct node *n, unsigned int was)
{
	struct sim *s = n->sim;
	unsigned int t = new_timeline(s);

	take_over(s->history.timeline[t], n);
	s->history.timeline[t]->node = n->index;
	s->history.timeline[t]->head = lineage_branch(s, NO_BRANCH); /* no guest of before goes on with it */
	s->history.forced = s->history.excused = true;
	cost_dirty_all(s);
	if (was) /* it takes its data away from the others' */
		s->history.timeline[was]->left = true;
	sim_note(s, n, "timeline", t, 0, 0);
	return t;
}

/* The partner was fenced, or should be: this node's data count (R15). Where the partner's were newer, for a policy allowed it to go on before
 * this node was fenced, that begins a timeline, as a promotion by force does. */
static unsigned int promoted(struct node *n, uint64_t generation, unsigned int was)
{
	struct node *peer = node_peer(n);
	struct sim *s = n->sim;
	bool newest = generation == s->history.timeline[was]->newest;

	peer->overtaken_by = n->meta.durable.epoch;
	s->totals->fenced_promotions++;
	oracle_promoted(n, newest);
	if (newest)
		return was;
	s->totals->forks++;
	return begin_anew(n, was);
}

static unsigned int new_generation(struct node *n, const struct superblock *before, unsigned int was)
{
	const struct superblock *sb = &n->meta.durable;
	bool alone = sb->token == TOKEN_HELD && n->status.connection <= CONNECTION_DRAINING && was;

	if (sb->flags & SB_FORCED && sb->epoch != before->epoch)
		return begin_anew(n, was);
	if (alone && sb->epoch != before->epoch)
		return promoted(n, before->gen.current, was);
	if (alone)
		oracle_alone(n);
	return was ? was : new_timeline(n->sim);
}

void truth_superblock(struct node *n, const struct superblock *before)
{
	struct sim *s = n->sim;
	const struct superblock *sb = &n->meta.durable;
	unsigned int was = before->flags & SB_JUST_CREATED ? NO_TIMELINE : timeline_of(s, before->gen.current);
	unsigned int now = timeline_of(s, sb->gen.current);

	if (sb->flags & SB_JUST_CREATED || sb->gen.current == before->gen.current)
		return;
	cost_generation(n, &before->gen);
	if (now == NO_TIMELINE) {
		now = new_generation(n, before, was);
		belongs(s, sb->gen.current, now);
		memset(s->history.timeline[now]->ahead, 0, sizeof(s->history.timeline[now]->ahead));
	} else if (was && now == was && n->given_up && before->gen.current == truth_of_disk(n)->newest) {
		/* connect --discard-my-data: what the partner has is what is left */
		n->given_up = false;
		take_over(truth_of_disk(n), node_peer(n));
		truth_of_disk(n)->newest = sb->gen.current;
		truth_of_disk(n)->node = n->index;
		s->totals->discarded++;
		sim_note(s, n, "given-up", now, 0, 0);
	} else if (was && now != was) {
		s->totals->discarded++;
		sim_note(s, n, "discarded", was, now, 0);
	}
}

bool truth_valid(const struct node *n, const struct timeline *t, uint64_t sector, uint64_t write)
{
	const struct sim *s = n->sim;

	if (write == UINT64_MAX)
		return false;
	if (truth_order(s, write) <= t->horizon)
		return t->node < 0 || write == t->base[sector];
	return s->history.timeline[s->history.write[write].timeline] == t;
}

/* ---- a guest executes ---- */

static const struct node *served_by(const struct node *n)
{
	return n->meta.durable.flags & SB_CONSISTENT && !node_diskless(n) ? n : node_peer(n);
}

/* After a crash, before the two have met or the guest goes on alone: what is marked is not read. */
static void note_ahead(struct node *n, struct timeline *t)
{
	bool apart = served_by(n) == n && n->status.connection != CONNECTION_CONNECTED && !n->status.alone;

	for (uint64_t k = 0; k < n->sim->volume; k++) {
		t->behind[k] = truth_on_disk(node_peer(n), k);
		t->ahead[k] = apart && t->behind[k] != t->floor[k] && vmeta_out_of_sync(&n->meta)[k / BITMAP_BLOCK_SECTORS];
	}
}

/* What it asks for ends with an error (D18). */
static bool nothing_serves(const struct node *n)
{
	uint32_t flags = n->meta.durable.flags;

	return n->cfg.io_error && n->status.connection != CONNECTION_CONNECTED &&
	       (node_diskless(n) || flags & SB_OUTDATED || !(flags & SB_CONSISTENT));
}

/* Another guest, or the same one on another node (not the same one with another daemon: it goes on with its requests): what the disk has that it is served from is the truth. */
static void begin(struct node *n, struct timeline *t)
{
	const struct node *from = served_by(n);
	struct sim *s = n->sim;

	for (uint64_t k = 0; k < s->volume && !s->failed; k++) {
		uint64_t id = cached(from, k);

		if (!truth_valid(n, t, k, id) || truth_older(s, id, t->floor[k]))
			sim_violate(s, ORACLE_DURABLE,
				    "node %d: a guest is served from node %d's disk, where sector %lu holds write %ld, not %lu or newer",
				    n->index, from->index, k, (long)id, t->floor[k]);
	}
	take_over(t, from);
	note_ahead(n, t);
	t->node = n->index;
	t->serial = n->guest.serial;
	t->began = node_superblock(n)->epoch;
	sim_note(s, n, "truth", node_superblock(n)->epoch, (uint64_t)from->index, t->serial);
}

void truth_execute(struct node *n, struct guest_op *op)
{
	struct sim *s = n->sim;
	struct timeline *t = truth_of(n);

	if (!t) {
		sim_violate(s, ORACLE_WRITER, "node %d executes guest requests without a generation", n->index);
		return;
	}
	if ((t->node != n->index || t->serial != n->guest.serial) && truth_of_disk(served_by(n)) && !nothing_serves(n))
		begin(n, t); /* or nobody serves it: the partner has got another disk, and that is not known here yet */
	t->epoch = node_superblock(n)->epoch; /* it may rise under a guest, when a split brain was decided */
	t->epoch_node = n->index;
	if (!op->write)
		return;
	s->history.write[op->write].epoch = t->epoch;
	/* the same write: another timeline may go on from what it did the first time, unless nothing served it then */
	if (op->again && truth_order(s, op->write) > t->horizon)
		return;
	s->history.write[op->write].order = ++s->history.consumed;
	s->history.write[op->write].timeline = serving(n);
}

/* ---- what must be on the disks ---- */

bool truth_newest(const struct node *n)
{
	const struct superblock *sb = &n->meta.durable;
	const struct timeline *t = truth_of_disk(n);

	return t && sb->gen.current == t->newest && sb->flags & SB_CONSISTENT && !(sb->flags & SB_OUTDATED);
}

static bool has(const struct node *n, const struct timeline *t, uint64_t sector, uint64_t floor)
{
	uint64_t id = truth_on_disk(n, sector);

	/* with a volatile cache the truth may be in it, and what was flushed before is right, too */
	return (n->sim->plan.cache || truth_valid(n, t, sector, id)) && !truth_older(n->sim, id, floor);
}

static void check_newest(const struct node *n, const char *when)
{
	struct sim *s = n->sim;
	const struct timeline *t = truth_of_disk(n);
	const uint64_t *floor = s->plan.cache ? t->flushed : t->floor;

	for (uint64_t k = 0; k < s->volume && !s->failed; k++)
		if (!has(n, t, k, floor[k]) && !(t->ahead[k] && n->index != t->node && truth_on_disk(n, k) == t->behind[k]))
			sim_violate(s, ORACLE_DURABLE,
				    "%s: node %d says that it has the newest data, but sector %lu holds write %ld, not %lu or newer",
				    when, n->index, k, (long)truth_on_disk(n, k), floor[k]);
}

static void check_somewhere(struct sim *s, unsigned int number, const char *when)
{
	const struct timeline *t = s->history.timeline[number];
	const struct node *a = &s->node[0], *b = &s->node[1];
	bool on_a = truth_timeline(a) == number, on_b = truth_timeline(b) == number;

	if (s->plan.cache || t->left || (!on_a && !on_b))
		return;
	for (uint64_t k = 0; k < s->volume && !s->failed; k++)
		if (!(on_a && has(a, t, k, t->floor[k])) && !(on_b && has(b, t, k, t->floor[k])))
			sim_violate(s, ORACLE_DURABLE,
				    "%s: sector %lu: write %lu was acknowledged, and is on no disk any more (%ld on node 0, %ld on node 1)",
				    when, k, t->floor[k], (long)truth_on_disk(a, k), (long)truth_on_disk(b, k));
}

void truth_check_durable(struct sim *s, const char *when)
{
	for (int i = 0; i < SIM_NODES && !s->failed; i++)
		if (truth_newest(&s->node[i]))
			check_newest(&s->node[i], when);
	for (unsigned int t = 1; t <= s->history.timelines && !s->failed; t++)
		check_somewhere(s, t, when);
}

/* Are the two about the same data, so that the marks are the difference? */
static bool comparable(const struct sim *s)
{
	const struct superblock *a = &s->node[0].meta.durable, *b = &s->node[1].meta.durable;

	if (s->plan.cache || !truth_of_disk(&s->node[0]) || truth_of_disk(&s->node[0]) != truth_of_disk(&s->node[1]))
		return false;
	/* nobody has said yet whose data count, or that they are the same */
	return (a->flags | b->flags) & SB_CONSISTENT || a->base || b->base;
}

static bool same_on_both(const struct node *a, const struct node *b, uint64_t sector)
{
	uint64_t id = truth_on_disk(a, sector);

	if (id != UINT64_MAX && id == truth_on_disk(b, sector))
		return true;
	return !memcmp(a->disk.durable + sector * SECTOR_SIZE, b->disk.durable + sector * SECTOR_SIZE, SECTOR_SIZE);
}

void truth_check_marks(struct sim *s, uint64_t sector, uint64_t sectors, const char *when)
{
	struct node *a = &s->node[0], *b = &s->node[1];

	if (!comparable(s))
		return;
	for (uint64_t k = sector; k < sector + sectors && !s->failed; k++) {
		uint64_t block = k / BITMAP_BLOCK_SECTORS;

		if (!same_on_both(a, b, k) && !vmeta_out_of_sync(&a->meta)[block] && !vmeta_out_of_sync(&b->meta)[block])
			sim_violate(s, ORACLE_MARKS,
				    "%s: sector %lu holds write %ld on node 0 and %ld on node 1, and neither node's metadata says so", when, k,
				    (long)truth_on_disk(a, k), (long)truth_on_disk(b, k));
	}
}

void truth_dispose(struct sim *s)
{
	struct history *h = &s->history;

	for (unsigned int i = 1; i <= h->timelines; i++)
		free(h->timeline[i]);
	free(h->timeline);
	free(h->generation);
	free(h->write);
	free(h->branch);
}
